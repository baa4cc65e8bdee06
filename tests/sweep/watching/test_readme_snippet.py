"""The example that people paste into a script runs, and says what the page says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "watch.md"


def example_in(page):
    """The code between the markers of the page."""
    found = re.search(r"<!-- watch-example -->\n```python\n(.*?)```", page.read_text(), re.DOTALL)
    return found[1]


def blocks():
    """The example, and what the page says that it prints."""
    printed = re.search(r"It prints.*?```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return example_in(PAGE), printed[1]


def test_the_readme_has_the_same_example():
    assert example_in(ROOT / "README.md") == example_in(PAGE)


def test_the_example_prints_what_the_page_says():
    example, printed = blocks()
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    sizes = r"up to [\d.e-]+|under 1%|\d+%"
    without_sizes = [re.sub(sizes, "", each) for each in (ran.stdout, printed)]
    assert without_sizes[0] == without_sizes[1]


def test_with_none_in_place_of_zeros_nothing_leaks():
    example, _ = blocks()
    remedied = example.replace("set_to_none=False", "set_to_none=True") + "leaks.raise_if_any()\n"
    ran = subprocess.run([sys.executable, "-c", remedied], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("No leak: 2 parameters kept still")
