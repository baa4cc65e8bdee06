"""Where a verdict changes along a number: what is drawn, and where what kept still is."""

import json

import pandas as pd
import pytest
import vl_convert

from analysis.exceptions import NothingToDrawError
from analysis.figures.verdict_edges import MOST_OPTIMIZERS, edge_figure

EDGES = pd.DataFrame({"optimizer": ["SGD"], "above": [1e-7]})


def points(*rows):
    """A row for each of (lr, verdict, total_drift), of SGD."""
    frame = pd.DataFrame(rows, columns=["lr", "verdict", "total_drift"])
    return frame.assign(optimizer="SGD")


def heading(chart):
    title = chart.to_dict()["title"]
    return " ".join(title["text"]), " ".join(title["subtitle"])


def test_what_kept_still_is_on_a_strip_below_the_log_axis():
    chart = edge_figure(points((1e-8, "holds", 0.0), (1e-7, "leaks", 0.1)), EDGES, "lr", log=True)
    above, below = chart.to_dict()["vconcat"]
    assert above["layer"][1]["encoding"]["y"]["scale"]["type"] == "log"
    assert below["mark"]["type"] == "tick"
    assert below["encoding"]["y"] == {"datum": "0", "title": None, "type": "nominal"}
    assert heading(chart) == (
        "Along lr, the verdict changes at 1e-07",
        "2 trials; on the strip below it kept still",
    )
    vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))


def test_optimizers_that_there_is_no_colour_for_are_counted():
    many = pd.concat(
        points((1.0, "leaks", 0.1)).assign(optimizer=f"O{n}") for n in range(MOST_OPTIMIZERS + 2)
    )
    chart = edge_figure(many, EDGES.iloc[:0], "lr", log=False)
    assert heading(chart) == (
        "No edge along lr",
        f"{MOST_OPTIMIZERS} trials; on the strip below it kept still; 2 optimizers not drawn",
    )


def test_nothing_that_leaks_is_nothing_to_draw():
    with pytest.raises(NothingToDrawError, match="no trial leaked"):
        edge_figure(points((1.0, "holds", 0.0)), EDGES, "lr", log=True)
