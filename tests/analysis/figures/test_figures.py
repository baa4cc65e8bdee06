"""What every figure keeps to, and what each title states."""

import dataclasses
import json
from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert

from analysis.exceptions import NothingToDrawError, NoTrialsError, SweepMissingError
from analysis.figures import FIGURES, draw, drift_ratios, heatmap, trace
from analysis.figures.axis_changes import leak_rate_by_axis
from analysis.figures.drawn_files import export_figures
from analysis.figures.drift_ratios import drift_ratio_by_cause
from analysis.figures.look import CHOSEN, OTHERS, inline
from analysis.figures.remedy_matrix import remedies_matrix
from analysis.folded import FOLDABLE, load_folded
from analysis.load import load_steps, load_trials
from analysis.tables.axis_shares import importance
from sweep.store.store import Store
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState

LEAK = {
    "verdict": "leaks",
    "by_history": True,
    "max_drift": 2.0,
    "total_drift": 3.0,
    "attached_motion": 2.0,
    "drift_ratio": 1.5,
}
NONE, ZERO, NEVER = ({"zero_grad": word} for word in ("none", "zero", "never"))
ROWS = [LEAK | ZERO, LEAK | NEVER, NONE, LEAK | ZERO | {"optimizer": "Adam"}, NONE]
ROWS[-1] = NONE | {"optimizer": "Adam"}
ROWS = [row | {"score": 0.9, "total_drift": 0.3, "frozen_norm": 2.0} for row in ROWS]


def title(chart):
    """The chart's title and subtitle as two lines."""
    heading = chart.to_dict()["title"]
    return " ".join(heading["text"]), " ".join(heading["subtitle"])


def svg(chart):
    return vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))


def drawn_texts(chart):
    """The text marks of the chart, as drawn."""
    root = ElementTree.fromstring(svg(chart))
    marks = root.iterfind(".//{*}g[@aria-roledescription='text mark container']")
    return [text.text for mark in marks for text in mark.iterfind(".//{*}text")]


def chosen(chart, *names):
    """The chart with only ``names`` let through by the filter."""
    spec = chart.to_dict()
    spec["params"] = [{"name": CHOSEN, "value": list(names)}]
    return type(chart).from_dict(spec)


@pytest.fixture
def steps():
    """A frame of steps: for each zero_grad, the changes on steps 0, 1, ...; odd ones frozen."""

    def make(**changes):
        shared = {"sweep": "s", "optimizer": "Adam", "lr": 1.0, "weight_decay": 0.0}
        shared |= {"momentum": 0.9, "schedule": "alternate", "freeze": "detach", "seed": 0}
        return pd.DataFrame(
            shared
            | {"id": number, "zero_grad": word, "step": step, "frozen": bool(step % 2)}
            | {"loss": 1.0, "moved": change > 0, "max_change": change}
            for number, (word, values) in enumerate(changes.items())
            for step, change in enumerate(values)
        )

    return make


def test_the_list_of_figures_is_by_their_functions_names():
    assert [figure.make.__name__ for figure in FIGURES.values()] == list(FIGURES)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=list(FIGURES))
def test_a_figure_reads_no_column_beyond_those_it_names_and_is_valid(figure, trials, steps):
    frames = {
        False: trials(*ROWS),
        True: steps(none=[1.0, 0.0], zero=[1.0, 0.5]),
    }
    chart = figure.make(frames[figure.of_steps][list(figure.needs)])
    spec = chart.to_dict()  # against Vega-Lite's schema
    assert spec["params"] == [{"name": CHOSEN, "value": None}]
    assert vl_convert.vegalite_to_png(json.dumps(spec)).startswith(b"\x89PNG")


@pytest.mark.parametrize("figure", FIGURES.values(), ids=list(FIGURES))
def test_a_figure_of_failures_alone_is_left_out(figure, trials, steps):
    frames = {False: trials({"verdict": "failed"}), True: steps(none=[1.0])}
    with pytest.raises(NothingToDrawError, match=r"^no "):
        figure.make(frames[figure.of_steps])


LBFGS, GRAD_ZERO = {"optimizer": "LBFGS"}, {"freeze": "grad_zero"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS, "With grads set to None, no optimizer leaks"),
        ([*ROWS, LEAK | NONE | LBFGS], "With grads set to None, only LBFGS leaks"),
        ([*ROWS, *(LEAK | NONE | {"optimizer": name} for name in ("A", "B"))],
         "With grads set to None, only A and B leak"),
        ([NONE, ZERO], "No optimizer leaks"),
        ([LEAK | ZERO, NEVER],
         "Optimizers that leak in some trial: 1 of 1 with grads zeroed, "
         "0 of 1 with grads never cleared"),
        ([*ROWS, LEAK | NONE | GRAD_ZERO],
         "Frozen by detach: with grads set to None, no optimizer leaks"),
        ([LEAK | NONE | GRAD_ZERO, LEAK | ZERO | GRAD_ZERO],
         "With grads set to None, only SGD leaks"),
    ],
)  # fmt: skip
def test_the_heat_maps_title_is_what_its_cells_say_of_a_layer_frozen_as_people_do(
    trials, rows, expected
):
    assert title(heatmap.leak_rate_heatmap(trials(*rows)))[0] == expected


