"""Sweeps from Python: what `run` and `load` return, and what they refuse."""

import pytest

from leaksweep import LeaksweepError, Results, load, run

GRID = {"workload": "small", "steps": 4, "grid": [{"optimizer": ["SGD", "Adam"]}]}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A sweep of six settings and the path of its database."""
    path = tmp_path_factory.mktemp("ran") / "x.db"
    return run(GRID, set={"seed": [0, 1], "lr": 0.1}, name="six", db=path, jobs=1, progress=False)


def test_what_was_run_is_a_frame_of_trials(ran):
    trials = ran.trials()
    assert len(trials) == 12
    assert set(trials["seed"]) == {0, 1}
    assert set(trials["lr"]) == {0.1}
    assert set(trials["verdict"]) == {"holds", "leaks"}


def test_a_table_is_a_frame(ran):
    rates = ran.table("by_optimizer")
    assert list(rates["optimizer"]) == ["Adam", "SGD"]
    assert list(rates["trials"]) == [6, 6]
    assert "causes" in ran.tables


def test_a_table_that_nobody_has_is_answered_with_the_nearest(ran):
    with pytest.raises(LeaksweepError, match="Did you mean by_optimizer"):
        ran.table("by_optimiser")


def test_the_same_call_again_runs_nothing(ran, capsys):
    again = run(GRID, set={"seed": [0, 1], "lr": 0.1}, name="six", db=ran.db, jobs=1)
    assert again == ran
    assert len(again.trials()) == 12


def test_a_recorded_sweep_is_loaded_by_path_or_url(ran):
    assert load(ran.db, "six") == ran
    assert load(ran.db.removeprefix("sqlite:///")) == ran


def test_a_sweep_that_is_not_there_is_answered_with_the_nearest(ran):
    with pytest.raises(LeaksweepError, match=r"no sweep 'sxi'\. Did you mean 'six'"):
        load(ran.db, "sxi")


def test_a_spec_and_a_preset_are_one_too_many():
    with pytest.raises(LeaksweepError, match="Both a spec and the preset 'full' were given"):
        run(GRID, preset="full")


def test_a_preset_that_nobody_has_is_answered_with_the_nearest():
    with pytest.raises(LeaksweepError, match="Did you mean article"):
        run(preset="artcle")


def test_a_notebook_shows_the_table_that_ends_a_run(ran):
    html = ran._repr_html_()
    assert html.startswith("<p>Did the frozen layer move?")
    assert '<th style="text-align:left">optimizers</th>' in html
    assert '<td style="text-align:right">2</td>' in html
    assert "<script" not in html


def test_what_a_name_says_is_text_in_a_notebook(tmp_path):
    named = run(GRID, set={"optimizer": "SGD"}, name="<b>mine", db=tmp_path / "x.db", jobs=1)
    run(GRID, set={"optimizer": "SGD"}, name="other", db=tmp_path / "x.db", jobs=1)
    html = load(named.db)._repr_html_()
    assert "&lt;b&gt;mine" in html
    assert "<b>" not in html


def test_a_figure_is_a_chart_of_the_sweep(ran):
    chart = ran.figure("leak_rate_heatmap").to_dict()
    assert "Adam" in str(chart["datasets"])
    assert "leak_rate_heatmap" in ran.figures


def test_a_figure_that_cannot_be_is_refused_with_the_reason(ran):
    with pytest.raises(LeaksweepError, match="Did you mean leak_rate_heatmap"):
        ran.figure("leak_rate_heat_map")
    with pytest.raises(LeaksweepError, match="no trial"):
        ran.figure("article_trace")
    with pytest.raises(LeaksweepError, match="A figure shows one sweep"):
        Results(ran.db, None).figure("leak_rate_heatmap")


def test_what_cannot_be_read_any_more_is_an_error_of_ours(tmp_path):
    gone = Results(f"sqlite:///{tmp_path}/gone.db", "six")
    for ask in (gone.trials, lambda: gone.table("results"), lambda: gone.figure("article_trace")):
        with pytest.raises(LeaksweepError, match="There is no database at"):
            ask()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spec": 5}, "spec is a TOML file's path or a mapping, not 5"),
        ({"preset": 5}, "preset is a preset's name, not 5"),
        ({"set": "lr=1"}, "set is a mapping such as .*, not 'lr=1'"),
        ({"jobs": 0}, "jobs is a count of at least 1, not 0"),
        ({"jobs": "2"}, "jobs is a count of at least 1, not '2'"),
        ({"db": 5}, "db is a file's path or an SQLAlchemy URL, not 5"),
        ({"set": {"lr": None}}, "lr"),
        ({"steps": 0}, "steps"),
        ({"name": ""}, "name"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_told_in_one_message(wrong, message, tmp_path):
    with pytest.raises(LeaksweepError, match=message):
        run(**({"db": tmp_path / "x.db"} | wrong))
    assert not (tmp_path / "x.db").exists()
