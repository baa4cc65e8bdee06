"""The seeded loop of faults, and that it would tell."""

import os

import loop
import pytest
from kinds import kinds
from quick_leaksweep import TRIAL_S
from scene import TRIALS, Ended

FAULTS = int(os.environ.get("LEAKSWEEP_FAULTS", len(kinds())))  # `make test-faults`: more of each


@pytest.mark.slow
def test_no_fault_loses_or_doubles_a_trial_and_each_is_told_in_one_message():
    tally = loop.run(FAULTS)
    assert tally.wrong == []
    assert (tally.faults.total(), tally.recorded) == (FAULTS, FAULTS * TRIALS)
    assert (tally.lost, tally.doubled) == (0, 0)


@pytest.mark.parametrize(
    "ended",
    [
        Ended(2, "Cannot write.\nAnd once more.\n"),
        Ended(2, "mine: 3 of 80 trials are recorded.\n"),
        Ended(2, 'Traceback (most recent call last):\n  File "x.py"\n'),
        Ended(3, "What is this?\n"),
        Ended(0, "Something to worry about.\n"),
    ],
)
def test_a_driver_that_says_too_much_or_too_little_is_told(ended):
    with pytest.raises(AssertionError):
        loop.check_message(ended, {0, 2})


def test_a_sweep_lasts_long_enough_to_be_hit():
    assert TRIALS * TRIAL_S > 1.0
