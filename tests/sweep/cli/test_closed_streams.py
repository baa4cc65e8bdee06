"""The program where its standard streams are closed, or lead where nothing can be written."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

LEAKSWEEP = Path(sys.executable).with_name("leaksweep")
RUN = "run --workload small --steps 2 --set optimizer=SGD --jobs 1"


@pytest.fixture
def ended(tmp_path):
    """What becomes of a line for the shell that calls the program as ``$L``."""

    def run(line):
        asked = ["bash", "-c", line]
        return subprocess.run(
            asked, cwd=tmp_path, env={"L": str(LEAKSWEEP)}, capture_output=True, text=True
        )

    return run


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_a_closed_stream_gets_nothing_and_the_database_none_of_it(ended, tmp_path, closed):
    assert ended(f"$L {RUN} {closed}").returncode == 0
    with sqlite3.connect(tmp_path / "results" / "sweep.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM trial").fetchone() == (24,)
    for words in ("status", "table results", "--help"):
        answer = ended(f"$L {words} {closed}")
        assert (answer.returncode, "Traceback" in answer.stderr) == (0, False)
    assert ended(f"$L bogus {closed}").returncode == 2


@pytest.mark.parametrize("words", ["--help", "show presets"])
def test_a_full_device_is_told_in_one_message(ended, words):
    answer = ended(f"$L {words} >/dev/full")
    assert answer.returncode == 2
    assert answer.stderr == "The system refused: [Errno 28] No space left on device.\n"
