"""A benchmark's table goes between its own markers, and nowhere else."""

import importlib
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("peers-article", "peers-small", "peers-full", "overhead", "million", "cluster", "watch")


@pytest.fixture(scope="module")
def write_page():
    """benchmarks/write_page.py, imported as the benchmarks do."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("write_page")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_a_place_for_each_table(write_page, name):
    page = write_page.PAGE.read_text(encoding="utf-8")
    assert "here it is" in write_page.replaced(page, name, "here it is")


def test_a_table_replaces_what_is_between_its_markers_alone(write_page, tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text("before <!-- one -->old<!-- /one --> <!-- two -->kept<!-- /two --> after")
    monkeypatch.setattr(write_page, "PAGE", page)

    write_page.write_table("one", "| a |")
    write_page.write_table("one", "| b |")

    head, _, rest = page.read_text().partition("<!-- one -->")
    made, _, tail = rest.partition("<!-- /one -->")
    assert (head, tail) == ("before ", " <!-- two -->kept<!-- /two --> after")
    assert made == f"\n\n| b |\n\n{write_page.machine()}\n\n"


@pytest.mark.parametrize("page", ["no markers", "<!-- one -->", "<!-- /one --> <!-- one -->"])
def test_a_page_without_the_markers_is_an_error(write_page, page):
    with pytest.raises(ValueError, match=r"README.md needs the lines '<!-- one -->' and"):
        write_page.replaced(page, "one", "| a |")


def test_the_machine_is_named_with_the_day(write_page):
    words = (
        r"Measured on .+, \d+ cores, \d+ GiB, .+, Python 3\.\d+\.\d+, torch \S+, \d{4}-\d\d-\d\d\."
    )
    assert re.fullmatch(words, write_page.machine())


def test_a_system_that_does_not_tell_its_cpu_is_named_by_its_architecture(
    write_page, tmp_path, monkeypatch
):
    monkeypatch.setattr(write_page, "CPU_INFO", tmp_path / "not there")
    monkeypatch.setattr(write_page, "OS_RELEASE", tmp_path / "not there")
    architecture, system = write_page.platform.machine(), write_page.platform.system()
    assert write_page.machine().startswith(f"Measured on {architecture}, ")
    assert f" GiB, {system}, " in write_page.machine()


def test_a_table_has_its_numbers_to_the_right(write_page):
    made = write_page.markdown(["what", "s"], [["export", "1.5"]])
    assert made == "| what | s |\n| --- | ---: |\n| export | 1.5 |"
