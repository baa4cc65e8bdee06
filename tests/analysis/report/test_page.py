"""The report as text: what it says, what it escapes, and that its file is whole or absent."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from analysis.exceptions import DatabaseMissingError, NoTrialsError, SweepMissingError
from analysis.figures import FIGURES
from analysis.report import page as page_module
from analysis.report.content import sections
from analysis.report.page import page, report
from analysis.report.run_facts import MOST_SPELLED, spec_toml
from analysis.tables import SUMMARIES
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml, load_preset
from sweep.store.store import Store

HOSTILE = "</script><!--<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
LEAK = {"verdict": "leaks", "by_history": True, "max_drift": 2.0, "drift_ratio": 1.5}
ROWS = [
    LEAK | {"zero_grad": "zero"},
    LEAK | {"zero_grad": "never", "by_decay": True},
    {"zero_grad": "none"},
    {"optimizer": HOSTILE, "verdict": "failed", "error": HOSTILE},
    {"optimizer": "Adam", "verdict": "inert"},
]


class Elements(HTMLParser):
    """Gathers the start tags of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def text(database):
    return page(sections(database(s=ROWS)))


def test_no_text_of_the_database_becomes_a_tag(database):
    url = database(**{HOSTILE: ROWS})
    tags = Elements(page(sections(url))).tags
    assert [tag for tag, _ in tags if tag == "img"] == []
    assert len([tag for tag, _ in tags if tag == "script"]) == 3


def test_the_page_names_nothing_outside_itself(text):
    places = [
        attrs[name]
        for _, attrs in Elements(text).tags
        for name in ("src", "href", "action")
        if name in attrs
    ]
    assert [place for place in places if not place.startswith(("data:", "#"))] == []


def test_figures_survive_the_way_into_the_page(text):
    inside = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text)
    figures = json.loads(inside[1])
    assert set(figures) == {"0-leak_rate_heatmap", "0-leak_rate_by_axis", "0-drift_ratio_by_cause",
                            "0-remedies_matrix"}  # fmt: skip
    assert HOSTILE in json.dumps(figures).encode().decode("unicode_escape").replace('\\"', '"')


def test_the_libraries_are_in_the_page_once(text):
    assert text.count("window.vegaEmbed") == 1


def test_the_policy_lets_no_other_script_run(text):
    policy = next(attrs["content"] for _, attrs in Elements(text).tags if "http-equiv" in attrs)
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert policy.startswith("default-src 'none'")
    assert re.fullmatch(r"script-src( 'sha256-[\w+/=]{44}'){2}", scripts)


def test_the_answer_comes_first_rules_in_words_and_the_heat_map(database, text):
    (section,) = sections(database(s=ROWS))
    assert section.verdicts == (("leaks", 2), ("holds", 1), ("inert", 1), ("failed", 1))
    (rule,) = section.rules
    assert rule.rule == "leaks when zero_grad in {zero, never}"
    assert (rule.optimizers, rule.remark) == (("SGD",), "")
    assert section.answer.name == "leak_rate_heatmap"
    assert section.tables[0].shown.name == "results"
    places = [text.index(word) for word in ("leaks when", "leak_rate_heatmap", "What was run")]
    assert places == sorted(places)


def test_no_share_is_taken_over_axes_that_decide(database):
    """A headline such as "67% of trials leak" would be about the grid, not about leaks."""
    (section,) = sections(database(s=ROWS))
    words = " ".join([*section.lead, section.unfinished])
    assert "%" not in words


def test_optimizers_with_one_rule_share_it_and_a_broken_one_says_so(database):
    same = [row | {"optimizer": name} for name in ("SGD", "Adam") for row in ROWS[:3]]
    torn = [{"optimizer": "Z"}, LEAK | {"optimizer": "Z", "seed": 1}]
    (section,) = sections(database(s=[*same, *torn]))
    assert [rule.optimizers for rule in section.rules] == [("Adam", "SGD"), ("Z",)]
    assert section.rules[1].remark == "wrong about 1 of 2 trials"


