"""Makes docs/gallery.md and its figures from the databases of the reference results.

    python docs/make_gallery.py

A preset is shown where `results/make_reference.py` has run it on this machine; the figures
of the others stay as they are. The page is made from the figures that are there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.figures import FIGURES
from analysis.figures.drawn_files import export_figures
from sweep.grid.spec_file import described_presets

DOCS = Path(__file__).parent
DATABASES = DOCS.parent / "results"
FIGURES_OF_PRESET = {
    "article": ("article_trace", "leak_rate_heatmap"),
    "full": ("leak_rate_heatmap", "leak_rate_by_axis", "drift_ratio_by_cause"),
    "remedies": ("remedies_matrix", "leak_rate_by_axis"),
    "atlas": ("leak_rate_heatmap", "drift_ratio_by_cause"),
    "cost": ("cost_by_drift",),
}
"""The figures that say most of each preset."""


def main(databases: Path = DATABASES, docs: Path = DOCS) -> None:
    """Draws the figures of each preset that has a database, then writes the page."""
    for preset in FIGURES_OF_PRESET:
        database = databases / f"reference-{preset}.db"
        if not database.is_file():
            print(f"{preset}: no {database.name}; its figures stay as they are", file=sys.stderr)  # noqa: T201
            continue
        keep_chosen(preset, f"sqlite:///{database}", docs / "figures" / preset)
    (docs / "gallery.md").write_text(gallery(docs), encoding="utf-8")


def keep_chosen(preset: str, url: str, folder: Path) -> None:
    """Writes the figures of a preset to ``folder``, and removes those it does not show."""
    for files in export_figures(url, folder, sweep=preset):
        if files.name not in FIGURES_OF_PRESET[preset]:
            for path in files.paths:
                path.unlink()
    for path in folder.glob("*.svg"):  # a page shows PNG; who wants SVG has `export --figures`
        path.unlink()


def gallery(docs: Path) -> str:
    """The page in Markdown: each preset's figures that are in ``docs/figures``."""
    lines = ["# Gallery", "", "Figures of the presets, drawn from the reference results by", ""]
    lines += ["    make results", ""]
    lines += ["Each title states what the data say; none of them is written by hand.", ""]
    descriptions = described_presets()
    for preset, figures in FIGURES_OF_PRESET.items():
        drawn = [name for name in figures if (docs / "figures" / preset / f"{name}.png").is_file()]
        if drawn:
            lines += [f"## `{preset}`", "", f"{descriptions[preset]}.", ""]
            lines += [f"    leaksweep run --preset {preset}"]
            lines += [f"    leaksweep export {preset} --figures", ""]
        for name in drawn:
            caption = FIGURES[name].caption
            lines += [f"![{name}](figures/{preset}/{name}.png)", "", caption, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
