"""docs/trust.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "trust.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_each_test_that_the_page_names_is_there(named):
    path, _, name = named.partition("::")
    source = (TESTS / path).read_text(encoding="utf-8")
    defined = {getattr(node, "name", "") for node in ast.parse(source).body}
    assert any(each.lower().startswith("test") for each in defined)
    assert not name or name in defined


def test_every_promise_has_a_test():
    rows = re.findall(r"^\| (?!promise|---)(.+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 20
    assert [promise for promise, tests in rows if ".py" not in tests] == []
