from datetime import UTC, datetime

import pytest

from sweep.peak import peak_gigaflop_per_second, training_gigaflop
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")


def outcome(*, workload="article", steps=100, frozen=50, failed=False):
    held = Measurement(frozen, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
    return Outcome(
        PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0), workload, steps),
        ENVIRONMENT,
        "torch 2.13.0",
        Verdict.FAILED if failed else Verdict.HOLDS,
        None if failed else held,
        None,
        False,
        0.0,
        None,
        datetime.now(UTC),
    )


def test_a_trial_of_the_article_is_its_products():
    inputs, outputs = 2 * 5000 * 196 * 64, 2 * 5000 * 64 * 3  # of layer1 and layer2, in FLOP
    attached, frozen = 2 * inputs + 3 * outputs, inputs + 2 * outputs
    assert training_gigaflop(outcome()) == pytest.approx((50 * attached + 50 * frozen) / 1e9)
    assert training_gigaflop(outcome(frozen=0)) == pytest.approx(100 * attached / 1e9)


@pytest.mark.parametrize("unknown", [{"failed": True}, {"workload": "mine:function"}])
def test_what_is_not_known_counts_as_nothing(unknown):
    assert training_gigaflop(outcome(**unknown)) == 0.0


@pytest.mark.slow
def test_the_peak_is_more_than_a_core_of_any_machine_does_in_python():
    assert peak_gigaflop_per_second(1, seconds=0.05) > 0.1
