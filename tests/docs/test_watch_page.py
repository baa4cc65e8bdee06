"""docs/watch.md: its examples run as they stand and print what it says, a screen each."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

specification = importlib.util.spec_from_file_location("make_watch", DOCS / "make_watch.py")
make_watch = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_watch)

PAGE = (DOCS / "watch.md").read_text(encoding="utf-8")
NAMES = ("watch", "gan", "lora", "head")


def without_sizes(text):
    """The text without how far anything moved, which differs from machine to machine."""
    return re.sub(r"by up to [\d.e+-]+|\d+%", "", text)


def test_the_page_has_these_screens():
    assert tuple(make_watch.printing(PAGE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_prints_what_the_page_says(name):
    ran = make_watch.run(make_watch.example(PAGE, name))
    assert without_sizes(ran) == without_sizes(make_watch.printed(PAGE, name))


@pytest.mark.parametrize("name", NAMES)
def test_what_it_prints_is_a_screen(name):
    lines = make_watch.printed(PAGE, name).splitlines()
    assert 1 <= len(lines) <= 24
    assert max(map(len, lines)) <= 160


def test_the_readme_has_the_same_first_example():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert make_watch.example(readme, "watch") == make_watch.example(PAGE, "watch")


def test_with_none_in_place_of_zeros_nothing_leaks():
    example = make_watch.example(PAGE, "watch")
    remedied = example.replace("set_to_none=False", "set_to_none=True") + "leaks.raise_if_any()\n"
    assert make_watch.run(remedied).startswith("No leak: 2 parameters kept still")


def test_the_forgotten_head_fails_a_test():
    example = make_watch.example(PAGE, "head") + "leaks.raise_if_any()\n"
    with pytest.raises(make_watch.subprocess.CalledProcessError) as raised:
        make_watch.run(example)
    assert "should train and did not" in raised.value.stderr


def test_a_page_without_the_block_is_refused():
    with pytest.raises(ValueError, match=r"needs the line '<!-- none-example -->'"):
        make_watch.example(PAGE, "none")
    with pytest.raises(ValueError, match="needs what none prints between its markers"):
        make_watch.printed(PAGE, "none")
