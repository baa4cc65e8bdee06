"""Planted optimizers: each leak is attributed to the sources that were planted, exactly."""

import pytest

from sweep.trial.causes import movements
from sweep.trial.replay import Replay
from sweep.trial.trial import run_trial
from sweep.values.outcome import Causes
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Verdict, ZeroGrad

LAYER = frozenset({"layer1.weight"})
HISTORY, DECAY, GRADIENT, INTRINSIC, DESPITE_NONE = range(5)


def planned(optimizer, zero_grad="zero", decay=0.0, **changes):
    setting = Setting(
        optimizer if "." in optimizer else f"planted:{optimizer}",
        lr=0.1,
        weight_decay=decay,
        momentum=None,
        zero_grad=ZeroGrad(zero_grad),
        **changes,
    )
    return PlannedTrial(setting, "small", 4)


def causes(*columns):
    return Causes(*(column in columns for column in range(5)))


LEAKS = [
    # optimizer, zero_grad, weight decay, the sources planted
    ("Momentum", "zero", 0.0, (HISTORY,)),
    ("Momentum", "never", 0.0, (HISTORY, GRADIENT)),
    ("MomentumInGroup", "zero", 0.0, (HISTORY,)),
    ("MomentumInAttribute", "zero", 0.0, (HISTORY,)),
    ("Anchor", "zero", 0.0, (HISTORY,)),
    ("MomentumWithClosure", "zero", 0.0, (HISTORY,)),
    ("Decay", "zero", 0.1, (DECAY,)),
    ("Decay", "never", 0.1, (DECAY, GRADIENT)),
    ("Decay", "never", 0.0, (GRADIENT,)),
    ("DecayInAttribute", "zero", 0.1, (DECAY,)),
    ("DecayInUnreadGroup", "zero", 0.1, (DECAY,)),
    ("Plain", "never", 0.0, (GRADIENT,)),
    ("Plain", "never", 0.1, (GRADIENT,)),
    ("MomentumAndDecay", "zero", 0.0, (HISTORY,)),
    ("MomentumAndDecay", "zero", 0.1, (HISTORY, DECAY)),
    ("MomentumAndDecay", "never", 0.1, (HISTORY, DECAY, GRADIENT)),
    ("MomentumAndDecayInAttribute", "zero", 0.1, (HISTORY, DECAY)),
    ("DecayThatGrows", "zero", 0.1, ()),
    ("Drift", "zero", 0.0, (INTRINSIC,)),
    ("Drift", "never", 0.0, (INTRINSIC, GRADIENT)),
    ("NoisyDrift", "zero", 0.0, (INTRINSIC,)),
    ("DriftAndMomentum", "zero", 0.0, (INTRINSIC, HISTORY)),
    ("DriftAndDecay", "zero", 0.1, (INTRINSIC, DECAY)),
    ("MomentumDespiteNone", "none", 0.0, (HISTORY, DESPITE_NONE)),
    ("MomentumDespiteNone", "zero", 0.0, (HISTORY, DESPITE_NONE)),
    ("DecayDespiteNone", "none", 0.1, (DECAY, DESPITE_NONE)),
    ("DriftDespiteNone", "none", 0.0, (INTRINSIC, DESPITE_NONE)),
    ("DriftHalvedByNone", "none", 0.0, (INTRINSIC, DESPITE_NONE)),
    ("SharedStepAndMomentum", "zero", 0.0, (HISTORY,)),
]


@pytest.mark.parametrize(("optimizer", "zero_grad", "decay", "planted"), LEAKS)
def test_a_leak_has_exactly_the_causes_that_were_planted(optimizer, zero_grad, decay, planted):
    outcome = run_trial(planned(optimizer, zero_grad, decay))
    assert outcome.verdict is Verdict.LEAKS, outcome.error
    assert outcome.causes == causes(*planted)


HOLDS = [
    ("Plain", "zero", 0.1),
    ("Momentum", "none", 0.0),
    ("Decay", "none", 0.1),
    ("Decay", "zero", 0.0),
    ("Drift", "none", 0.0),
    ("DecayDespiteNone", "none", 0.0),
]


@pytest.mark.parametrize(("optimizer", "zero_grad", "decay"), HOLDS)
def test_a_trial_without_an_active_source_holds_and_has_no_causes(optimizer, zero_grad, decay):
    outcome = run_trial(planned(optimizer, zero_grad, decay))
    assert (outcome.verdict, outcome.causes) == (Verdict.HOLDS, None)


SIDEWAYS = [
    # optimizer, zero_grad, its verdict, whether zeros slow the other parameters down
    ("SharedStep", "zero", Verdict.HOLDS, True),
    ("SharedStep", "none", Verdict.HOLDS, False),
    ("SharedStep", "never", Verdict.LEAKS, True),
    ("SharedStepAndMomentum", "zero", Verdict.LEAKS, True),
    ("Plain", "zero", Verdict.HOLDS, False),
    ("Momentum", "zero", Verdict.LEAKS, False),
]


@pytest.mark.parametrize(("optimizer", "zero_grad", "verdict", "sideways"), SIDEWAYS)
def test_sideways_is_whether_the_grad_changes_how_others_move(
    optimizer, zero_grad, verdict, sideways
):
    outcome = run_trial(planned(optimizer, zero_grad))
    assert (outcome.verdict, outcome.sideways) == (verdict, sideways)


LATER = ["after:2", "every:3", "alternate"]


@pytest.mark.parametrize("schedule", LATER)
def test_the_causes_do_not_depend_on_when_the_first_leak_comes(schedule):
    outcome = run_trial(planned("MomentumAndDecay", decay=0.1, schedule=schedule))
    assert outcome.causes == causes(HISTORY, DECAY)


def test_a_fresh_grad_that_the_way_of_freezing_lets_through_is_a_cause():
    outcome = run_trial(planned("torch.optim:Rprop", "none", freeze=Freeze.LR_ZERO))
    assert outcome.causes == causes(GRADIENT)


def test_two_attributions_of_one_leak_have_the_same_bits():
    trial = planned("NoisyDrift")
    first, second = (movements(Replay(trial), 1, LAYER) for _ in range(2))
    assert first == second


def test_sources_that_do_not_meet_add_up_to_the_whole():
    moved = movements(Replay(planned("MomentumAndDecay", decay=0.1)), 1, LAYER)
    assert moved.whole.l2 <= (moved.history.l2 + moved.decay.l2) * (1 + 1e-6)
    assert moved.history.l2 < moved.whole.l2 or moved.decay.l2 < moved.whole.l2


def test_history_is_what_it_adds_to_a_term_that_moves_the_layer_anyway():
    alone = movements(Replay(planned("Momentum")), 1, LAYER)
    beside = movements(Replay(planned("DriftAndMomentum")), 1, LAYER)
    assert beside.intrinsic.max_change == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert beside.history.l2 == pytest.approx(alone.history.l2, rel=0.05)