def test_a_sweep_that_proves_nothing_says_so(database):
    (section,) = sections(database(s=[{"verdict": "failed", "error": "x"}]))
    assert section.lead == ("No trial leaks or holds: nothing can be said.",)
    assert (section.answer, section.figures) == (None, ())
    assert len(section.left_out) == len(FIGURES)


def test_a_sweep_that_is_not_complete_has_a_banner(database, outcome):
    url = database(s=ROWS)
    assert sections(url)[0].unfinished == ""
    with Store.open(url) as store:
        store.write(store.record_sweep("half", "{}", 10).id, [outcome(**ROWS[0])])
    (half,) = sections(url, "half")
    assert half.unfinished == (
        "Not complete: 1 of 10 trials are recorded, and what follows is of those."
    )
    assert "Not complete" in page([half])


def test_no_text_for_readers_names_an_option_of_the_command_line(database):
    made = sections(database(s=ROWS))
    section = made[0]
    words = [*section.lead, *section.left_out, *(f.caption for f in section.figures)]
    assert not [word for word in words if "--" in word]


SEARCH = {
    "kind": "search",
    "grid": [],
    "search": {"ranges": [], "objectives": ["max_drift", "drift_ratio"], "sampler": "nsgaii",
               "seed": 0},
}  # fmt: skip
SEARCHED = [
    LEAK | {"lr": 1.0 + n, "max_drift": float(n), "drift_ratio": float(9 - n)} for n in range(10)
]


def test_a_search_has_its_front_and_its_worst_settings_and_no_row_a_trial(database):
    (section,) = sections(database(s=SEARCHED, specs={"s": json.dumps(SEARCH)}))
    assert section.lead == (
        "Settings were proposed by nsgaii, which looked for the largest max_drift and the largest "
        "drift_ratio.",
    )
    assert section.answer.title.startswith("The search's front: from max_drift 9 at drift_ratio 0")
    names = [table.shown.name for table in section.tables]
    assert names[:3] == ["front", "worst", "results"]
    assert "by_setting" not in names
    assert [row[0] for row in section.tables[1].shown.rows[:2]] == ["9", "8"]
    assert "search repeat.toml" in section.repeat.commands[0]


def test_a_search_for_edges_has_a_row_for_each(database):
    rows = [{"lr": 0.1 * n, "verdict": "leaks" if n > 3 else "holds"} for n in range(1, 8)]
    spec = {"kind": "search", "search": {"edge": "lr=0.1:1", "points": 7, "tolerance": 0.1}}
    (section,) = sections(database(s=rows, specs={"s": json.dumps(spec)}))
    assert section.lead == ("Along lr, the verdict changes in 1 place.",)
    (row,) = section.tables[0].shown.rows
    told = dict(zip(section.tables[0].shown.columns, row, strict=True))
    assert (float(told["below"]), float(told["above"])) == pytest.approx((0.3, 0.4))
    assert (told["verdict_below"], told["verdict_above"]) == ("holds", "leaks")


def test_a_watch_has_a_row_a_parameter_and_nothing_that_a_grid_would_say(database):
    rows = [
        LEAK | {"options": '{"optimizer":0,"parameter":"a.weight"}', "causes": "decay, history"},
        {"options": '{"optimizer":1,"parameter":"b"}', "zero_grad": "none"},
    ]
    url = database(w=rows, specs={"w": '{"kind":"watch","frozen":[]}'})
    (section,) = sections(url)
    assert section.lead == ("1 of 2 parameters moved on a step to keep still on.",)
    assert (section.rules, section.answer, section.figures) == ((), None, ())
    assert (section.repeat, section.verdicts) == (None, ())
    (table,) = section.tables
    moved = dict(zip(table.shown.columns, table.shown.rows[0], strict=True))
    assert moved["parameter"] == "a.weight"
    assert (moved["moved"], moved["causes"]) == ("9", "decay, history")
    assert moved["remedy"].startswith("let its grad be None, not zeros")
    assert "always leaks" not in page([section])


