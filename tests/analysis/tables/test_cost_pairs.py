"""What a leak costs: pairs by seed, intervals, and as few claims as the seeds bear out."""

import numpy as np
import pandas as pd
import pytest

from analysis.exceptions import NothingToDrawError
from analysis.figures.cost_by_drift import cost_by_drift
from analysis.tables import summary_table
from analysis.tables.cost_pairs import _holm, cost

HELD = (0.90, 0.91, 0.89, 0.92, 0.90, 0.88, 0.91, 0.90)


def rows(scores, **setting):
    leaks = setting.get("zero_grad", "zero") != "none"
    given = {"verdict": "leaks", "causes": "decay"} if leaks else {"zero_grad": "none"}
    measures = {"total_drift": 1.0, "frozen_norm": 4.0, "final_loss": 0.5}
    return [
        measures | given | setting | {"seed": seed, "score": score}
        for seed, score in enumerate(scores)
    ]


def pair(changes, **setting):
    leaking = [held + change for held, change in zip(HELD, changes, strict=False)]
    held = rows(HELD[: len(leaking)], **setting | {"zero_grad": "none"})
    return [*rows(leaking, **setting), *held]


def test_a_leak_that_costs_on_every_seed_is_worse(trials):
    changes = (-0.3, -0.31, -0.29, -0.3, -0.32, -0.3, -0.28, -0.3)
    (row,) = cost(trials(*pair(changes))).itertuples()
    assert row.finding == "worse"
    assert (row.seeds, row.worse, row.better) == (8, 8, 0)
    assert row.score_change == pytest.approx(-0.3)
    assert -0.32 <= row.score_low <= row.score_change <= row.score_high <= -0.28
    assert row.remedied_score == pytest.approx(0.90)
    assert row.relative_drift == 0.25
    assert (row.remedy, row.causes, row.comparisons) == ("zero_grad = none", "decay", 1)


def test_what_goes_one_way_and_the_other_is_no_claim(trials):
    changes = (-0.1, 0.1, -0.12, 0.09, 0.11, -0.1, 0.1, -0.1)
    (row,) = cost(trials(*pair(changes))).itertuples()
    assert row.finding == "no difference that 8 seeds can show"
    assert row.score_low < 0 < row.score_high


def test_one_comparison_among_many_has_to_be_clearer(trials):
    doubtful = (-0.02, -0.01, -0.03, 0.004, -0.02, -0.01, -0.03, -0.01)
    alone = cost(trials(*pair(doubtful)))
    noise = np.random.default_rng(0).normal(scale=0.05, size=(40, 8))
    others = [row for lr, changes in enumerate(noise) for row in pair(changes, lr=2.0 + lr)]
    among = cost(trials(*pair(doubtful), *others)).set_index("lr").loc[1.0]
    assert alone["finding"].tolist() == ["worse"]
    assert among["finding"] == "no difference that 8 seeds can show"
    assert among["p"] == alone["p"].item()
    assert among["comparisons"] == 41


def test_the_correction_is_holms():
    p = pd.Series([0.01, 0.04, np.nan, 0.03, 0.005])
    assert _holm(p).tolist() == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)


def test_three_seeds_are_too_few(trials):
    (row,) = cost(trials(*pair((-0.3, -0.3, -0.31)))).itertuples()
    assert row.finding == "3 seeds cannot tell"
    assert np.isnan(row.score_low)


def test_the_same_change_on_every_seed_is_judged_by_its_sign_alone(trials):
    held = rows([0.5] * 8, zero_grad="none")
    worse = cost(trials(*rows([0.25] * 8), *held))
    same = cost(trials(*rows([0.5] * 8), *held))
    assert worse["p"].item() == 2 / 2**8
    assert (same["p"].item(), same["score_high"].item()) == (1.0, 0.0)


def test_a_twin_that_leaks_is_none_and_another_remedy_is_looked_for(trials):
    leaking_twin = [row | {"verdict": "leaks"} for row in rows(HELD, zero_grad="none")]
    assert cost(trials(*rows(HELD), *leaking_twin)).empty
    held = rows(HELD, freeze="own_optimizer", verdict="holds", causes=None)
    (row,) = (
        cost(trials(*rows(HELD), *leaking_twin, *held)).query("zero_grad == 'zero'").itertuples()
    )
    assert row.remedy == "freeze = own_optimizer"


def test_an_axis_that_does_not_apply_keeps_nobody_from_a_twin(trials):
    assert len(cost(trials(*pair((-0.1,) * 8, optimizer="Adagrad", momentum=None)))) == 1


def test_a_seed_without_a_score_is_in_no_pair(trials):
    pairs = pair((-0.3, -0.31, -0.29, -0.3, -0.32))
    pairs[0] = pairs[0] | {"score": None}
    assert cost(trials(*pairs))["seeds"].tolist() == [4]


def test_the_loss_is_compared_on_every_seed_or_on_none(trials):
    pairs = pair((-0.3, -0.31, -0.29, -0.3, -0.32))
    assert cost(trials(*pairs))["loss_change"].tolist() == [0.0]
    for diverged in (None, float("inf")):
        pairs[0] = pairs[0] | {"final_loss": diverged}
        (row,) = cost(trials(*pairs)).itertuples()
        assert row.seeds == 5
        assert np.isnan([row.loss_change, row.loss_low, row.loss_high]).all()


def test_sweeps_are_corrected_each_by_itself(trials):
    both = [*pair((-0.1, -0.2) * 4), *pair((-0.1, -0.2) * 4, sweep="t")]
    assert cost(trials(*both))["comparisons"].tolist() == [1, 1]


def test_trials_without_scores_cost_nothing_that_is_known(database):
    url = database(s=[{"verdict": "leaks", "causes": "decay"}, {"zero_grad": "none"}])
    assert summary_table("cost", url).empty


def test_the_table_is_read_from_the_database(database):
    url = database(s=pair((-0.3, -0.31, -0.29, -0.3, -0.32, -0.3, -0.28, -0.3)))
    assert summary_table("cost", url, "s")["finding"].tolist() == ["worse"]


def test_the_figure_says_how_many_cost_and_draws_each(trials):
    worse = pair((-0.3, -0.31, -0.29, -0.3, -0.32, -0.3, -0.28, -0.3))
    chart = cost_by_drift(trials(*worse, *pair((0.1, -0.1) * 4, lr=2.0))).to_dict()
    title = " ".join(chart["title"]["text"])
    assert title.startswith(
        "Of 2 leaking settings with zeroed grads, 1 end worse than their remedied twin, 0"
    )
    with pytest.raises(NothingToDrawError, match="has a score and a twin that holds"):
        cost_by_drift(trials(*rows(HELD, zero_grad="none")))


def test_the_order_of_trials_changes_no_interval(trials):
    rows = pair((-0.3, -0.2, 0.1, -0.25, -0.32, 0.04, -0.28, -0.1))
    pd.testing.assert_frame_equal(cost(trials(*rows)), cost(trials(*rows[::-1])))
