"""docs/findings.md says what its queries answer."""

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

specification = importlib.util.spec_from_file_location("make_findings", DOCS / "make_findings.py")
make_findings = importlib.util.module_from_spec(specification)
sys.modules["make_findings"] = make_findings  # its dataclasses look themselves up there
specification.loader.exec_module(make_findings)


def test_the_page_is_what_the_queries_answer_today():
    assert (DOCS / "findings.md").read_text(encoding="utf-8") == make_findings.page()


def answers(preset, part):
    """The rows behind the one finding of ``preset`` that has ``part`` in its sentence."""
    findings = (*make_findings.FINDINGS, *make_findings.OF_COSTS)
    (finding,) = (f for f in findings if f.preset == preset and part in f.says)
    return make_findings.database(preset).execute(finding.query).fetchall()


def test_lbfgs_alone_leaks_with_grads_set_to_none():
    assert [row[0] for row in answers("full", "set to None")] == ["LBFGS"]


def test_asgd_and_lbfgs_alone_leak_on_zeros_without_momentum_and_decay():
    assert [row[0] for row in answers("full", "neither momentum")] == ["ASGD", "LBFGS"]


def test_every_trial_whose_grads_are_never_cleared_leaks_by_a_stale_gradient():
    ((trials, leaks, by_gradient),) = answers("full", "never cleared")
    assert trials == leaks == by_gradient


def test_no_layer_detached_on_every_step_moves_but_by_a_step_that_turns_into_nan():
    rows = answers("full", "every step")
    assert [(zero_grad, leaks - by_nan) for zero_grad, _, leaks, by_nan in rows] == [
        ("never", 0),
        ("none", 0),
        ("zero", 0),
    ]


def test_the_counts_in_the_sentence_about_zeros_are_those_of_the_trials():
    rows = answers("atlas", "most optimizers move")
    assert [(leak, leak + hold) for _, _, leak, hold, _ in rows] == [(130, 205), (150, 189)]


def test_no_two_seeds_disagree():
    ((_, disagreeing),) = answers("full", "Seeds agree")
    assert disagreeing == 0


def test_no_grad_and_requires_grad_differ_from_detach_in_no_pair():
    rows = answers("remedies", "are no remedy")
    assert [(freeze, different) for freeze, _, different in rows] == [
        ("no_grad", 0),
        ("requires_grad", 0),
    ]


@pytest.mark.parametrize(
    ("freeze", "leaking"),
    [("own_optimizer", None), ("grad_none", {"LBFGS"}), ("lr_zero", {"ASGD", "Rprop"})],
)
def test_a_remedy_leaks_under_these_optimizers_only(freeze, leaking):
    (found,) = (row[3] for row in answers("remedies", "of its own") if row[0] == freeze)
    assert (found and set(found.split(","))) == leaking


def test_the_copies_of_lbfgs_and_the_reference_muon_alone_move_despite_none():
    assert {row[0] for row in answers("atlas", "whose grad is None")} == {
        "LBFGS",
        "pytorch_optimizer.lbfgs",
        "pytorch_optimizer.distributedmuon",
    }


def test_the_counts_of_comparisons_are_those_of_the_table():
    rows = answers("cost", "Most leaks cost nothing")
    (zeroed,) = (row for row in rows if row[0] == "zero")
    assert (zeroed[1], zeroed[4], zeroed[5]) == (342, 71, 9)
    assert [sum(row[column] for row in rows) for column in (1, 2, 3)] == [720, 507, 357]


def test_adam_erases_what_was_frozen_and_adamw_does_not():
    rows = answers("cost", "Adam erases")
    worse = {(name, decay): (lost, of) for name, decay, of, lost, _, _ in rows}
    assert worse["Adam", 0.1] == worse["SGD", 0.1] == (6, 6)
    assert [of for name, decay, of, _, _, loss in rows if name == "AdamW"] == [6] * 5
    assert not any(lost for (name, _), (lost, _) in worse.items() if name == "AdamW")
    assert not any(lost for (name, d), (lost, _) in worse.items() if name == "SGD" and d < 0.1)
    assert [loss for name, decay, *_, loss in rows if (name, decay) == ("Adam", 0.1)] == [-0.743]


def test_the_border_of_what_decay_costs():
    rows = answers("cost", "The border")
    assert sum(worse for decay, _, worse, _ in rows if decay <= 0.001) == 2
    assert sum(of for decay, of, _, _ in rows if decay <= 0.001) == 192
    assert {names for decay, _, worse, names in rows if decay <= 0.001 and worse} == {"Muon"}
    large = [
        (of, worse, len(names.split(","))) for decay, of, worse, names in rows if decay > 0.001
    ]
    assert [(of, worse) for of, worse, _ in large] == [(72, 16), (72, 53)]
    assert large[0][2] == 9


def test_three_optimizers_keep_what_was_frozen_under_heavy_decay():
    worse = {name: lost for name, _, lost, _ in answers("cost", "five or six of the six")}
    assert {name: worse.pop(name) for name in ("AdamW", "Adafactor", "Muon")} == {
        "AdamW": 0,
        "Adafactor": 0,
        "Muon": 1,
    }
    assert set(worse.values()) == {5, 6}


def test_history_alone_and_small_drifts_cost_almost_nothing():
    (history,) = (row for row in answers("cost", "History alone") if row[0] == "history")
    assert history[1:] == (48, 1, 3)
    assert answers("cost", "less than half") == [(0, 243, 69), (1, 99, 2)]