def test_each_table_is_there_with_the_whole_of_its_csv(database):
    (section,) = sections(database(s=ROWS))
    tables = {table.shown.name: table for table in section.tables}
    assert list(tables) == list(SUMMARIES)
    found = tables["by_setting"]
    assert "schedule" not in found.shown.columns
    assert "schedule alternate" in found.shown.caption
    lines = unquote(found.csv).split(",", 1)[1].splitlines()
    assert lines[0].startswith("sweep,optimizer,lr,weight_decay,momentum,zero_grad,schedule")
    assert len(lines) - 1 == len(found.shown.rows)
    assert found.shown.columns[found.optimizer] == "optimizer"
    assert tables["by_zero_grad"].optimizer is None


def test_what_was_run_is_said_by_axis_and_environment(database):
    (section,) = sections(database(s=[*ROWS, {"momentum": None}]))
    run = grid = {fact.name: fact.value for fact in section.facts}
    assert run["trials"] == "6 recorded of 6 planned"
    assert run["torch"] == "2.13.0"
    assert run["finished"] == "2026-11-23 05:30 UTC"
    assert grid["momentum"] == "0, not applicable"
    assert grid["zero_grad"] == "none, zero, never"


def test_a_long_list_of_values_is_counted(database):
    many = [{"seed": seed} for seed in range(MOST_SPELLED + 2)]
    (section,) = sections(database(s=many))
    assert section.facts[-1].value == "18 values from 0 to 17"


def test_every_sweep_has_its_section_and_empty_ones_none(database):
    url = database(one=ROWS, empty=[], two=ROWS)
    assert [section.name for section in sections(url)] == ["one", "two"]
    assert [section.name for section in sections(url, "two")] == ["two"]


@pytest.mark.parametrize("preset", ["article", "remedies"])
def test_a_recorded_grid_read_back_as_toml_is_the_same_grid(preset):
    recorded = Grid(load_preset(preset)).canonical()
    text = spec_toml(json.loads(recorded))
    assert Grid(from_toml(text, source="repeat.toml", name="repeat")).canonical() == recorded


def test_what_toml_lacks_is_left_out_of_a_spec():
    assert spec_toml({"name": "s", "description": None}) == 'name = "s"'


def test_an_unfinished_report_leaves_the_old_one(database, tmp_path, monkeypatch):
    url, out = database(s=ROWS), tmp_path / "new" / "r.html"
    assert report(url, out) == out
    before = out.read_bytes()
    monkeypatch.setattr(page_module, "page", lambda made: "\ud800")  # no UTF-8 for this
    with pytest.raises(UnicodeEncodeError):
        report(url, out)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["r.html"]


def test_a_sweep_that_is_not_there_writes_nothing(database, tmp_path):
    with pytest.raises(SweepMissingError, match=r"no sweep named 'x'.*Valid: s"):
        report(database(s=ROWS), tmp_path / "r.html", sweep="x")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(("sweep", "words"), [(None, "The database"), ("s", "The sweep 's'")])
def test_nothing_recorded_is_an_error(database, tmp_path, sweep, words):
    with pytest.raises(NoTrialsError, match=f"{words} holds no trials yet"):
        report(database(s=[]), tmp_path / "r.html", sweep=sweep)


def test_a_missing_database_is_an_error(tmp_path):
    with pytest.raises(DatabaseMissingError, match="There is no database at"):
        report(f"sqlite:///{tmp_path / 'no.db'}", tmp_path / "r.html")


@pytest.mark.slow
def test_a_sweep_as_large_as_full_makes_less_than_3_mb(database, tmp_path):
    rows = [
        (LEAK if zero_grad != "none" else {})
        | {"optimizer": f"Optimizer{number}", "zero_grad": zero_grad, "schedule": schedule}
        | {"lr": lr, "weight_decay": decay, "momentum": momentum, "seed": seed}
        for number in range(12)
        for zero_grad in ("none", "zero", "never")
        for schedule in ("alternate", "always", "after:10")
        for lr in (1.0, 0.01)
        for decay in (0.0, 0.01, 0.5)
        for momentum in (0.0, 0.9)
        for seed in range(3)
    ]
    assert len(rows) > 3_348
    assert report(database(s=rows), tmp_path / "r.html").stat().st_size < 3_000_000
