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
    (finding,) = (f for f in make_findings.FINDINGS if f.preset == preset and part in f.says)
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
