from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.tables.leak_rules import MOST_TERMS, RULE_AXES, find_rules, rules

VALUES = {
    "zero_grad": ["none", "zero", "never"],
    "momentum": [0.0, 0.5, 0.9],
    "weight_decay": [0.0, 0.01],
    "freeze": ["detach", "grad_none"],
    "schedule": ["alternate", "after:3"],
    "lr": [1.0, 0.01],
}


HOLDING = ("grad_none", "own_optimizer")


def sgd(zero_grad, momentum, weight_decay):
    """What plain SGD does: DESIGN.md's own example of a rule."""
    moves = zero_grad == "never" or (zero_grad == "zero" and (momentum > 0 or weight_decay > 0))
    return "leaks" if moves else "holds"


def grid(verdict, **fixed):
    return [
        {"zero_grad": z, "momentum": m, "weight_decay": d, "lr": lr, "verdict": verdict(z, m, d)}
        | fixed
        for z in VALUES["zero_grad"]
        for m in (0.0, 0.9)
        for d in (0.0, 0.01, 0.5)
        for lr in (1.0, 0.01)
    ]


def table_of(trials, rows):
    return rules(trials(*rows)).iloc[0]


@pytest.mark.parametrize(
    ("verdict", "text", "axes"),
    [
        (
            sgd,
            "leaks when zero_grad = zero and (momentum > 0 or weight_decay > 0), "
            "or zero_grad = never",
            "zero_grad, momentum, weight_decay",
        ),
        (lambda z, m, d: "leaks", "always leaks", None),
        (lambda z, m, d: "holds", "never leaks", None),
        (
            lambda z, m, d: "holds" if z == "none" else "leaks",
            "leaks when zero_grad in {zero, never}",
            "zero_grad",
        ),
        (
            lambda z, m, d: "leaks" if d > 0.01 else "holds",
            "leaks when weight_decay > 0.01",
            "weight_decay",
        ),
        (
            lambda z, m, d: "leaks" if d == 0.01 else "holds",
            "leaks when 0 < weight_decay <= 0.01",
            "weight_decay",
        ),
        (lambda z, m, d: "leaks" if m == 0 else "holds", "leaks when momentum = 0", "momentum"),
    ],
)
def test_the_rule_of_a_whole_grid_is_the_one_behind_it(trials, verdict, text, axes):
    row = table_of(trials, grid(verdict))
    assert row["rule"] == text
    assert (None if row.isna()["axes"] else row["axes"]) == axes
    assert row[["exact", "trials", "exceptions", "minimal"]].tolist() == [True, 36, 0, True]


def test_each_optimizer_of_each_sweep_has_its_own_rule(trials):
    always = grid(lambda z, m, d: "leaks", optimizer="LBFGS")
    table = rules(trials(*grid(sgd), *always, *grid(sgd, sweep="t")))
    assert table[["sweep", "optimizer"]].to_numpy().tolist() == [
        ["s", "LBFGS"],
        ["s", "SGD"],
        ["t", "SGD"],
    ]


def test_seeds_that_disagree_are_counted_and_named(trials):
    frame = trials(
        {"lr": 1.0, "verdict": "leaks", "seed": 0},
        {"lr": 1.0, "verdict": "leaks", "seed": 1},
        {"lr": 1.0, "verdict": "holds", "seed": 2},
        {"lr": 0.5, "verdict": "holds", "seed": 0},
    )
    row = rules(frame).iloc[0]
    assert row["rule"] == "leaks when lr > 0.5"
    assert row[["exact", "trials", "exceptions"]].tolist() == [False, 4, 1]
    assert row["undecided"].startswith("2 of 3 leak at zero_grad=zero momentum=0")


def test_undecided_settings_beyond_the_first_few_are_counted(trials):
    rows = [
        {"lr": float(lr), "seed": seed, "verdict": verdict}
        for lr in range(5)
        for seed, verdict in enumerate(["leaks", "holds"])
    ]
    assert table_of(trials, rows)["undecided"].endswith("; and 2 more")


def test_failed_and_inert_trials_decide_nothing(trials):
    frame = trials(
        {"verdict": "leaks"},
        {"verdict": "inert", "lr": 2.0},
        {"verdict": "failed", "lr": 3.0},
        {"verdict": "failed", "optimizer": "Broken"},
    )
    table = rules(frame)
    assert table[["optimizer", "rule", "trials"]].to_numpy().tolist() == [
        ["SGD", "always leaks", 1]
    ]


def test_a_word_is_not_named_where_another_term_has_it(trials):
    """Of Rprop, whose step size the rate does not set: "lr_zero" alone, not in both terms."""
    rows = [
        {"zero_grad": word, "freeze": way, "verdict": "leaks" if leaks else "holds"}
        for word in VALUES["zero_grad"]
        for way in ("detach", "no_grad", "requires_grad", "grad_none", "lr_zero", "own_optimizer")
        for leaks in [way == "lr_zero" or (word == "never" and way not in HOLDING)]
    ]
    assert table_of(trials, rows)["rule"] == (
        "leaks when zero_grad = never and freeze in {detach, no_grad, requires_grad}, "
        "or freeze = lr_zero"
    )


def searched(number, flipped, seed=0):
    """Settings over continuous axes, of which ``flipped`` have the wrong verdict."""
    chance = np.random.default_rng(seed)
    decays = np.where(chance.random(number) < 0.3, 0, 10 ** chance.uniform(-9, -1, number))
    wrong = chance.permutation(number) < flipped
    return [
        {"zero_grad": word, "weight_decay": decay, "lr": rate, "sweep_kind": "search"}
        | {"verdict": "leaks" if (word != "none" and decay > 1e-5) != flip else "holds"}
        for word, decay, rate, flip in zip(
            chance.choice(VALUES["zero_grad"], number),
            decays.tolist(),
            (10 ** chance.uniform(-4, 0, number)).tolist(),
            wrong.tolist(),
            strict=True,
        )
    ]


