import json
import random
import sys
import time
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.errors import SpecError
from sweep.grid import MAX_TRIALS, Grid, refusal
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.optimizers.entry import OptimizerEntry
from sweep.values import schedule
from sweep.values.words import Axis, Freeze, ZeroGrad

OPTIMIZERS = ["SGD", "Adam", "Adagrad", "Rprop", "LBFGS", "SparseAdam"]


def spec_of(*grids, **keys):
    return Spec.checked({"name": "test", "grid": list(grids), **keys}, "test.toml")


def grid_of(*grids, **keys):
    return Grid(spec_of(*grids, **keys))


def some(values, most=3):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most)


GRIDS = st.fixed_dictionaries(
    {"optimizer": some(OPTIMIZERS)},
    optional={
        "lr": some([0, 0.001, 0.01, 1, 1.0]),
        "weight_decay": some([0, -0.0, 0.5, 1]),
        "momentum": some([0, 0.5, 0.9]),
        "zero_grad": some([str(word) for word in ZeroGrad]),
        "schedule": some(["alternate", "every:2", "always", "after:0", "after:3", "never"]),
        "freeze": some(["detach", "lr_zero", "own_optimizer"]),
        "seed": some([0, 1, 2]),
    },
)
UNIONS = st.lists(GRIDS, min_size=1, max_size=4)


def planned_or_none(grids):
    try:
        return grid_of(*grids)
    except SpecError as error:
        if "No setting is left" in str(error):
            return None
        raise


@settings(deadline=None, max_examples=150)
@given(UNIONS)
def test_no_two_settings_share_a_fingerprint_and_the_size_is_exact(grids):
    grid = planned_or_none(grids)
    if grid is None:
        return
    trials = list(grid)
    assert len({trial.fingerprint for trial in trials}) == len(trials) == grid.size
    assert all(trial in grid for trial in trials)
    assert [trial.fingerprint for trial in grid] == [trial.fingerprint for trial in trials]
    assert all(replace(trial).fingerprint == trial.fingerprint for trial in trials)


@settings(deadline=None, max_examples=150)
@given(UNIONS)
def test_every_combination_is_planned_collapsed_repeated_or_omitted(grids):
    grid = planned_or_none(grids)
    if grid is None:
        return
    omitted = sum(omission.settings for omission in grid.plan.omissions)
    assert grid.plan.stated == grid.size + grid.plan.collapsed + grid.repeated + omitted


@settings(deadline=None, max_examples=150)
@given(UNIONS)
def test_no_setting_has_a_value_that_the_axes_do_not_allow(grids):
    for trial in planned_or_none(grids) or ():
        setting = trial.setting
        entry = registry.lookup(setting.optimizer)
        for axis in (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM):
            assert (getattr(setting, axis) is None) == (entry.address(axis) is None)
        assert refusal(entry, setting.freeze, trial.workload) is None


@settings(deadline=None, max_examples=100)
@given(UNIONS)
def test_counts_by_value_are_those_of_the_enumerated_trials(grids):
    grid = planned_or_none(grids)
    if grid is None:
        return
    trials = list(grid)
    for axis, counts in grid.counts().items():
        found = [getattr(trial.setting, axis) for trial in trials]
        assert counts == {value: found.count(value) for value in set(found)}


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(UNIONS, UNIONS)
def test_a_grid_extends_another_exactly_when_it_contains_its_trials(ours, theirs):
    new, old = planned_or_none(ours), planned_or_none(theirs)
    if new is None or old is None:
        return
    contained = all(trial in new for trial in old)
    assert (new.difference(old.canonical()) is None) == contained


def test_numbers_left_out_are_the_optimizer_s_own_and_weight_decay_is_zero():
    (trial,) = grid_of({"optimizer": ["AdamW"], "zero_grad": ["none"]})
    assert (trial.setting.lr, trial.setting.momentum) == (0.001, 0.9)
    assert trial.setting.weight_decay == 0.0


def test_the_optimizer_s_own_value_stated_is_the_same_trial():
    grid = grid_of({"optimizer": ["Adam"]}, {"optimizer": ["Adam"], "lr": [0.001]})
    assert (grid.size, grid.repeated) == (3, 3)


