"""Planted optimizers: each leak is attributed to the sources that were planted, exactly."""

import pytest

from sweep.trial.causes import NOT_REPEATED, movements
from sweep.trial.diary import Witness
from sweep.trial.moment import copies
from sweep.trial.reach import Reach
from sweep.trial.replay import IN_BACKWARD, Replay, Reruns
from sweep.trial.training import Training
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Source, Verdict, ZeroGrad


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


NO_SWITCH = "weight decay cannot be switched off with the state kept"

LEAKS = [
    # optimizer, zero_grad, weight decay, its causes, whether it moves despite None
    ("Momentum", "zero", 0.0, "history", False),
    ("Momentum", "never", 0.0, "gradient, history", False),
    ("MomentumInGroup", "zero", 0.0, "history", False),
    ("MomentumInAttribute", "zero", 0.0, "history", False),
    ("MomentumOfParameters", "zero", 0.0, "history", False),
    ("Anchor", "zero", 0.0, "history", False),
    ("MomentumWithClosure", "zero", 0.0, "history", False),
    ("Decay", "zero", 0.1, "decay", False),
    ("Decay", "never", 0.1, "decay, gradient", False),
    ("Decay", "never", 0.0, "gradient", False),
    ("Plain", "never", 0.0, "gradient", False),
    ("Plain", "never", 0.1, "gradient", False),
    ("MomentumAndDecay", "zero", 0.0, "history", False),
    ("MomentumAndDecay", "zero", 0.1, "decay, history", False),
    ("MomentumAndDecay", "never", 0.1, "decay, gradient, history", False),
    ("DecayThatGrows", "zero", 0.1, "history+decay", False),
    ("Drift", "zero", 0.0, "intrinsic", False),
    ("Drift", "never", 0.0, "intrinsic, gradient", False),
    ("NoisyDrift", "zero", 0.0, "intrinsic", False),
    ("DriftAndMomentum", "zero", 0.0, "intrinsic, history", False),
    ("DriftAndDecay", "zero", 0.1, "intrinsic, decay", False),
    ("MomentumDespiteNone", "none", 0.0, "history", True),
    ("MomentumDespiteNone", "zero", 0.0, "history", True),
    ("DecayDespiteNone", "none", 0.1, "decay", True),
    ("DriftDespiteNone", "none", 0.0, "intrinsic", True),
    ("DriftHalvedByNone", "none", 0.0, "intrinsic", True),
    ("SharedStepAndMomentum", "zero", 0.0, "history", False),
    # each pair and the three of them, where only the product of them moves anything
    ("MomentumTimesGrad", "never", 0.0, "history+gradient", False),
    ("DecayTimesGrad", "never", 0.1, "decay+gradient", False),
    ("AllThreeTogether", "never", 0.1, "history+decay+gradient", False),
    # opposed: what each undoes of the other is no cause of its own
    ("Cancelling", "zero", 0.0, "history", False),
    ("Cancelling", "never", 0.1, "decay, gradient, history", False),
    # history wherever it is kept
    ("MomentumOfAll", "zero", 0.0, "history", False),
    ("FlagOfAll", "zero", 0.0, "history", False),
    ("FlagInModule", "zero", 0.0, "history", False),
    ("TensorOfAll", "zero", 0.0, "history", False),
    ("MomentumInDefault", "zero", 0.0, "history", False),
    ("MomentumInClosure", "zero", 0.0, "history", False),
    ("MomentumInSlots", "zero", 0.0, "history", False),
    ("MomentumOnParameters", "zero", 0.0, "history", False),
    ("MomentumById", "zero", 0.0, "history", False),
    ("MomentumInGrad", "zero", 0.0, "history", False),
    ("Lookahead", "none", 0.0, "history", True),
    ("ExitsWhenCopied", "zero", 0.0, "history", False),
    ("OwnGenerator", "zero", 0.0, "intrinsic, history", False),
    # decay, however the step gets at the parameters
    ("DecayOfAll", "zero", 0.1, "decay", False),
    ("ReplacesData", "zero", 0.1, "decay", False),
    ("SplitsItsGroups", "zero", 0.1, "decay", False),
    ("SkipsItsFirst", "zero", 0.1, "history+decay", False),
    ("SkipsItsFirst", "never", 0.1, "history+decay, history+gradient", False),
]


@pytest.mark.parametrize(("optimizer", "zero_grad", "decay", "sets", "despite"), LEAKS)
def test_a_leak_has_exactly_the_causes_that_were_planted(
    optimizer, zero_grad, decay, sets, despite
):
    outcome = run_trial(planned(optimizer, zero_grad, decay))
    assert outcome.verdict is Verdict.LEAKS, outcome.error
    assert (outcome.causes.sets, outcome.unexplained) == (sets, None)
    assert outcome.causes.despite_none is despite


@pytest.mark.parametrize(("optimizer", "zero_grad", "decay", "sets", "despite"), LEAKS)
def test_a_source_is_a_cause_where_it_is_in_one_of_the_sets(
    optimizer, zero_grad, decay, sets, despite
):
    causes = run_trial(planned(optimizer, zero_grad, decay)).causes
    named = {source for each in sets.split(", ") for source in each.split("+")}
    for source in ("history", "decay", "gradient", "intrinsic"):
        assert getattr(causes, f"by_{source}") is (source in named)


