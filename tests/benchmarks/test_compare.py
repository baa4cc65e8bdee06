"""docs/compare.md says what the tools do today, and `watch` is judged by the bits."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def compare():
    """benchmarks/compare.py, imported as running it does."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("compare")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def groups(compare):
    """Every case, judged."""
    return {title: [compare.row(case) for case in cases] for title, cases in compare.GROUPS.items()}


@pytest.fixture
def parts(compare):
    """Modules behind the script, by their names."""
    return {name: sys.modules[f"comparison.{name}"] for name in ("judge", "training")}


def test_the_page_is_what_the_tools_do_today(compare, groups):
    page = compare.PAGE.read_text(encoding="utf-8")
    assert page == compare.replaced(page, compare.tables(groups))


def test_watch_finds_every_fault_of_every_step_where_it_catches_any(groups, parts):
    means = parts["training"].means
    rows = [row for rows in groups.values() for row in rows]
    for name in ("`watch`", "`watch` with options"):
        caught = [row for row in rows if row.verdicts[name].word == "caught"]
        assert len(caught) > 10
        for row in caught:
            found = row.verdicts[name].answer.found
            assert all(any(means(each, fault) for each in found) for fault in row.truth.faults)


def test_each_tool_says_its_own_words_about_a_case(compare, groups):
    said = compare.messages(groups["Leaks"][0])
    assert "cause: history" in said
    assert "`watch` with options, caught" in said
    assert "pytest-torch, missed:\n    (nothing)" in said
    assert "torcheck, caught:\n    The following errors are detected" in said


def test_a_case_that_is_not_as_it_says_is_refused(compare):
    with pytest.raises(ValueError, match=r"detached from step 3 on.* said to go wrong by"):
        compare.row(replace(compare.CONTROLS[1], causes=frozenset({"history"})))


def test_a_page_without_markers_is_refused(compare):
    with pytest.raises(ValueError, match=r"docs/compare\.md needs the lines"):
        compare.replaced("# A page", "made")


def test_what_the_account_alone_has_is_told(compare, parts):
    judge, training = parts["judge"], parts["training"]
    fact = training.Truth(frozenset({(0, "a")}), ask_at=0)
    case = replace(compare.LEAKS[0], causes=frozenset({"buffer"}))
    said = {"a": frozenset({"buffer"}), "b": frozenset({"own code"})}
    verdict = judge.judge(case, fact, judge.Answer(told=said))
    assert (verdict.word, verdict.named, verdict.mistaken) == ("told", ("buffer",), ())
    assert judge.judge(case, fact, judge.Answer(told={"b": said["a"]})).word == "missed"


@pytest.mark.parametrize(
    ("faults", "found", "word"),
    [
        ({(3, "a")}, {(3, "a")}, "caught"),
        ({(3, "a")}, {(None, "a")}, "caught"),
        ({(None, "a")}, {(2, "a")}, "caught"),
        ({(3, "a[0,1]")}, {(3, "a[0]")}, "caught"),
        ({(3, "a[0,1]")}, {(3, "a[1]")}, "false alarm"),
        ({(3, "a")}, set(), "missed"),
        ({(3, "a")}, {(2, "a")}, "false alarm"),
        ({(3, "a")}, {(3, "a"), (3, "b")}, "false alarm"),
        (set(), {(None, "a")}, "false alarm"),
        (set(), set(), "quiet"),
    ],
)
def test_an_answer_is_judged_by_what_is_true(compare, parts, faults, found, word):
    judge, training = parts["judge"], parts["training"]
    fact = training.Truth(frozenset(faults), ask_at=0)
    answer = judge.Answer(frozenset(found))
    assert judge.judge(compare.LEAKS[0], fact, answer).word == word
