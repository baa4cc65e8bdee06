"""The sum of a trial's steps."""

import math

import pytest

from sweep.trial.probe import STILL, Change
from sweep.trial.tally import Tally
from sweep.values.words import GradState, Verdict

MOVE = Change(moved=True, max_change=2.0, l2=3.0)


def tally_of(*steps, losses=(1.0,), grad=GradState.ZERO, trace=False):
    """A tally of (frozen, change) pairs."""
    tally = Tally(trace)
    for step, (frozen, change) in enumerate(steps):
        tally.add(step, frozen=frozen, losses=list(losses), grad=grad, change=change)
    return tally


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([(False, MOVE), (True, MOVE)], Verdict.LEAKS),
        ([(False, MOVE), (True, STILL)], Verdict.HOLDS),
        ([(False, STILL), (True, STILL)], Verdict.INERT),
        ([(False, STILL), (True, MOVE)], Verdict.LEAKS),
        ([(True, STILL)], Verdict.HOLDS),
        ([(True, MOVE)], Verdict.LEAKS),
        ([(False, MOVE)], Verdict.HOLDS),
    ],
)
def test_the_verdict_follows_from_which_steps_moved_the_layer(steps, verdict):
    assert tally_of(*steps).verdict is verdict


def test_drift_is_summed_over_frozen_steps_and_motion_over_attached_ones():
    small = Change(moved=True, max_change=0.5, l2=1.0)
    tally = tally_of((False, MOVE), (True, small), (True, STILL), (True, MOVE), (False, MOVE))
    found = tally.measurement(finite_parameters=True)
    assert (found.frozen_steps, found.leaked_steps, found.first_leak_step) == (3, 2, 1)
    assert (found.max_drift, found.total_drift, found.attached_motion) == (2.0, 4.0, 6.0)
    assert found.drift_ratio == pytest.approx(4 / 6)


def test_nan_is_given_as_none_and_infinity_is_kept():
    became_nan = Change(moved=True, max_change=math.nan, l2=math.nan)
    exploded = Change(moved=True, max_change=math.inf, l2=math.inf)
    found = tally_of((True, MOVE), (True, became_nan)).measurement(finite_parameters=False)
    assert found.max_drift == 2.0  # the largest that is a number
    assert found.total_drift is None
    assert found.diverged
    assert tally_of((True, exploded)).measurement(finite_parameters=True).max_drift == math.inf
    only_nan = tally_of((True, became_nan)).measurement(finite_parameters=True)
    assert only_nan.max_drift is None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_divergence(loss):
    found = tally_of((False, MOVE), losses=(1.0, loss)).measurement(finite_parameters=True)
    assert found.diverged
    assert found.initial_loss == found.final_loss == 1.0  # the first forward pass of the step


def test_steps_are_kept_only_when_tracing():
    assert tally_of((True, MOVE)).steps == []
    (record,) = tally_of((True, MOVE), losses=(math.nan,), trace=True).steps
    assert (record.step, record.frozen, record.moved, record.max_change) == (0, True, True, 2.0)
    assert record.loss is None