def test_settings_come_grid_by_grid_with_the_seed_fastest():
    grid = grid_of(
        {"optimizer": ["SGD"], "zero_grad": ["zero"], "seed": [0, 1]},
        {"optimizer": ["Adagrad", "SGD"], "zero_grad": ["zero", "none"], "seed": [1]},
    )
    order = [(t.setting.optimizer, t.setting.zero_grad, t.setting.seed) for t in grid]
    assert order == [
        ("SGD", "zero", 0),
        ("SGD", "zero", 1),
        ("Adagrad", "zero", 1),
        ("Adagrad", "none", 1),
        ("SGD", "none", 1),
    ]


def test_trials_carry_workload_steps_and_the_options_of_their_optimizer():
    grid = grid_of(
        {"optimizer": ["LBFGS", "SGD"]},
        workload="small",
        steps=7,
        options={"LBFGS": {"history_size": 3}},
    )
    by_name = {trial.setting.optimizer: trial for trial in grid}
    assert json.loads(by_name["LBFGS"].options) == {"history_size": 3, "max_iter": 4}
    assert by_name["SGD"].options == "{}"
    assert {(trial.workload, trial.steps) for trial in grid} == {("small", 7)}


def test_what_cannot_exist_is_left_out_with_its_reason_and_number():
    grid = grid_of(
        {"optimizer": ["LBFGS", "SparseAdam"], "freeze": ["detach", "lr_zero"], "seed": [0, 1]}
    )
    left_out = {(o.optimizer, o.reason): o.settings for o in grid.plan.omissions}
    assert left_out == {
        ("LBFGS", "takes no parameter groups, which freeze = lr_zero needs"): 6,
        (
            "SparseAdam",
            "takes sparse gradients only, and those of workload article are dense",
        ): 12,
    }
    assert grid.size == 6


def test_an_optimizer_that_cannot_be_built_is_left_out_by_name(monkeypatch):
    monkeypatch.setattr(
        registry, "unavailable", lambda entry: "lost" if entry.name == "Adam" else None
    )
    grid = grid_of({"optimizer": ["Adam", "SGD"]})
    assert [(o.optimizer, o.reason, o.settings) for o in grid.plan.omissions] == [
        ("Adam", "lost", 3)
    ]
    assert set(grid.counts()[Axis.OPTIMIZER]) == {"SGD"}


