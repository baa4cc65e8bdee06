"""How `watch` does beside pytest-torch, torcheck and tinytorchtest, on the same loops.

    python benchmarks/compare.py             prints the tables
    python benchmarks/compare.py --write     writes them into docs/compare.md
    python benchmarks/compare.py --messages  prints what each tool said, in its own words

What is true of a loop is read off its parameters' bits, by none of the tools.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparison.cases import CONTROLS, LEAKS, OTHER_FAULTS
from comparison.judge import Row, row
from comparison.page import replaced, tables

PAGE = Path(__file__).parents[1] / "docs" / "compare.md"
GROUPS = {"Leaks": LEAKS, "Other faults": OTHER_FAULTS, "All is well": CONTROLS}


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    parser.add_argument("--messages", action="store_true", help="print what each tool said")
    asked = parser.parse_args(arguments)
    groups = {title: [row(case) for case in cases] for title, cases in GROUPS.items()}
    if asked.messages:
        print("\n\n".join(messages(row) for rows in groups.values() for row in rows))
        return
    made = tables(groups)
    if asked.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        print(made)


def messages(judged: Row) -> str:
    """Each tool's own words about a case."""
    said = [f"# {judged.case.name}"]
    for name, verdict in judged.verdicts.items():
        words = verdict.answer.refused or verdict.answer.message or "(nothing)"
        said.append(f"{name}, {verdict.word}:\n    " + words.replace("\n", "\n    "))
    return "\n".join(said)


if __name__ == "__main__":
    main()