UNEXPLAINED = [
    # optimizer, zero_grad, weight decay, why its causes cannot be found
    ("DecayInAttribute", "zero", 0.1, NO_SWITCH),
    ("DecayInUnreadGroup", "zero", 0.1, NO_SWITCH),
    ("MomentumAndDecayInAttribute", "zero", 0.1, NO_SWITCH),
    ("LateDecay", "zero", 0.1, NO_SWITCH),
    ("LateDecay", "never", 0.1, NO_SWITCH),
    ("NeedsDecay", "zero", 0.1, "a replay raised ValueError: weight_decay must be > 0"),
    ("ActsInBackward", "zero", 0.0, IN_BACKWARD),
    ("DrawsAnew", "zero", 0.0, NOT_REPEATED),
    ("KnowsTheTime", "zero", 0.0, NOT_REPEATED),
    ("DecayUnderItsOwnKey", "zero", 0.1, NO_SWITCH),
    ("NotOfTorch", "zero", 0.1, NO_SWITCH),
    ("LeavesWhenNew", "zero", 0.0, "a replay raised SystemExit: 3"),
]


@pytest.mark.parametrize(("optimizer", "zero_grad", "decay", "reason"), UNEXPLAINED)
def test_causes_that_no_replay_can_tell_are_left_open_with_the_reason(
    optimizer, zero_grad, decay, reason
):
    outcome = run_trial(planned(optimizer, zero_grad, decay, schedule="after:3"))
    assert outcome.verdict is Verdict.LEAKS, outcome.error
    assert (outcome.causes, outcome.unexplained) == (None, reason)


def test_a_workload_that_is_another_when_it_is_built_again_has_no_causes():
    setting = Setting("Adam", 0.1, 0.0, 0.9, ZeroGrad.ZERO)
    outcome = run_trial(PlannedTrial(setting, "planted_workloads:drifting", 4))
    assert outcome.verdict is Verdict.LEAKS
    assert (outcome.causes, outcome.unexplained) == (None, NOT_REPEATED)


def test_a_reason_is_cut_where_what_was_raised_is_endless():
    setting = Setting("planted:NeedsDecay", 0.1, 0.1, None, ZeroGrad.ZERO)
    outcome = run_trial(PlannedTrial(setting, "small", 4, '{"words":100000}'))
    assert outcome.verdict is Verdict.LEAKS
    assert outcome.unexplained.startswith("a replay raised ValueError: weight_decay must be > 0")
    assert len(outcome.unexplained) < 400


SPARSE = [("none", Verdict.HOLDS, None), ("zero", Verdict.HOLDS, None),
          ("never", Verdict.LEAKS, "gradient, history")]  # fmt: skip


@pytest.mark.parametrize(("zero_grad", "verdict", "sets"), SPARSE)
def test_a_sparse_grad_that_is_switched_off_still_lists_its_rows(zero_grad, verdict, sets):
    setting = Setting("SparseAdam", 0.1, None, 0.9, ZeroGrad(zero_grad))
    outcome = run_trial(PlannedTrial(setting, "planted_workloads:sparse", 4))
    assert (outcome.verdict, outcome.unexplained) == (verdict, None)
    assert (outcome.causes.sets if outcome.causes else None) == sets


HOLDS = [
    ("Plain", "zero", 0.1),
    ("Momentum", "none", 0.0),
    ("Decay", "none", 0.1),
    ("Decay", "zero", 0.0),
    ("Drift", "none", 0.0),
    ("DecayDespiteNone", "none", 0.0),
    ("Cancelling", "zero", 0.1),
    ("AllThreeTogether", "zero", 0.1),
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
    assert outcome.causes.sets == "decay, history"


def test_a_fresh_grad_that_the_way_of_freezing_lets_through_is_a_cause():
    outcome = run_trial(planned("torch.optim:Rprop", "none", freeze=Freeze.LR_ZERO))
    assert outcome.causes.by_gradient


def moved(trial):
    """What the sources of the first leaking step do."""
    training = Training(trial)
    training.advance(0, 1)
    before = copies(training.frozen_parameters)
    training.run(1)
    witness = Witness.of(training, before)
    return movements(Replay(Reruns(Reach(trial, Training), witness)))


def test_two_attributions_of_one_leak_have_the_same_bits():
    first, second = (moved(planned("NoisyDrift")) for _ in range(2))
    assert first == second


def test_sources_that_do_not_meet_add_up_to_the_whole():
    found = moved(planned("MomentumAndDecay", decay=0.1))
    history, decay = found.alone[Source.HISTORY], found.alone[Source.DECAY]
    assert found.whole.l2 <= (history.l2 + decay.l2) * (1 + 1e-6)
    assert history.l2 < found.whole.l2 or decay.l2 < found.whole.l2


def test_history_is_what_it_adds_to_a_term_that_moves_the_layer_anyway():
    alone, beside = moved(planned("Momentum")), moved(planned("DriftAndMomentum"))
    history = Source.HISTORY
    assert beside.intrinsic.max_change == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert beside.alone[history].l2 == pytest.approx(alone.alone[history].l2, rel=0.05)
