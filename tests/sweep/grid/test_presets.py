import json
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest

from sweep.errors import UnknownNameError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import PRESETS, described_presets, load_preset, preset_text
from sweep.optimizers import registry
from sweep.values.words import Axis, Freeze, ZeroGrad

ROOT = Path(__file__).parents[3]


def distinct(grid, axis):
    return {getattr(planned.setting, axis) for planned in grid}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_plans_each_setting_once(name):
    grid = Grid(load_preset(name))
    fingerprints = {planned.fingerprint for planned in grid}
    assert len(fingerprints) == grid.size


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_recorded_of_a_preset_plans_the_same_trials(name):
    grid = Grid(load_preset(name))
    again = Grid(Spec.checked(json.loads(grid.canonical()), "recorded"))
    assert again.size == grid.size
    assert again.difference(grid.canonical()) is None
    assert grid.difference(again.canonical()) is None


@pytest.mark.parametrize("name", ["article", "full", "remedies"])
def test_the_size_in_a_preset_s_words_is_its_size(name):
    size = Grid(load_preset(name)).size
    stated = re.findall(r"([\d,]+) trials", preset_text(name))
    assert stated == [f"{size:,}"] * 2


def test_article_has_the_article_s_five_cases_six_times_and_a_row_per_step():
    spec = load_preset("article")
    grid = Grid(spec)
    cases = {(s.optimizer, s.lr, s.weight_decay, s.momentum) for s in (p.setting for p in grid)}
    assert cases == {
        ("SGD", 1.0, 0.0, 0.0),
        ("SGD", 1.0, 0.0, 0.9),
        ("SGD", 1.0, 0.5, 0.0),
        ("Adam", 1.0, 0.5, 0.9),
        ("AdamW", 0.001, 0.01, 0.9),
    }
    assert grid.size == 5 * len(ZeroGrad) * 2
    assert distinct(grid, Axis.SCHEDULE) == {"alternate", "always"}
    assert spec.trace
    assert spec.steps == 100


def test_full_has_every_dense_torch_optimizer_at_every_value_that_applies():
    grid = Grid(load_preset("full"))
    lr, decay, momentum, zero_grad, schedule, seed = 2, 3, 2, 3, 3, 3
    rest = lr * zero_grad * schedule * seed
    with_both = 8  # SGD, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, Muon
    with_decay_only = 4  # Adagrad, Adadelta, Adafactor, ASGD
    with_neither = 2  # Rprop, LBFGS
    expected = rest * (with_both * decay * momentum + with_decay_only * decay + with_neither)
    assert grid.size == expected == 3348
    assert grid.counts()[Axis.OPTIMIZER]["SGD"] == rest * decay * momentum == 324
    assert not grid.plan.omissions


@pytest.mark.parametrize("name", ["full", "remedies"])
def test_the_torch_presets_list_exactly_the_dense_optimizers_of_torch(name):
    rows = [registry.lookup(known) for known in registry.names()]
    dense = {row.name for row in rows if row.collection == "torch" and not row.sparse}
    assert set(load_preset(name).optimizers) == dense


def test_remedies_crosses_every_freeze_with_every_zero_grad():
    grid = Grid(load_preset("remedies"))
    pairs = {(p.setting.freeze, p.setting.zero_grad) for p in grid}
    assert pairs == {(freeze, zero_grad) for freeze in Freeze for zero_grad in ZeroGrad}


def test_every_remedy_in_remedies_has_its_match_but_for_the_omitted():
    grid = Grid(load_preset("remedies"))
    counts = grid.counts()[Axis.FREEZE]
    left_out = sum(omission.settings for omission in grid.plan.omissions)
    assert counts[Freeze.LR_ZERO] == counts[Freeze.DETACH] - left_out
    assert len({n for freeze, n in counts.items() if freeze is not Freeze.LR_ZERO}) == 1


def test_atlas_has_every_optimizer_that_can_be_built_on_dense_gradients():
    grid = Grid(load_preset("atlas"))
    left_out = {omission.optimizer for omission in grid.plan.omissions}
    assert distinct(grid, Axis.OPTIMIZER) == set(registry.names()) - left_out
    assert "SparseAdam" in left_out


def test_every_preset_is_listed_with_one_line():
    assert list(described_presets()) == list(PRESETS)
    assert all("\n" not in description for description in described_presets().values())


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown preset 'artcle'\. Did you mean article"):
        preset_text("artcle")


def test_cost_has_the_rates_that_the_recorded_search_chose():
    choose = runpy.run_path(str(ROOT / "results" / "choose_rates.py"))
    chosen = choose["chosen"](pd.read_csv(choose["RATES_FILE"]))
    spec = load_preset("cost")
    assert {name: grid.lr for grid in spec.grid for name in grid.optimizer} == chosen
    assert {seed for grid in spec.grid for seed in grid.seed}.isdisjoint({100, 101, 102})
