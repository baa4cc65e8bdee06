"""What `export --format latex` writes compiles as it is, whatever is in it."""

import shutil
import subprocess

import pytest

from analysis.export import export_tables

HOSTILE = r"a_b#c%d&e~f^g\h{i}\"|<$> é → 漢"
ROWS = [
    {"verdict": "leaks", "causes": "history+decay", "max_drift": 1.5, "drift_ratio": 0.5},
    {"zero_grad": "none"},
    {"optimizer": HOSTILE, "verdict": "failed", "error": f"ValueError: {HOSTILE}"},
    *({"optimizer": f"Optimizer{n}", "lr": 0.1 * n, "verdict": "leaks"} for n in range(1, 9)),
]
FRAME = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}%s\end{document}"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex, as .ci/run installs")
def test_every_table_compiles_and_fits_the_text(database, tmp_path):
    files = export_tables(database(s=ROWS, t=ROWS), tmp_path, formats=["latex"], every=True)
    body = "".join(rf"\input{{{file.path.name}}}\clearpage " for file in files)
    (tmp_path / "whole.tex").write_text(FRAME % body)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "whole.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "Overfull" not in ended.stdout, ended.stdout[-2000:]
    assert (tmp_path / "whole.pdf").stat().st_size > 10_000
