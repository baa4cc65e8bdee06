"""Watching changes nothing, whosever optimizer it is, even one whose rehearsals go wrong."""

import warnings

import planted
import pytest
import torch
from torch import nn

from sweep import watch
from sweep.grid import Grid
from sweep.grid.spec_file import load_preset
from sweep.optimizers import registry
from sweep.trial.training import Training

EVERY_NTH = 8
TRIALS = {trial.setting.optimizer: trial for trial in Grid(load_preset("atlas"))}
NAMES = sorted(name for name in TRIALS if registry.lookup(name).collection != "torch")


def trained(planned, watched):
    """The bits that a few steps come to, and the leaks where they were watched."""
    training, found = Training(planned), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries warn of is theirs
        if watched:
            with watch(training.workload.model, training.main) as leaks:
                training.advance(0, 5)
            found = leaks.findings.steps
        else:
            training.advance(0, 5)
    return [p.detach().clone() for p in training.workload.model.parameters()], found


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES[::EVERY_NTH], "LBFGS"])
def test_training_under_watch_gives_the_same_bits(name):
    bare, _ = trained(TRIALS[name], watched=False)
    watched, steps = trained(TRIALS[name], watched=True)
    assert steps[0] in (5, 10)  # DeMo's step is two: it calls its parent's
    for one, other in zip(bare, watched, strict=True):
        assert torch.equal(one.nan_to_num(nan=-7.0), other.nan_to_num(nan=-7.0))


class HoldsAll(planted.Planted):
    """Keeps its parameters in an attribute of its own, as LBFGS does, and moves all of them."""

    def __init__(self, params):
        super().__init__(params)
        self.mine = [p for group in self.param_groups for p in group["params"]]

    def step(self, closure=None):
        for parameter in self.mine:
            parameter.data.add_(1.0)


def test_a_rehearsal_cannot_move_the_parameters_that_an_optimizer_holds_by_itself():
    layer = nn.Linear(2, 2)
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    optimizer = HoldsAll(layer.parameters())
    with watch(layer, optimizer) as leaks:
        optimizer.step()
    assert {leak.parameter for leak in leaks.leaks} == {"weight", "bias"}
    for one, other in zip(before, layer.parameters(), strict=True):
        assert torch.equal(one + 1.0, other)
