"""The rows declared elementwise: tensors put into one move, bit for bit, as they do apart."""

import itertools

import pytest
import torch
from torch import nn

from sweep.optimizers import registry
from sweep.optimizers.build import build_optimizer
from sweep.trial.outside import fresh_modes
from sweep.trial.probe import bits
from sweep.values.setting import Setting

ROWS = [registry.lookup(name) for name in registry.names()]
ELEMENTWISE = [entry for entry in ROWS if entry.elementwise]
REPLICATES, SHAPES, STEPS = 3, ((8, 16), (3, 8)), 12
HYPERPARAMETERS = [*itertools.product((1.0, 0.01), (0.0, 0.5), (0.0, 0.9))]


def grads():
    """For each step the grads ``(replicates, *shape)`` of each parameter: also zeros, None, NaN."""
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        each = [torch.randn(REPLICATES, *shape, generator=generator) for shape in SHAPES]
        if step % 3 == 1:
            each[0] = None
        elif step % 3 == 2:
            each[0].zero_()
        if step == STEPS - 2:
            each[1][1, 0, 0] = torch.nan
        yield each


def trained(entry, setting, parts):
    """Parameters after training: ``parts(tensor)`` is the tensors that a stack is trained as."""
    generator = torch.Generator().manual_seed(1)
    stacks = [torch.randn(REPLICATES, *shape, generator=generator) for shape in SHAPES]
    parameters = [[nn.Parameter(part.clone()) for part in parts(stack)] for stack in stacks]
    named = {f"{i}.{j}": p for i, ps in enumerate(parameters) for j, p in enumerate(ps)}
    optimizer = build_optimizer(entry, [named], nn.Module(), setting, {}, steps=STEPS)
    with fresh_modes():
        for step_grads in grads():
            for own, grad in zip(parameters, step_grads, strict=True):
                own_grads = [None] * len(own) if grad is None else map(torch.clone, parts(grad))
                for parameter, own_grad in zip(own, own_grads, strict=True):
                    parameter.grad = own_grad
            optimizer.step()
    return [torch.stack([p.detach() for p in own]).reshape(-1) for own in parameters]


def same(one, other):
    pairs = zip(one, other, strict=True)
    return all(torch.equal(bits(a), bits(b)) for a, b in pairs)


def setting_of(entry, lr, decay, momentum):
    return Setting(
        entry.name, lr, decay if entry.weight_decay else None, momentum if entry.momentum else None
    )


def apart(stack):
    return list(stack)


def as_one(stack):
    return [stack]


def test_the_rows_declared_elementwise_are_those_of_torch_that_take_no_norm_and_no_closure():
    assert {entry.name for entry in ELEMENTWISE} == {
        "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta",
        "Rprop", "ASGD",
    }  # fmt: skip


@pytest.mark.parametrize(("lr", "decay", "momentum"), HYPERPARAMETERS)
@pytest.mark.parametrize("entry", ELEMENTWISE, ids=lambda entry: entry.name)
def test_replicates_in_one_tensor_move_as_they_do_apart(entry, lr, decay, momentum):
    setting = setting_of(entry, lr, decay, momentum)
    assert same(trained(entry, setting, apart), trained(entry, setting, as_one))


def test_an_optimizer_with_a_norm_in_it_would_be_told_apart():
    entry = registry.lookup("Adafactor")
    setting = setting_of(entry, 0.01, 0.0, None)
    assert not same(trained(entry, setting, apart), trained(entry, setting, as_one))