def test_ways_of_freezing_with_the_same_rates_share_a_panel_and_others_do_not(trials):
    rows = [
        (LEAK if word == "zero" and way != "grad_none" else {})
        | {"zero_grad": word, "freeze": way, "schedule": schedule}
        for word in ("none", "zero")
        for way in ("no_grad", "detach", "grad_none")
        for schedule in ("alternate", "after:5")
    ]
    chart = heatmap.leak_rate_heatmap(trials(*rows))
    (data,) = chart.to_dict()["datasets"].values()
    assert {row["panel"] for row in data} == {"detach\nno_grad", "grad_none"}
    assert drawn_texts(chart) == ["0", "100", "0", "0"]


def test_the_heat_map_says_what_its_percents_are_over_and_what_is_not_there(trials):
    chart = heatmap.leak_rate_heatmap(
        trials(LEAK | ZERO | {"momentum": 0.9}, ZERO, NEVER | {"verdict": "inert"}, NONE | LBFGS)
    )
    assert title(chart)[1] == (
        "Percent of trials that leak, over momentum. A dash: none leaks or holds. No cell: not run"
    )


def test_inert_and_failed_trials_are_a_dash_not_a_zero(trials):
    chart = heatmap.leak_rate_heatmap(trials(LEAK | ZERO, NONE | {"verdict": "inert"}))
    assert drawn_texts(chart) == ["–", "100"]


def test_zero_and_hundred_percent_are_kept_for_exact_rates(trials):
    rows = [LEAK | ZERO, *[ZERO] * 999, NEVER, *[LEAK | NEVER] * 999]
    assert drawn_texts(heatmap.leak_rate_heatmap(trials(*rows))) == ["<1", ">99"]


def test_many_optimizers_share_a_row_where_their_rates_are_the_same(trials):
    names = [f"O{place}" for place in range(heatmap.MOST_APART + 1)]
    rows = [LEAK | ZERO | {"optimizer": name} for name in names[:-1]]
    chart = heatmap.leak_rate_heatmap(trials(*rows, ZERO | {"optimizer": names[-1]}))
    assert f"O0 and {heatmap.MOST_APART - 1} others" in svg(chart)
    assert "share one of 2 rows" in title(chart)[1]
    assert drawn_texts(chart) == ["100", "0"]


def test_the_filter_leaves_the_chosen_optimizers(trials):
    frame = trials(*ROWS)
    assert drawn_texts(leak_rate_by_axis(frame)) == ["0% → 100%  (2)", "0% → 100%  (1)"]
    assert drawn_texts(chosen(leak_rate_by_axis(frame), "Adam")) == ["0% → 100%  (1)"]


def test_the_drifts_title_counts_this_sweeps_settings(trials):
    ratios = [LEAK | {"drift_ratio": ratio, "lr": ratio} for ratio in (0.5, 2.0, 60.0)]
    assert title(drift_ratio_by_cause(trials(*ratios))) == (
        "In 2 of this sweep's 3 leaking settings (67%) the layer moves farther while frozen than "
        "while it trains",
        "A point is one leaking setting, its seeds folded",
    )


def test_what_a_log_axis_cannot_show_is_counted_in_words(trials):
    still = LEAK | {"drift_ratio": None, "lr": 0.1}
    infinite = LEAK | {"drift_ratio": float("inf"), "lr": 0.2}
    chart = drift_ratio_by_cause(trials(LEAK, still, infinite))
    assert title(chart)[1] == (
        "A point is one leaking setting, its seeds folded; 1 whose layer never trained not shown; "
        "1 that diverged not shown"
    )


