"""The program `leaksweep`, and `python -m leaksweep`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    from leaksweep.own import own

    own("sweep.cli.app").main()


def _leave_the_current_folder() -> None:
    """Takes it off the path, where ``python -m`` has put it first: what lies there is data.

    Code of one's own is found there when a command names it (`sweep.workloads.importing`).
    """
    with suppress(OSError):  # it may be gone
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():
            del sys.path[0]


if __name__ == "__main__":
    _leave_the_current_folder()
    main()
