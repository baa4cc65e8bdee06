"""How many times a large model's parameters a trial holds at its peak, leaking or not.

Counted are the bytes of tensors as torch's allocator gives and takes them: exact, and the same on
every machine. A loop of nothing but Adam takes 5.75 times the parameters itself, and 6.5 with
weight decay: parameters, grads, two states, and what its step computes them with.
"""

from itertools import accumulate

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict, ZeroGrad
from sweep.workloads.built_in import build_workload

MOST = 8.0
STEPS = 8


def peak_of(call):
    """The most bytes of tensors made in ``call`` that were alive at once, and what it returned."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        returned = call()
    events = profiled.profiler.kineto_results.events()
    memory = sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns())
    return max(accumulate(event.nbytes() for event in memory)), returned


def times_the_parameters(setting):
    """The peak of a trial of the workload `large`, and its outcome."""
    model = build_workload("planted_workloads:large", 0).model
    planned = PlannedTrial(setting, "planted_workloads:large", STEPS)
    peak, outcome = peak_of(lambda: run_trial(planned))
    return peak / sum(p.nbytes for p in model.parameters()), outcome


@pytest.mark.parametrize("schedule", ["alternate", "after:3"])
@pytest.mark.parametrize(
    ("zero_grad", "verdict"),
    [("none", Verdict.HOLDS), ("zero", Verdict.LEAKS), ("never", Verdict.LEAKS)],
)
def test_a_trial_of_adam_holds_at_most_eight_times_its_parameters(schedule, zero_grad, verdict):
    setting = Setting("Adam", 0.01, 0.1, 0.9, ZeroGrad(zero_grad), schedule)
    times, outcome = times_the_parameters(setting)
    assert outcome.verdict is verdict
    assert (outcome.causes is None) is (verdict is Verdict.HOLDS)
    assert 5.5 < times < MOST


def test_what_is_counted_is_what_is_alive_at_once():
    def two_at_once():
        for _ in range(3):
            held = [torch.empty(1000), torch.empty(500)]
            del held

    assert peak_of(two_at_once)[0] == 4 * 1500
