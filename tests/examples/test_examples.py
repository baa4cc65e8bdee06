"""Each example shows its leak, then none with the remedy on, and builds a workload."""

import importlib

import pytest
import torch

from sweep.grid.spec_file import load_spec
from sweep.workloads.built_in import build_workload

NAMES = ["gan", "gradual_unfreezing"]


def example(name):
    return importlib.import_module(f"examples.{name}")


@pytest.mark.parametrize(
    ("name", "leaking", "causes"),
    [
        ("gan", {"generator", "discriminator"}, {"history"}),
        ("gradual_unfreezing", {"block1", "block2"}, {"decay, history"}),
    ],
)
def test_what_is_frozen_moves_on_zeros_for_the_causes_told(name, leaking, causes):
    table = example(name).train(set_to_none=False).table()
    assert {parameter.partition(".")[0] for parameter in table["parameter"]} == leaking
    assert set(table["cause"].dropna()) == causes
    assert set(table["grad"]) == {"zero"}


@pytest.mark.parametrize("name", NAMES)
def test_the_remedy_leaves_no_leak_and_something_to_keep_still(name):
    leaks = example(name).train(set_to_none=True)
    assert leaks.table().empty
    assert leaks.findings.records


def test_the_discriminator_moves_on_the_generators_steps():
    table = example("gan").train(set_to_none=False).table()
    steps = table.loc[table["parameter"] == "discriminator.0.weight", "step"]
    assert list(steps) == list(range(1, 40, 2))


def test_a_block_keeps_on_moving_until_it_is_unfrozen():
    table = example("gradual_unfreezing").train(set_to_none=False).table()
    last = table.groupby("parameter")["step"].max()
    assert last.to_dict() == {
        "block1.weight": 29,
        "block1.bias": 29,
        "block2.weight": 19,
        "block2.bias": 19,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_script_prints_the_table_and_then_none(name, capsys):
    example(name).main()
    before, after = capsys.readouterr().out.rsplit("optimizer.zero_grad(set_to_none=True)", 1)
    assert "history" in before
    assert "-> let its grad be None, not zeros" in before
    assert "No leak" in after
    assert "median of ten seeds" in after


@pytest.mark.parametrize("name", NAMES)
def test_what_the_leak_costs_is_told_by_the_workloads_own_score(name):
    one, other = (example(name).scores(set_to_none=chosen, seeds=2) for chosen in (False, True))
    assert one != other
    assert example(name).scores(set_to_none=True, seeds=2) == other
    assert example(name).build(0).score is example(name).score


@pytest.mark.parametrize("name", NAMES)
def test_its_spec_names_the_workload_that_it_builds(name, root):
    spec = load_spec(root / "examples" / f"{name}.toml")
    one, same, other = (build_workload(spec.workload, seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one.model.parameters(), same.model.parameters(), strict=True):
        assert torch.equal(first, second)
    assert any(
        not torch.equal(first, second)
        for first, second in zip(one.model.parameters(), other.model.parameters(), strict=True)
    )
    assert one.loss(one.model, one.data, 0).dim() == 0
