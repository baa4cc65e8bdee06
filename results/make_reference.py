"""Runs presets to their ends and writes their summary tables to results/reference/.

    python results/make_reference.py [PRESET...]

Each preset has a database of its own beside this file, which git ignores: a run that was
stopped goes on from there, and a finished one is only exported again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from analysis.load import load_trials
from analysis.schema import ENVIRONMENT_COLUMNS, SETTING_AXES, TRIAL_COLUMNS

HERE = Path(__file__).parent
PRESETS = ("article", "full", "remedies", "atlas", "cost")
NOT_OF_A_TRIAL = {"id", "sweep_id", "environment_id", "train_seconds", "finished_at"}


def main(presets: list[str]) -> None:
    """Runs and exports each of ``presets``, all if none is named."""
    for preset in presets or PRESETS:
        url = f"sqlite:///{HERE / f'reference-{preset}.db'}"
        folder = HERE / "reference" / preset
        leaksweep("run", "--preset", preset, "--db", url, fine=(0, 1))  # 1: some trials failed
        leaksweep("export", "--out", str(folder), "--db", url)
        write_trials(url, preset, folder / "trials.csv.gz")
        (folder / "README.md").write_text(described(preset, url), encoding="utf-8")


def leaksweep(*arguments: str, fine: tuple[int, ...] = (0,)) -> None:
    """Runs the program as a person does; leaves with its exit code unless that is ``fine``."""
    code = subprocess.run([sys.executable, "-m", "sweep", *arguments]).returncode  # noqa: S603
    if code not in fine:
        sys.exit(code)


def write_trials(url: str, preset: str, path: Path) -> None:
    """Writes the trials themselves and what they ran on, without what says when or in which row."""
    columns = [*(c for c in TRIAL_COLUMNS if c not in NOT_OF_A_TRIAL), *ENVIRONMENT_COLUMNS]
    trials = load_trials(url, preset, columns=columns)
    order = [*SETTING_AXES, "seed"]
    # A fixed time in the header: the same trials are the same file.
    compression = {"method": "gzip", "mtime": 0}
    trials.sort_values(order).to_csv(path, index=False, compression=compression)


def described(preset: str, url: str) -> str:
    """What was run, where, with what, and what came of it, in Markdown."""
    columns = ["verdict", "optimizer_package", "train_seconds", *ENVIRONMENT_COLUMNS]
    trials = load_trials(url, preset, columns=columns)
    verdicts = trials["verdict"].value_counts()
    counted = ", ".join(f"{verdicts[v]:,} {v}" for v in verdicts.index if verdicts[v])
    packages = sorted(trials["optimizer_package"].dropna().unique())
    lines = [
        f"# The preset `{preset}`, run to its end",
        "",
        f"    leaksweep run --preset {preset}",
        f"    leaksweep export --out results/reference/{preset}",
        "",
        f"{len(trials):,} trials: {counted}. {trials['train_seconds'].sum() / 60:.1f} minutes of "
        f"training, added up over workers.",
        "",
        "| environment | |",
        "|---|---|",
        *(
            f"| {name} | {', '.join(map(str, sorted(trials[name].unique())))} |"
            for name in ENVIRONMENT_COLUMNS
        ),
        f"| optimizers of | {', '.join(packages)} |",
        "",
        "Verdicts, causes and counts are the same on every machine; drifts and losses depend on",
        "its floating point in the last digits.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