def test_many_settings_are_a_curve_for_each_set_of_causes(trials):
    sets = ["history", "decay", "decay, history", "gradient", "history+decay", "intrinsic", "x"]
    rows = [
        LEAK | {"causes": causes, "momentum": place / 10, "lr": 1.0 + n, "drift_ratio": 1.0 + n}
        for place, causes in enumerate(sets)
        for n in range(8 if causes == "x" else 9)
    ]
    chart = drift_ratio_by_cause(trials(*rows))
    assert title(chart)[1] == "Each step up is one leaking setting, its seeds folded"
    (data,) = chart.to_dict()["datasets"].values()
    panels = {row["causes"] for row in data}
    assert len(panels) == drift_ratios.MOST_PANELS
    assert OTHERS in panels
    layers = chart.to_dict()["spec"]["layer"]
    assert [layer["encoding"].keys() >= {"x", "y"} for layer in layers] == [False, True, True]
    assert "100%" in svg(chart)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"none": [1.0, 0.0], "zero": [1.0, 0.5], "never": [1.0, 0.5]},
         "Adam moves the frozen layer with zero_grad zero and never, not with none"),
        ({"zero": [1.0, 0.5]}, "Adam moves the frozen layer with zero_grad zero"),
        ({"none": [1.0, 0.0]}, "Adam keeps the frozen layer still"),
    ],
)  # fmt: skip
def test_the_traces_title_is_what_its_steps_say(steps, changes, expected):
    assert title(trace.article_trace(steps(**changes)))[0] == expected


def test_the_trace_is_of_adam_on_the_alternating_schedule_where_there_is_one(steps):
    other = steps(none=[1.0, 1.0]).assign(id=7, optimizer="SGD", momentum=None)
    always = steps(none=[1.0, 1.0]).assign(id=8, schedule="always")
    frame = pd.concat([other, always, steps(zero=[1.0, 0.5])])
    assert "Adam, lr 1" in title(trace.article_trace(frame))[1]
    assert "schedule alternate" in title(trace.article_trace(frame))[1]
    assert "SGD, lr 1, weight_decay 0, sch" in title(trace.article_trace(other))[1]


def test_a_change_of_zero_is_seen_on_the_strip_below_the_log_axis_alone(steps):
    spec = trace.article_trace(steps(none=[1.0, 0.0, 0.03], zero=[1.0, 0.5, 0.2])).to_dict()
    changes, still = (row["spec"]["encoding"]["opacity"] for row in spec["vconcat"][1:])
    assert changes["condition"]["test"] == "datum.max_change > 0"
    assert still["condition"]["test"] == "datum.max_change === 0"
    assert changes["value"] == still["value"] == 0
    (data,) = spec["datasets"].values()
    assert [row["kind"] for row in data[:3]] == ["attached", "frozen", "attached"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([LEAK | ZERO, NONE, LEAK | NEVER],
         "Changed alone, zero_grad matters most (100% of the variance)"),
        ([NONE, ZERO], "Changing one axis alone changes no verdict"),
    ],
)  # fmt: skip
def test_the_axes_title_is_what_the_table_of_importance_says(trials, rows, expected):
    frame = trials(*rows)
    assert title(leak_rate_by_axis(frame))[0] == expected
    table = importance(frame)
    assert (table["total_effect"] > 0).sum() == expected.count("variance)")


def test_a_change_is_of_settings_that_differ_in_it_alone(trials):
    """The rate of 0.001 is AdamW's alone here, and says nothing of rates."""
    adamw = {"optimizer": "AdamW", "lr": 0.001}
    frame = trials(LEAK | ZERO, NONE, LEAK | ZERO | adamw, NONE | adamw, LEAK | NEVER | adamw)
    assert drawn_texts(leak_rate_by_axis(frame)) == ["0% → 100%  (2)", "0% → 100%  (1)"]
    (data,) = leak_rate_by_axis(frame).to_dict()["datasets"].values()
    assert {row["axis"] for row in data} == {"zero_grad"}


def test_changes_start_at_the_first_value_and_are_in_order(trials):
    rows = [LEAK | {"lr": lr, "momentum": m} for lr in (10, 9, 0.001) for m in (None, 0.5)]
    (data,) = leak_rate_by_axis(trials(*rows)).to_dict()["datasets"].values()
    assert sorted(row["change"] for row in data) == ["00 0.001 → 9", "01 0.001 → 10"]


def test_settings_that_share_nothing_have_no_changes(trials):
    with pytest.raises(NothingToDrawError, match="no two settings that leak or hold differ in one"):
        leak_rate_by_axis(trials(LEAK, {"lr": 2.0, "momentum": 0.9}))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([LEAK | ZERO, NONE], "Only zero_grad → none stops every leak it was tried on"),
        ([LEAK | ZERO, LEAK | NONE],
         "No remedy stops every leak it was tried on; zero_grad → none stops most, 0 of 1"),
        ([LEAK | ZERO, NONE, ZERO | {"freeze": "grad_none"}],
         "freeze → grad_none and zero_grad → none stop every leak they were tried on"),
        ([LEAK | ZERO, NONE, LEAK | ZERO | GRAD_ZERO, LEAK | NONE | GRAD_ZERO],
         "Only zero_grad → none stops every leak it was tried on"),
    ],
)  # fmt: skip
def test_the_remedies_title_is_about_leaks_of_a_layer_frozen_as_people_do(trials, rows, expected):
    assert title(remedies_matrix(trials(*rows)))[0] == expected


