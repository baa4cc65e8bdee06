"""What is said of an axis in its one row reaches all who read it: README's way to add one."""

from pathlib import Path

import pytest

from analysis.schema import SETTING_AXES, TRIAL_COLUMNS
from sweep.grid.spec_file import from_toml, with_overrides
from sweep.publishing import published
from sweep.store.models import TrialRow
from sweep.store.views import VIEWS
from sweep.values.setting import AXIS_FACTS, Setting
from sweep.values.words import Axis

README = Path(__file__).parents[3] / "README.md"

each_axis = pytest.mark.parametrize("facts", AXIS_FACTS, ids=lambda facts: facts.axis.value)


def test_every_word_has_a_row_and_every_row_a_word():
    assert [facts.axis for facts in AXIS_FACTS] == list(Axis)


@each_axis
def test_a_spec_has_it_as_its_row_writes_it(facts):
    given = {"optimizer": '["SGD"]', facts.axis.value: facts.example}
    text = "\n".join(f"{axis} = {values}" for axis, values in given.items())
    (grid,) = from_toml(f"[[grid]]\n{text}", source="t", name="n").grid
    values = grid.values(facts.axis)
    assert values
    assert all(isinstance(value, facts.kind) for value in values)


@each_axis
def test_set_replaces_it(facts):
    spec = from_toml('[[grid]]\noptimizer = ["Adam"]', source="t", name="n")
    (value,) = {"optimizer": ["SGD"], "schedule": ["always"]}.get(
        facts.axis, facts.words[:1] or "0"
    )
    (grid,) = with_overrides(spec, set=[f"{facts.axis}={value}"]).grid
    assert grid.values(facts.axis) == (facts.parsed(value),)


@each_axis
def test_it_is_a_column_null_only_where_its_row_says_so(facts):
    column = TrialRow.__table__.columns[facts.axis]
    assert column.nullable == facts.nullable
    assert column.doc.lower() == f"{facts.meaning}.".lower()


@each_axis
def test_the_views_tell_settings_apart_by_it(facts):
    columns = {view.name: view.columns for view in VIEWS}
    assert facts.axis in columns["leak"]
    assert (facts.axis in columns["leak_rate_by_setting"]) == (facts.axis is not Axis.SEED)


@each_axis
def test_tables_know_it(facts):
    assert facts.axis in TRIAL_COLUMNS
    assert (facts.axis in SETTING_AXES) == (facts.axis is not Axis.SEED)


@each_axis
def test_show_axes_and_the_glossary_name_it(facts, leaksweep):
    told = leaksweep("show", "axes").out
    assert facts.values.split(",")[0] in told
    glossary = next(line for line in README.read_text().splitlines() if line.startswith("| axis |"))
    assert f"`{facts.axis}`" in glossary


def test_a_study_has_the_parameters_of_a_setting_and_no_others():
    assert list(published._Parameters.model_fields) == list(Setting.__dataclass_fields__)
