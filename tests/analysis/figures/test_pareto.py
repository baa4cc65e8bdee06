"""The Pareto front as a figure: what is drawn, what is left out, what the title states."""

import json

import pandas as pd
import pytest
import vl_convert

from analysis.exceptions import NothingToDrawError
from analysis.figures.drawn_files import write_figure
from analysis.figures.pareto import pareto_front

LOSS, DRIFT = "final_loss", "drift_ratio"


def points(*rows):
    """A row for each of (drift_ratio, final_loss, kind)."""
    frame = pd.DataFrame(rows, columns=["drift_ratio", "final_loss", "kind"])
    return frame.assign(optimizer="SGD")


FRONT = [(2.0, 1.0, "front"), (1.0, 0.5, "front")]


def heading(chart):
    title = chart.to_dict()["title"]
    return " ".join(title["text"]), " ".join(title["subtitle"])


def drawn(chart):
    (rows,) = chart.to_dict()["datasets"].values()
    return [(row["drift_ratio"], row["kind"]) for row in rows]


def test_the_title_states_the_ends_of_the_front():
    title, subtitle = heading(pareto_front(points(*FRONT), LOSS, DRIFT))
    assert title == "The search's front: from drift_ratio 2 at final_loss 1 to 1 at 0.5"
    assert subtitle == "2 trials on the front of the search"


def test_a_front_of_one_trial_is_said_to_be_one():
    title, subtitle = heading(pareto_front(points(FRONT[0]), LOSS, DRIFT))
    assert title == "One trial of the search has both the most extreme drift_ratio and final_loss"
    assert subtitle == "1 trial on the front of the search"


def test_the_grid_lies_below_and_the_front_above():
    chart = pareto_front(points(*FRONT, (0.9, 0.8, "searched"), (0.8, 0.9, "grid")), LOSS, DRIFT)
    assert [kind for _, kind in drawn(chart)] == ["grid", "searched", "front", "front"]


def test_a_grid_that_beats_the_front_is_told_so():
    grid = [(2.5, 0.9, "grid"), (0.5, 0.9, "grid"), (2.0, 1.0, "grid")]
    chart = pareto_front(points(*FRONT, *grid), LOSS, DRIFT)
    assert "1 trial of the grid beat some of it" in heading(chart)[1]


def test_what_is_far_from_the_front_is_left_out_and_counted():
    chart = pareto_front(points(*FRONT, (0.5, 9.0, "grid"), (0.5, 1.2, "grid")), LOSS, DRIFT)
    assert drawn(chart) == [(0.5, "grid"), (2.0, "front"), (1.0, "front")]
    assert "3 of 4 trials drawn, those near it" in heading(chart)[1]


@pytest.mark.parametrize(("top", "kind"), [(3.0, None), (1e9, "symlog")])
def test_an_axis_is_logarithmic_where_its_values_are_far_apart(top, kind):
    rows = points((top, 1.0, "front"), (1.0, 0.5, "front"), (2.0, 0.9, "searched"))
    chart = pareto_front(rows, LOSS, DRIFT).to_dict()
    scales = [layer["encoding"]["y"]["scale"] for layer in chart["layer"]]
    assert [scale.get("type") for scale in scales] == [kind, kind]


def test_the_figure_is_a_valid_one_and_is_written_as_png_and_svg(tmp_path):
    chart = pareto_front(points(*FRONT, (0.9, 0.8, "searched")), LOSS, DRIFT)
    vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))
    png, svg = write_figure(chart, tmp_path / "front")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text().startswith("<svg")


def test_no_front_is_nothing_to_draw():
    with pytest.raises(NothingToDrawError, match="no trial has a value for every objective"):
        pareto_front(points((1.0, 1.0, "grid")), LOSS, DRIFT)
