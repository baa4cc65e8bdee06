"""The Python examples of README and docs/ run as they stand and print what the page says."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

specification = importlib.util.spec_from_file_location("make_examples", DOCS / "make_examples.py")
make_examples = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_examples)

PAGES = {path.name: path.read_text(encoding="utf-8") for path in make_examples.PAGES}
WATCH, PYTHON = PAGES["watch.md"], PAGES["python.md"]
PRINTED = [(page, name) for page, text in PAGES.items() for name in make_examples.printing(text)]

RUN_ELSEWHERE = {
    "cluster.md": "recipes for clusters that are not here: they follow Dask's documentation",
    "workloads.md": "tests/examples/test_own_workload.py",
}
"""Pages whose Python has no markers, and what runs it, or why nothing does."""

SILENT = {
    "README.md": {"watch"},  # as in watch.md, which shows what it prints
    "watch.md": {"lightning", "transformers", "pytest"},  # tests/sweep/integrations, leaksweep
    "python.md": set(),
}
"""Examples that print nothing for their page."""


def without_sizes(text):
    """The text without how far anything moved, which differs from machine to machine."""
    return re.sub(r"by up to [\d.e+-]+|\d+%", "", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the examples of a page run one after another: a later one finds what one wrote."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize(("page", "name"), PRINTED)
def test_an_example_prints_what_the_page_says(page, name, folder):
    text = PAGES[page]
    ran = make_examples.run(make_examples.example(text, name), folder)
    assert without_sizes(ran) == without_sizes(make_examples.printed(text, name))


def test_every_page_with_python_has_its_examples_run():
    for path in [ROOT / "README.md", *DOCS.glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        blocks, marked = text.count("```python\n"), len(make_examples.examples(text))
        if path.name not in RUN_ELSEWHERE:
            assert blocks == marked, f"{path.name} has {blocks} examples and {marked} markers"


def test_each_marked_example_prints_or_is_run_elsewhere():
    for page, text in PAGES.items():
        silent = set(make_examples.examples(text)) - set(make_examples.printing(text))
        assert silent == SILENT[page]


@pytest.mark.parametrize("name", make_examples.printing(WATCH))
def test_what_it_prints_is_a_screen(name):
    lines = make_examples.printed(WATCH, name).splitlines()
    assert 1 <= len(lines) <= 24
    assert max(map(len, lines)) <= 160


def test_the_readme_has_the_same_first_example():
    first = make_examples.example(PAGES["README.md"], "watch")
    assert first == make_examples.example(WATCH, "watch")


def test_with_none_in_place_of_zeros_nothing_leaks():
    example = make_examples.example(WATCH, "watch")
    remedied = example.replace("set_to_none=False", "set_to_none=True") + "leaks.raise_if_any()\n"
    assert make_examples.run(remedied).startswith("No leak: 2 parameters kept still")


def test_the_forgotten_head_fails_a_test():
    example = make_examples.example(WATCH, "head") + "leaks.raise_if_any()\n"
    with pytest.raises(make_examples.subprocess.CalledProcessError) as raised:
        make_examples.run(example)
    assert "should train and did not" in raised.value.stderr


def test_a_page_without_the_block_is_refused():
    with pytest.raises(ValueError, match=r"needs the line '<!-- none-example -->'"):
        make_examples.example(WATCH, "none")
    with pytest.raises(ValueError, match="needs what none prints between its markers"):
        make_examples.printed(WATCH, "none")
