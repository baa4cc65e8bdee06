"""Writes pins/hashes.txt: the pins of constraints.txt, each with the hashes that pip may accept.

    python pins/make_hashes.py

pip itself says which file of each pin it would install here (Linux on x86-64, Python 3.11) and
its SHA-256, as PyPI states it. Nothing is installed. torch has a second hash: PyPI's wheel
brings CUDA, and the development install takes the CPU build that pip is configured to find.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = HERE.parent / "constraints.txt"
HASHES = HERE / "hashes.txt"
PYPI = ("--isolated", "--index-url", "https://pypi.org/simple")
HEADER = """\
# What constraints.txt pins, with the SHA-256 of the files for Linux on x86-64 and Python 3.11;
# made by `make hashes`. Checked by `make verify-pins`.
"""


def main() -> None:
    """Asks pip twice, once PyPI alone and once as it is configured here for torch; writes."""
    hashes = chosen(PYPI, "-r", str(PINS))
    (torch,) = (line for line in PINS.read_text().splitlines() if line.startswith("torch=="))
    for name, found in chosen((), torch).items():
        hashes[name] |= found
    HASHES.write_text(HEADER + "".join(map(entry, hashes, hashes.values())), encoding="utf-8")


def chosen(options: tuple[str, ...], *what: str) -> dict[str, set[str]]:
    """The SHA-256 of the file that pip would install for each pin, by ``name==version``."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    command = [*pip, "--quiet", "--report", "-", *options, *what]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    report: dict[str, Any] = json.loads(answer.stdout)
    return {_pin(item): {_sha256(item)} for item in report["install"]}


def entry(pin: str, hashes: Iterable[str]) -> str:
    """The lines of one pin in a requirements file."""
    return f"{pin} \\\n" + " \\\n".join(f"    --hash=sha256:{h}" for h in sorted(hashes)) + "\n"


def _pin(item: dict[str, Any]) -> str:
    """As constraints.txt writes it, without the local part of a build's version."""
    metadata = item["metadata"]
    return f"{metadata['name']}=={metadata['version'].partition('+')[0]}"


def _sha256(item: dict[str, Any]) -> str:
    return str(item["download_info"]["archive_info"]["hashes"]["sha256"])


if __name__ == "__main__":
    main()
