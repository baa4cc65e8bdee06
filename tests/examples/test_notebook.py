"""examples/article.ipynb: run from start to end, it shows what it shows where it is committed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "article.ipynb"

# Tools of Jupyter's, in this process and the kernel's, that talk to one another without keys.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def shown(notebook):
    """What each cell of code shows as text, without sizes, which differ from machine to machine."""
    return [
        [_text(output) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _text(output):
    if output.output_type == "stream":
        return f"{output.name}: {output.text}"
    assert output.output_type != "error", output
    if "image/png" in output.data:
        return "an image"
    text = output.data.get("text/html", output.data["text/plain"])
    return re.sub(r"\d+\.\d{2,}|\bby up to [\d.e+-]+|\b\d+%", "", text)


def test_the_notebook_shows_what_it_shows_where_it_is_committed(tmp_path):
    committed = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(committed)
    ran = nbformat.read(NOTEBOOK, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(ran, timeout=300, resources=folder).execute()
    assert shown(ran) == shown(committed)
    assert sum("an image" in cell for cell in shown(ran)) == 2