def test_a_number_with_many_values_has_a_threshold_in_few_digits(trials):
    rows = searched(300, 0)
    row = table_of(trials, rows)
    sentence = "leaks when zero_grad in {zero, never} and weight_decay > "
    assert row["rule"].startswith(sentence)
    cut = row["rule"].removeprefix(sentence)
    below = max(r["weight_decay"] for r in rows if r["weight_decay"] <= 1e-5)
    above = min(r["weight_decay"] for r in rows if r["weight_decay"] > 1e-5)
    assert below <= float(cut) < above
    assert len(cut) <= len("1e-05")
    assert row[["exact", "exceptions", "minimal"]].tolist() == [True, 0, False]


@pytest.mark.parametrize("seed", range(3))
def test_flipped_verdicts_are_exceptions_to_a_short_sentence(trials, seed):
    row = table_of(trials, searched(1000, 20, seed))
    assert row["rule"].startswith("no short rule found: right about 98")
    assert "of 1,000 trials by the best found of 1 term: leaks when zero_grad" in row["rule"]
    assert len(row["rule"]) < 200
    assert row[["exact", "minimal"]].tolist() == [False, False]


def test_verdicts_by_chance_have_no_short_rule_and_say_how_far_one_goes(trials):
    chance = np.random.default_rng(0)
    rows = [
        {"zero_grad": z, "momentum": m, "schedule": s, "lr": lr}
        | {"verdict": "leaks" if chance.random() < 0.5 else "holds"}
        for z in VALUES["zero_grad"]
        for m in VALUES["momentum"]
        for s in ("alternate", "always", "after:3", "after:5")
        for lr in (1.0, 0.1, 0.01)
    ]
    frame = trials(*rows)
    (found,) = find_rules(frame).values()
    assert not found.short
    assert len(found.rule.terms) <= MOST_TERMS
    wrong = found.rule.evaluate(frame) != (frame["verdict"] == "leaks")
    assert found.exceptions == wrong.sum() > 0
    assert f"right about {len(rows) - wrong.sum()} of 108" in str(found)


def test_an_axis_that_is_null_in_places_is_compared_by_value(trials):
    frame = trials(
        {"momentum": None, "verdict": "leaks"},
        {"momentum": 0.0, "verdict": "holds"},
        {"momentum": 0.9, "verdict": "holds"},
    )
    assert rules(frame)["rule"].tolist() == ["leaks when momentum is null"]


@st.composite
def truth_tables(draw):
    """Rows over up to four axes, a verdict for each point that was recorded."""
    axes = draw(st.lists(st.sampled_from(RULE_AXES), unique=True, min_size=1, max_size=4))
    point = st.tuples(*(st.sampled_from(VALUES[axis]) for axis in axes))
    table = draw(st.dictionaries(point, st.booleans(), min_size=1, max_size=20))
    return [
        dict(zip(axes, values, strict=True)) | {"verdict": "leaks" if leaks else "holds"}
        for values, leaks in table.items()
    ]


def decides(frame, axes):
    """Whether no two trials that agree on ``axes`` differ in their verdict."""
    if not axes:
        return frame["verdict"].nunique() == 1
    groups = frame.groupby(list(axes), observed=True, dropna=False)
    return bool((groups["verdict"].nunique() == 1).all())


@settings(max_examples=40, deadline=None)  # a frame takes a while to build
@given(rows=truth_tables())
def test_a_rule_is_right_about_every_trial(trials, rows):
    frame = trials(*rows)
    (finding,) = find_rules(frame).values()
    assert finding.exact
    assert (finding.rule.evaluate(frame) == (frame["verdict"] == "leaks")).all()


@settings(max_examples=40, deadline=None)  # a frame takes a while to build
@given(rows=truth_tables())
def test_no_smaller_set_of_axes_decides_the_verdict(trials, rows):
    frame = trials(*rows)
    (finding,) = find_rules(frame).values()
    axes = finding.rule.axes
    assert decides(frame, axes)
    fewer = (some for size in range(len(axes)) for some in combinations(RULE_AXES, size))
    assert not any(decides(frame, some) for some in fewer)


@settings(max_examples=40, deadline=None)  # a frame takes a while to build
@given(rows=truth_tables(), seeds=st.lists(st.booleans(), min_size=20, max_size=20))
def test_exceptions_are_the_trials_that_the_rule_is_wrong_about(trials, rows, seeds):
    again = [
        row | {"seed": 1, "verdict": "leaks" if leaks else "holds"}
        for row, leaks in zip(rows, seeds, strict=False)
    ]
    frame = trials(*rows, *again)
    (finding,) = find_rules(frame).values()
    wrong = finding.rule.evaluate(frame) != (frame["verdict"] == "leaks")
    assert finding.exceptions == wrong.sum()
    assert finding.exact == (not wrong.any())


def test_a_searched_number_is_told_as_one_that_words_can_hold(trials):
    held, leaked = 0.013030870731349, 0.013880321234567
    frame = trials({"lr": held}, {"lr": leaked, "verdict": "leaks", "causes": "decay"})
    (row,) = rules(frame).to_dict("records")
    assert row["rule"] == "leaks when lr > 0.0131"
