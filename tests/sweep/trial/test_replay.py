"""A replayed step starts from the trial's own bits, and switches off what it says."""

from dataclasses import replace

import pytest

from sweep.trial.causes import UnexplainedError
from sweep.trial.diary import Witness
from sweep.trial.moment import copies
from sweep.trial.outside import fresh_modes
from sweep.trial.probe import change_between
from sweep.trial.reach import Reach
from sweep.trial.replay import NOTHING_OFF, Replay, Reruns
from sweep.trial.training import Training
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Source, ZeroGrad


@pytest.fixture(autouse=True)
def as_a_trial_runs():
    with fresh_modes():
        yield


HISTORY, DECAY, GRADIENT = (frozenset({source}) for source in Source)
ALL = (NOTHING_OFF, GRADIENT, HISTORY, HISTORY | GRADIENT, HISTORY | DECAY | GRADIENT)


def planned(optimizer="SGD", decay=0.1, momentum=0.9, workload="small", options="{}", **changes):
    setting = Setting(optimizer, 0.1, decay, momentum, **{"zero_grad": ZeroGrad.ZERO} | changes)
    return PlannedTrial(setting, workload, 6, options)


def lived(trial, step):
    """What an uninterrupted run saw of ``step``, and the frozen parameters after it."""
    training = Training(trial)
    training.advance(0, step)
    before = copies(training.frozen_parameters)
    training.run(step)
    return Witness.of(training, before), copies(training.frozen_parameters)


def reruns(trial, step=1):
    return Reruns(Reach(trial, Training), lived(trial, step)[0])


def same(one, other):
    return all(not change_between(one[name], other[name]).moved for name in one)


TRIALS = [
    planned(),
    planned("Adam"),
    planned("LBFGS", None, None, options='{"max_iter":4}', zero_grad=ZeroGrad.NONE),
    planned("planted:NoisyDrift", None, None),
    planned(workload="planted_workloads:noisy"),
]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.setting.optimizer)
@pytest.mark.parametrize("step", [1, 3])
def test_a_step_replayed_as_it_was_has_the_trials_bits(trial, step):
    witness, after = lived(trial, step)
    replayed = Reruns(Reach(trial, Training), witness)
    assert same(replayed.without(NOTHING_OFF), after)
    assert replayed.end() == witness.after


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.setting.optimizer)
def test_the_order_of_replays_does_not_change_them(trial):
    forward, backward = reruns(trial), reruns(trial)
    there = {off: forward.without(off) for off in ALL}
    back = {off: backward.without(off) for off in reversed(ALL)}
    assert all(same(there[off], back[off]) for off in ALL)


def test_each_distinct_replay_is_run_once():
    replayed = reruns(planned())
    assert replayed.without(HISTORY) is replayed.without(HISTORY)
    assert replayed.without_grad() is replayed.without_grad()


def test_a_trial_that_saw_other_bits_is_not_explained():
    witness, _ = lived(planned(), 1)
    (digest,) = witness.after
    for other in (
        replace(witness, after=(digest[::-1],)),
        replace(witness, before=(digest[::-1],)),
    ):
        with pytest.raises(UnexplainedError, match="the replay did not repeat the trial's own"):
            Replay(Reruns(Reach(planned(), Training), other)).there()


SWITCHES = [
    # optimizer, decay, whether decay is there, whether it can be switched off
    ("SGD", 0.1, True, True),
    ("AdamW", 0.1, True, True),
    ("planted:Decay", 0.1, True, True),
    ("planted:DecayThatGrows", 0.1, True, True),
    ("planted:DecayInAttribute", 0.1, True, False),
    ("planted:DecayInUnreadGroup", 0.1, True, False),
    ("planted:LateDecay", 0.1, True, False),
    ("planted:DecayInAttribute", 0.0, False, True),
    ("planted:Plain", 0.1, False, True),
]


@pytest.mark.parametrize(("optimizer", "decay", "there", "switches"), SWITCHES)
def test_whether_decay_is_there_and_switches_off_is_found_by_trying(
    optimizer, decay, there, switches
):
    momentum = None if ":" in optimizer else 0.9
    replay = Replay(reruns(planned(optimizer, decay, momentum), step=3))
    assert (Source.DECAY in replay.there()) is there
    if not switches:
        with pytest.raises(UnexplainedError, match="weight decay cannot be switched off with the"):
            replay.without(DECAY)
    elif there:
        replay.without(DECAY)


def test_a_grad_that_is_not_zero_is_a_source_and_one_of_zeros_is_none():
    for zero_grad, there in ((ZeroGrad.NEVER, True), (ZeroGrad.ZERO, False)):
        replay = Replay(reruns(planned(zero_grad=zero_grad)))
        assert (Source.GRADIENT in replay.there()) is there
