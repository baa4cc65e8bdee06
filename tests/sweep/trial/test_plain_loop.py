"""The outcomes against a training loop written out here, with nothing of the package in it."""

import itertools
import random

import pytest
import torch
from torch import nn
from torch.nn import functional

from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad

STEPS = 20
SAMPLE = 40

CONSTRUCTORS = {
    "SGD": lambda p, lr, wd, m: torch.optim.SGD(p, lr=lr, weight_decay=wd, momentum=m),
    "RMSprop": lambda p, lr, wd, m: torch.optim.RMSprop(p, lr=lr, weight_decay=wd, momentum=m),
    "Muon": lambda p, lr, wd, m: torch.optim.Muon(p, lr=lr, weight_decay=wd, momentum=m),
    "Adam": lambda p, lr, wd, m: torch.optim.Adam(p, lr=lr, weight_decay=wd, betas=(m, 0.999)),
    "AdamW": lambda p, lr, wd, m: torch.optim.AdamW(p, lr=lr, weight_decay=wd, betas=(m, 0.999)),
    "NAdam": lambda p, lr, wd, m: torch.optim.NAdam(p, lr=lr, weight_decay=wd, betas=(m, 0.999)),
    "Adagrad": lambda p, lr, wd, m: torch.optim.Adagrad(p, lr=lr, weight_decay=wd),
    "ASGD": lambda p, lr, wd, m: torch.optim.ASGD(p, lr=lr, weight_decay=wd),
    "Rprop": lambda p, lr, wd, m: torch.optim.Rprop(p, lr=lr),
}
HAS_MOMENTUM = {"SGD", "RMSprop", "Muon", "Adam", "AdamW", "NAdam"}
HAS_DECAY = set(CONSTRUCTORS) - {"Rprop"}
FROZEN = {
    "alternate": lambda step: step % 2 == 1,
    "always": lambda step: True,
    "never": lambda step: False,
    "every:3": lambda step: step % 3 != 0,
    "after:7": lambda step: step >= 7,
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(16, 8, bias=False)
        self.layer2 = nn.Linear(8, 3, bias=False)

    def forward(self, x, detach_layer1):
        hidden = self.layer1(x)
        return self.layer2(torch.relu(hidden.detach() if detach_layer1 else hidden))


def plain_loop(optimizer, lr, decay, momentum, zero_grad, schedule, seed):
    torch.manual_seed(seed)
    x, y = torch.randn(256, 16), torch.randint(3, (256,))
    net = Net()
    step_of = CONSTRUCTORS[optimizer](net.parameters(), lr, decay, momentum)
    leaks, drift, motion, largest, losses = [], 0.0, 0.0, 0.0, []
    for step in range(STEPS):
        frozen = FROZEN[schedule](step)
        loss = functional.cross_entropy(net(x, frozen), y)
        loss.backward()
        before = net.layer1.weight.detach().clone()
        step_of.step()
        change = (net.layer1.weight.detach() - before).double()
        if frozen and not torch.equal(before, net.layer1.weight.detach()):
            leaks.append(step)
        if frozen:
            drift += change.norm().item()
            largest = max(largest, change.abs().max().item())
        else:
            motion += change.norm().item()
        losses.append(loss.item())
        if zero_grad is not ZeroGrad.NEVER:
            step_of.zero_grad(set_to_none=zero_grad is ZeroGrad.NONE)
    return leaks, drift, motion, largest, losses


def sampled_settings():
    grid = itertools.product(
        CONSTRUCTORS, (0.5, 0.01), (0.0, 0.1), (0.0, 0.9), ZeroGrad, FROZEN, (0, 7)
    )
    return random.Random(20).sample(list(grid), SAMPLE)


@pytest.mark.parametrize(
    ("optimizer", "lr", "decay", "momentum", "zero_grad", "schedule", "seed"), sampled_settings()
)
def test_a_trial_measures_what_a_plain_loop_does(
    optimizer, lr, decay, momentum, zero_grad, schedule, seed
):
    leaks, drift, motion, largest, losses = plain_loop(
        optimizer, lr, decay, momentum, zero_grad, schedule, seed
    )
    setting = Setting(
        optimizer=optimizer,
        lr=lr,
        weight_decay=decay if optimizer in HAS_DECAY else None,
        momentum=momentum if optimizer in HAS_MOMENTUM else None,
        zero_grad=zero_grad,
        schedule=schedule,
        seed=seed,
    )
    outcome = run_trial(PlannedTrial(setting, "small", STEPS), trace=True)
    measured = outcome.measurement
    assert [record.step for record in outcome.steps if record.frozen and record.moved] == leaks
    assert measured.leaked_steps == len(leaks)
    assert measured.first_leak_step == (leaks[0] if leaks else None)
    assert measured.max_drift == pytest.approx(largest, rel=1e-5)
    assert measured.total_drift == pytest.approx(drift, rel=1e-5)
    assert measured.attached_motion == pytest.approx(motion, rel=1e-5)
    assert [record.loss for record in outcome.steps] == losses
    assert outcome.verdict == ("leaks" if leaks else "holds")
