"""A replayed step starts from the trial's own bits, and switches off what it says."""

import pytest

from sweep.trial.modes import one_thread
from sweep.trial.probe import change_between
from sweep.trial.replay import (
    AS_IT_WAS,
    DECAY_ALONE,
    GRADIENT_ALONE,
    HISTORY_ALONE,
    NO_GRAD,
    NOTHING,
    ZERO_GRAD,
    MetGrad,
    Replay,
)
from sweep.trial.training import Training
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, GradState, ZeroGrad


@pytest.fixture(autouse=True)
def as_a_trial_runs():
    with one_thread():
        yield


ALL = (AS_IT_WAS, ZERO_GRAD, NO_GRAD, NOTHING, HISTORY_ALONE, DECAY_ALONE, GRADIENT_ALONE)


def planned(optimizer="SGD", decay=0.1, momentum=0.9, workload="small", options="{}", **changes):
    setting = Setting(optimizer, 0.1, decay, momentum, **{"zero_grad": ZeroGrad.ZERO} | changes)
    return PlannedTrial(setting, workload, 6, options)


def after_trial_step(trial, step):
    """Every parameter after ``step`` of an uninterrupted run."""
    training = Training(trial)
    for current in range(step + 1):
        training.begin(current)
        training.backward()
        training.step()
        if current < step:
            training.clear_grads()
    return {name: p.detach().clone() for name, p in training.workload.model.named_parameters()}


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
    assert same(Replay(trial).after(step, AS_IT_WAS), after_trial_step(trial, step))


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.setting.optimizer)
def test_the_order_of_replays_does_not_change_them(trial):
    forward, backward = Replay(trial), Replay(trial)
    there = {sources: forward.after(1, sources) for sources in ALL}
    back = {sources: backward.after(1, sources) for sources in reversed(ALL)}
    assert all(same(there[sources], back[sources]) for sources in ALL)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.setting.optimizer)
def test_replays_do_not_disturb_the_moment_before(trial):
    replay = Replay(trial)
    before = {name: tensor.clone() for name, tensor in replay.before(3).items()}
    for sources in ALL:
        replay.after(3, sources)
    assert same(replay.before(3), before)
    assert same(before, after_trial_step(trial, 2))


def test_without_decay_in_the_setting_one_replay_serves_for_both():
    replay = Replay(planned(decay=0.0))
    assert replay.after(1, NOTHING) is replay.after(1, DECAY_ALONE)


SWITCHES = [
    # optimizer, decay, whether decay can be switched off while the state is kept
    ("SGD", 0.1, True),
    ("AdamW", 0.1, True),
    ("planted:Decay", 0.1, True),
    ("planted:DecayInAttribute", 0.1, False),
    ("planted:DecayInUnreadGroup", 0.1, False),
    ("planted:DecayInAttribute", 0.0, True),
]


@pytest.mark.parametrize(("optimizer", "decay", "switches"), SWITCHES)
def test_whether_decay_switches_off_is_found_by_trying(optimizer, decay, switches):
    momentum = None if ":" in optimizer else 0.9
    replay = Replay(planned(optimizer, decay, momentum))
    assert replay.decay_switches_off(1) is switches
    assert replay.decay_switches_off(1) is switches  # remembered


MET = [
    (ZeroGrad.NONE, Freeze.DETACH, MetGrad(GradState.NONE, stale=True)),
    (ZeroGrad.ZERO, Freeze.DETACH, MetGrad(GradState.ZERO, stale=True)),
    (ZeroGrad.NEVER, Freeze.DETACH, MetGrad(GradState.NONZERO, stale=True)),
    (ZeroGrad.NEVER, Freeze.REQUIRES_GRAD, MetGrad(GradState.NONZERO, stale=True)),
    (ZeroGrad.NONE, Freeze.LR_ZERO, MetGrad(GradState.NONZERO, stale=False)),
    (ZeroGrad.NEVER, Freeze.LR_ZERO, MetGrad(GradState.NONZERO, stale=False)),
    (ZeroGrad.ZERO, Freeze.GRAD_NONE, MetGrad(GradState.NONE, stale=False)),
    (ZeroGrad.NONE, Freeze.GRAD_ZERO, MetGrad(GradState.ZERO, stale=False)),
]


@pytest.mark.parametrize(("zero_grad", "freeze", "met"), MET)
def test_the_grad_is_stale_where_an_earlier_step_left_it(zero_grad, freeze, met):
    assert Replay(planned(zero_grad=zero_grad, freeze=freeze)).met_grad(1) == met


@pytest.mark.parametrize("freeze", [Freeze.DETACH, Freeze.LR_ZERO, Freeze.OWN_OPTIMIZER])
def test_an_attached_step_moves_the_layer_whatever_freezes_it(freeze):
    replay = Replay(planned(decay=0.0, zero_grad=ZeroGrad.NONE, freeze=freeze))
    before, attached = replay.before(1), replay.after_attached(1)
    assert same(replay.before(1), {**replay.after(1, AS_IT_WAS), **_others(before)})
    assert change_between(before["layer1.weight"], attached["layer1.weight"]).moved


def _others(parameters):
    return {name: tensor for name, tensor in parameters.items() if name != "layer1.weight"}
