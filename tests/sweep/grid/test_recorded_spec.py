"""Two recorded specs become one, or say why they cannot."""

import json

import pytest

from sweep.errors import MisuseError
from sweep.grid import Grid
from sweep.grid.recorded_spec import united
from sweep.grid.spec import Spec

BASE = {"optimizer": ["SGD"], "lr": [1.0], "seed": [0, 1], "zero_grad": ["none"]}


def grid_of(*grids, **keys):
    return Grid(Spec.checked({"name": "test", "grid": list(grids), **keys}, "test.toml"))


@pytest.mark.parametrize(
    ("other", "size"),
    [
        ([BASE], 2),
        ([BASE | {"seed": [1, 2]}], 3),
        ([{"optimizer": ["Adam"], "zero_grad": ["zero"]}, BASE], 3),
        ([BASE | {"seed": [7], "lr": [0.1, 0.2]}, BASE | {"seed": [0]}], 4),
    ],
)
def test_the_grids_of_both_are_one_spec_that_contains_either(other, size):
    one, two = grid_of(BASE, trace=True), grid_of(*other, name="another")
    spec, planned = united(one.canonical(), two.canonical())
    assert planned == size
    assert (json.loads(spec)["name"], json.loads(spec)["trace"]) == ("test", True)
    both = Grid(Spec.checked(json.loads(spec), "united"))
    assert both.size == size
    assert one.is_part_of(spec)
    assert two.is_part_of(spec)


def test_options_come_with_their_optimizers():
    one = grid_of(BASE, options={"SGD": {"nesterov": False}})
    two = grid_of({"optimizer": ["Adam"]}, options={"Adam": {"eps": 0.1}})
    spec, _ = united(one.canonical(), two.canonical())
    assert json.loads(spec)["options"] == {"SGD": {"nesterov": False}, "Adam": {"eps": 0.1}}


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 50},
        {"workload": "small", "steps": 100},
        {"options": {"SGD": {"maximize": True}}},
    ],
)
def test_specs_of_different_trials_cannot_become_one(other):
    with pytest.raises(MisuseError, match="they differ in workload, steps or options"):
        united(grid_of(BASE).canonical(), grid_of(BASE, **other).canonical())


@pytest.mark.parametrize(("kind", "words"), [("watch", "a training loop"), ("search", "searched")])
def test_what_is_no_grid_cannot_become_one(kind, words):
    with pytest.raises(MisuseError, match=rf"cannot become one: .*{words}"):
        united(grid_of(BASE).canonical(), json.dumps({"kind": kind}))


def test_grids_that_overlap_in_too_many_ways_cannot_become_one(monkeypatch):
    one, two = (grid_of(*[BASE | {"seed": [n, n + 2], "lr": [n]} for n in ns]).canonical()
                for ns in (range(5), range(3, 9)))  # fmt: skip
    monkeypatch.setattr("sweep.grid.box.MOST_LOOKS", 3)
    with pytest.raises(MisuseError, match="overlap in too many ways"):
        united(one, two)