def test_every_panel_of_remedies_says_what_its_leaks_are_frozen_by(trials):
    rows = [LEAK | ZERO, NONE, LEAK | ZERO | GRAD_ZERO, LEAK | NONE | GRAD_ZERO]
    (data,) = remedies_matrix(trials(*rows)).to_dict()["datasets"].values()
    assert {row["panel"] for row in data} == {"frozen by detach", "frozen by grad_zero"}


def test_a_cell_of_remedies_has_its_counts(trials):
    chart = remedies_matrix(trials(*ROWS))
    assert "100  (2/2)" in drawn_texts(chart)


def test_what_json_lacks_becomes_null():
    frame = pd.DataFrame({"a": [1.5, float("nan"), float("inf")], "b": ["x", None, "y"]})
    assert inline(frame).to_dict()["values"] == [
        {"a": 1.5, "b": "x"}, {"a": None, "b": None}, {"a": None, "b": "y"},
    ]  # fmt: skip


def traced(url, outcome):
    """Record a sweep ``t`` with two traced trials and one that is not."""
    records = (StepRecord(0, False, 1.0, GradState.NONZERO, True, 0.5),)
    records += (StepRecord(1, True, None, GradState.ZERO, False, 0.0),)
    with Store.open(url) as store:
        outcomes = [outcome(seed=seed) for seed in range(3)]
        outcomes[:2] = [dataclasses.replace(one, steps=records) for one in outcomes[:2]]
        store.write(store.record_sweep("t", "{}", 3).id, outcomes)


def test_steps_are_those_of_the_sweep_with_their_trials_axes(database, outcome):
    url = database(s=ROWS)
    traced(url, outcome)
    found = load_steps(url, "t")
    assert len(found) == 4
    assert found["step"].tolist() == [0, 1, 0, 1]
    assert found["seed"].tolist() == [0, 0, 1, 1]
    assert found["frozen"].tolist() == [False, True, False, True]
    assert found["loss"].isna().tolist() == [False, True, False, True]
    assert set(FIGURES["article_trace"].needs) <= set(found.columns)
    assert load_steps(url, "s").empty


@pytest.mark.parametrize("name", [n for n, f in FIGURES.items() if FOLDABLE.issuperset(f.needs)])
def test_a_figure_is_the_same_of_folded_trials(database, name):
    figure, seeds = FIGURES[name], [{"seed": 1}, {"seed": 2}]
    others = [{"verdict": "inert"}, {"momentum": 0.9}, {"verdict": "failed", "error": "x"}]
    rows = [row | seed for row in (*ROWS[:4], *others) for seed in seeds]
    url = database(s=rows)
    folded = figure.make(load_folded(url, "s", columns=figure.needs))
    assert folded.to_dict() == figure.make(load_trials(url, "s", columns=figure.needs)).to_dict()


def test_drawing_says_why_a_figure_is_left_out(database):
    by_name = {drawn.figure.name: drawn for drawn in draw(database(s=ROWS), "s")}
    assert list(by_name) == list(FIGURES)
    assert by_name["article_trace"].chart is None
    assert "was recorded step by step" in by_name["article_trace"].reason


def test_each_drawn_figure_is_two_files_and_nothing_else(database, tmp_path):
    found = list(export_figures(database(s=ROWS), tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    drawn = [name for name in FIGURES if name != "article_trace"]
    assert names == sorted(f"{name}{suffix}" for name in drawn for suffix in (".png", ".svg"))
    assert sorted(path.name for files in found for path in files.paths) == names
    assert found[-1].paths == ()


def test_several_sweeps_are_told_apart_in_names_that_stay_in_the_folder(database, tmp_path):
    url = database(**{"../a": ROWS, "a": ROWS, "empty": []})
    stems = {files.name for files in export_figures(url, tmp_path)}
    assert {"a-leak_rate_heatmap", "a-2-leak_rate_heatmap"} <= stems
    assert not [stem for stem in stems if "/" in stem or stem.startswith("empty")]


def test_figures_of_a_sweep_that_is_not_there_are_refused(database, tmp_path):
    with pytest.raises(SweepMissingError, match=r"no sweep named 'x'.*Valid: s"):
        list(export_figures(database(s=ROWS), tmp_path, sweep="x"))


def test_figures_of_nothing_are_refused(database, tmp_path):
    with pytest.raises(NoTrialsError, match="The sweep 's' holds no trials yet"):
        list(export_figures(database(s=[]), tmp_path, sweep="s"))
    with pytest.raises(NoTrialsError, match="The database holds no trials yet"):
        list(export_figures(database(s=[]), tmp_path))


def test_a_frame_that_was_loaded_draws(database):
    assert title(heatmap.leak_rate_heatmap(load_trials(database(s=ROWS), "s")))[0].startswith(
        "With"
    )