def test_a_value_that_the_optimizer_must_be_told_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "strict_optimizer.py").write_text(
        "import torch\n"
        "class Strict(torch.optim.SGD):\n"
        "    def __init__(self, params, lr): super().__init__(params, lr=lr)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    named = {"optimizer": ["strict_optimizer:Strict"]}
    assert grid_of(named | {"lr": [0.1]}).size == 3
    with pytest.raises(SpecError, match=r"Strict has no lr of its own, and its grid gives none"):
        grid_of(named)


ROW = OptimizerEntry("mine", "mine:Mine", collection="own", distribution="")


@pytest.mark.parametrize(
    ("row", "freeze", "workload", "reason"),
    [
        (ROW, Freeze.LR_ZERO, "small", None),
        (ROW, Freeze.OWN_OPTIMIZER, "small", None),
        (replace(ROW, param_groups=False), Freeze.LR_ZERO, "small", "no parameter groups"),
        (replace(ROW, param_groups=False), Freeze.OWN_OPTIMIZER, "small", None),
        (replace(ROW, lr=None), Freeze.LR_ZERO, "small", "no learning rate"),
        (replace(ROW, rate_key=None), Freeze.LR_ZERO, "small", "no learning rate in its parameter"),
        (replace(ROW, sparse=True), Freeze.DETACH, "small", "sparse gradients only"),
        (replace(ROW, sparse=True), Freeze.DETACH, "mine:sparse", None),
        (
            replace(ROW, takes_model=True),
            Freeze.LR_ZERO,
            "small",
            "no parameter groups",
        ),
        (
            replace(ROW, takes_model=True),
            Freeze.OWN_OPTIMIZER,
            "small",
            "a whole model",
        ),
    ],
)
def test_only_what_a_row_declares_decides_what_is_refused(row, freeze, workload, reason):
    found = refusal(row, Freeze(freeze), workload)
    assert found is None if reason is None else reason in found


def test_a_spec_of_which_nothing_is_left_is_refused_with_the_reasons():
    with pytest.raises(SpecError, match=r"test.toml, grid: No setting is left to run: SparseAdam"):
        grid_of({"optimizer": ["SparseAdam"]})


def test_a_grid_of_10_to_the_12_is_refused_with_its_size_before_anything_is_allocated():
    axis = [number / 8 for number in range(10_000)]
    spec = spec_of(
        {"optimizer": ["SGD"], "lr": axis, "weight_decay": axis, "seed": list(range(10_000))}
    )
    with pytest.raises(SpecError) as raised:
        Grid(spec)
    assert "has 3,000,000,000,000 settings, and a sweep at most 10,000,000" in str(raised.value)
    assert "lr of grid[0] (10,000 values)" in str(raised.value)


def test_the_largest_grid_is_planned_at_once_and_iterated_lazily():
    grid = grid_of({"optimizer": ["SGD"], "lr": [n / 8 for n in range(1000)],
                    "zero_grad": ["none"], "seed": list(range(10_000))})  # fmt: skip
    assert grid.size == MAX_TRIALS
    assert [trial.setting.seed for trial in islice(grid, 3)] == [0, 1, 2]


@pytest.mark.parametrize(("given", "in_force"), [({}, 4), ({"LBFGS": {"max_iter": 7}}, 7)])
def test_the_specs_options_go_over_the_rows_own(given, in_force):
    (trial, *_) = grid_of({"optimizer": ["LBFGS"]}, options=given)
    assert trial.constructor_options() == {"max_iter": in_force}


def test_many_overlapping_grids_are_counted_without_enumerating():
    grids = [
        {"optimizer": ["SGD"], "lr": [n, n + 1], "seed": list(range(n, n + 3))} for n in range(200)
    ]
    grid = grid_of(*grids)
    assert grid.size == len(list(grid))


def test_a_thousand_overlapping_grids_are_planned_in_seconds_and_counted_as_enumerated():
    rng = random.Random(0)
    grids = [
        {
            "optimizer": ["SGD", "Adam"],
            "lr": rng.sample([n / 8 for n in range(1, 10)], 4),
            "seed": rng.sample(range(10), 3),
            "momentum": rng.sample([0, 0.1, 0.5], 2),
            "zero_grad": rng.sample([str(word) for word in ZeroGrad], 2),
        }
        for _ in range(1000)
    ]
    started = time.monotonic()
    grid = grid_of(*grids)
    assert grid.size == len({(t.setting, t.fingerprint) for t in grid})
    assert sum(grid.counts()[Axis.LR].values()) == grid.size
    assert time.monotonic() - started < 30  # half a second where nothing else runs


def test_grids_that_overlap_in_too_many_ways_are_refused(monkeypatch):
    monkeypatch.setattr("sweep.grid.box.MOST_LOOKS", 10)
    grids = [{"optimizer": ["SGD"], "lr": [n, n + 1], "seed": [n, n + 2]} for n in range(9)]
    with pytest.raises(SpecError, match=r"grid: The grids overlap in too many ways .* Write fewer"):
        grid_of(*grids)


SHORT = {"workload": "small", "steps": 20}


def test_schedules_that_freeze_the_same_steps_are_one():
    names = ["after:1", "every:20", "every:30", "alternate", "every:2"]
    grid = grid_of({"optimizer": ["SGD"], "zero_grad": ["none"], "schedule": names}, **SHORT)
    assert [trial.setting.schedule for trial in grid] == ["after:1", "alternate"]
    assert (grid.size, grid.plan.collapsed) == (
        2,
        2,
    )  # every:2 has been alternate since it was read


@settings(deadline=None)
@given(
    st.sampled_from(["every", "after"]),
    st.integers(1, 40),
    st.sampled_from(["every", "after"]),
    st.integers(1, 40),
    st.integers(1, 30),
)
def test_two_schedules_have_one_name_exactly_when_they_freeze_the_same(one, n, two, m, steps):
    texts = f"{one}:{n}", f"{two}:{m}"
    frozen = [[schedule.parse(text).frozen(step) for step in range(steps)] for text in texts]
    names = [schedule.known_by(text, steps) for text in texts]
    assert (names[0] == names[1]) == (frozen[0] == frozen[1])
    assert [schedule.parse(names[0]).frozen(step) for step in range(steps)] == frozen[0]


def test_a_sweep_recorded_with_several_names_of_one_schedule_is_extended_to_the_one_name():
    spec = {"optimizer": ["SGD"], "zero_grad": ["none"]}
    recorded = json.loads(grid_of(spec | {"schedule": ["after:1"]}, **SHORT).canonical())
    recorded["grid"][0]["schedule"] = ["after:1", "every:20", "every:30"]
    for name in ("after:1", "every:30"):
        grid = grid_of(spec | {"schedule": [name]}, **SHORT)
        assert grid.difference(json.dumps(recorded)) is None
        assert grid.is_part_of(json.dumps(recorded))


BASE = {"optimizer": ["SGD"], "lr": [1.0], "seed": [0, 1]}


@pytest.mark.parametrize(
    ("grids", "keys", "difference"),
    [
        ([BASE], {}, None),
        ([BASE, {"optimizer": ["Adam"]}], {}, None),
        ([BASE], {"trace": True, "name": "other"}, None),
        ([BASE | {"seed": [0, 1, 2], "lr": [1, 0.1]}], {}, None),
        ([BASE | {"seed": [0]}, BASE | {"seed": [1]}], {}, None),
        ([BASE], {"workload": "small", "steps": 100}, "its workload is article, not small"),
        ([BASE], {"steps": 50}, "its trials have 100 steps, not 50"),
        (
            [BASE],
            {"options": {"SGD": {"maximize": True}}},
            'its options of SGD are {}, not {"maximize":true}',
        ),
        (
            [BASE | {"seed": [0]}],
            {},
            "it has a setting that this one lacks, optimizer=SGD lr=1.0 weight_decay=0.0 "
            "momentum=0.0 zero_grad=none schedule=alternate freeze=detach seed=1",
        ),
        ([{"optimizer": ["Adagrad"]}], {}, "lacks, optimizer=SGD"),
    ],
)
def test_the_first_difference_to_a_recorded_grid_is_named(grids, keys, difference):
    found = grid_of(*grids, **keys).difference(grid_of(BASE).canonical())
    assert found is None if difference is None else difference in found


def test_comparing_imports_nothing_that_the_recorded_spec_names(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    recorded = json.loads(grid_of(BASE).canonical())
    recorded["grid"][0]["optimizer"] = ["trap:Trap"]
    assert "lacks, optimizer=trap:Trap" in grid_of(BASE).difference(json.dumps(recorded))
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    "recorded",
    ["", "1", "[]", "{}", '{"grid": [[]]}', '{"grid": 1}', '{"grid": [{"optimizer": []}]}',
     '{"workload": "a", "steps": 1, "options": {}, "grid": [{"optimizer": ["SGD"], "lr": 1}]}',
     '{"workload": "a", "steps": 1, "options": {}, "grid": [{"optimizer": ["SGD"], "lr": [[]]}]}',
     '{"workload": "article", "steps": 100, "options": 1, "grid": []}', "[" * 100_000],
)  # fmt: skip
def test_a_recorded_text_that_is_no_spec_is_refused(recorded):
    with pytest.raises(SpecError, match="recorded spec is not one that this program writes"):
        grid_of(BASE).difference(recorded)


@settings(deadline=None, max_examples=60)
@given(UNIONS)
def test_the_canonical_text_is_a_spec_that_plans_the_same_trials(grids):
    grid = planned_or_none(grids)
    if grid is None:
        return
    again = Grid(Spec.checked(json.loads(grid.canonical()), "recorded"))
    assert again.canonical() == grid.canonical()
    assert [t.fingerprint for t in again] == [t.fingerprint for t in grid]
