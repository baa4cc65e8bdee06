"""What a search found: ranked, in front, and on both sides of an edge."""

import pytest

from analysis.found import edges, pareto, with_change_of_score, worst_first

MORE, LESS = "drift_ratio", "final_loss"


def ids(frame):
    return frame["id"].tolist()


@pytest.fixture
def searched(trials):
    """Trials of (drift_ratio, final_loss), with what else a row says."""

    def make(*rows):
        return trials(*({MORE: more, LESS: less} | rest for more, less, rest in rows))

    return make


def test_the_worst_is_first_by_what_is_looked_for(searched):
    frame = searched((1.0, 3.0, {}), (3.0, 2.0, {}), (2.0, 1.0, {}))
    assert ids(worst_first(frame, [MORE])) == [2, 3, 1]
    assert ids(worst_first(frame, [LESS])) == [3, 2, 1]


def test_what_failed_diverged_or_has_no_number_is_not_ranked(searched):
    frame = searched(
        (1.0, 1.0, {}),
        (9.0, 0.1, {"verdict": "failed"}),
        (9.0, 0.1, {"diverged": True}),
        (None, 0.1, {}),
        (9.0, float("inf"), {}),
    )
    assert ids(worst_first(frame, [MORE, LESS])) == [1]


def test_the_front_is_beaten_by_no_trial_and_keeps_equal_ones(searched):
    frame = searched(
        (3.0, 3.0, {}), (2.0, 1.0, {}), (2.0, 2.0, {}), (1.0, 1.0, {}), (3.0, 3.0, {}),
        (2.5, 2.5, {}),
    )  # fmt: skip
    assert set(ids(pareto(frame, [MORE, LESS]))) == {1, 2, 5, 6}


def test_an_edge_is_between_neighbours_that_differ_in_the_axis_alone(trials):
    rows = [
        {"lr": lr, "seed": seed, "verdict": "leaks" if lr > cut else "holds", "total_drift": lr / 4}
        for seed, cut in ((0, 2.5), (1, 9.0))
        for lr in (3.0, 1.0, 2.0)
    ]
    (edge,) = edges(trials(*rows), "lr").to_dict("records")
    assert (edge["below"], edge["above"], edge["seed"]) == (2.0, 3.0, 0)
    assert (edge["verdict_below"], edge["verdict_above"]) == ("holds", "leaks")
    assert edge["drift"] == 0.75


def test_what_a_leak_takes_from_the_score_is_told_beside_its_twin(trials):
    leak = {"verdict": "leaks", "causes": "decay"}
    frame = trials(
        leak | {"score": 0.5},
        {"freeze": "grad_none", "score": 0.75},
        {"lr": 9.0, "score": 0.1},  # low for another reason
        leak | {"lr": 2.0, "score": 0.2},  # without a twin
        leak | {"lr": 3.0, "score": 0.2},
        leak | {"lr": 3.0, "score": 0.3, "freeze": "grad_none"},  # which leaks, too
    )
    found = with_change_of_score(frame)["score_change"]
    assert found.isna().tolist() == [False, False, False, True, True, True]
    assert found[:3].tolist() == [-0.25, 0.0, 0.0]
    assert ids(worst_first(with_change_of_score(frame), ["score_change"])) == [1, 2, 3]
