"""The stack against the page: each outcome of a stack of several is that of a stack of one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.grid import Grid
from sweep.grid.spec_file import load_preset
from sweep.trial.groups import grouped
from sweep.trial.trial import run_stack, run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Verdict, ZeroGrad

ELEMENTWISE = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad",
               "Adadelta", "ASGD")  # fmt: skip
EVERY_NTH = 20


def timeless(outcome):
    return replace(outcome, train_seconds=0.0, finished_at=None)


def assert_same(trials, **options):
    together = list(run_stack(trials, **options))
    alone = [run_trial(trial, **options) for trial in trials]
    assert [timeless(outcome) for outcome in together] == [timeless(outcome) for outcome in alone]
    return together


def replicates(setting, seeds, *, steps=20, options="{}"):
    return [PlannedTrial(replace(setting, seed=s), "small", steps, options) for s in seeds]


@pytest.mark.slow
def test_the_groups_of_the_preset_remedies_come_out_bit_for_bit():
    groups = [group for group in grouped(Grid(load_preset("remedies"))) if len(group) > 1]
    assert len(groups) > 1000
    for group in groups[::EVERY_NTH]:
        assert_same(group)


@settings(max_examples=40, deadline=None)
@given(
    optimizer=st.sampled_from(ELEMENTWISE),
    lr=st.floats(1e-4, 10),
    decay=st.sampled_from([0.0, 1e-6, 0.3]),
    momentum=st.sampled_from([0.0, 0.9]),
    zero_grad=st.sampled_from(ZeroGrad),
    freeze=st.sampled_from(Freeze),
    schedule=st.sampled_from(["alternate", "always", "never", "every:3", "after:2"]),
    seeds=st.lists(st.integers(0, 2**63), min_size=2, max_size=4, unique=True),
)
def test_random_settings_come_out_bit_for_bit(
    optimizer, lr, decay, momentum, zero_grad, freeze, schedule, seeds
):
    memory = momentum if optimizer not in ("Adagrad", "Adadelta", "ASGD") else None
    setting = Setting(optimizer, lr, decay, memory, zero_grad, schedule, freeze)
    assert_same(replicates(setting, seeds, steps=8))


def test_each_step_is_traced_as_it_is_alone():
    setting = Setting("Adam", 0.1, 0.1, 0.9, ZeroGrad.ZERO)
    outcomes = assert_same(replicates(setting, (0, 1, 2), steps=6), trace=True)
    assert [len(outcome.steps) for outcome in outcomes] == [6, 6, 6]


def test_a_replicate_that_diverges_leaves_the_others_alone():
    setting = Setting("SGD", 3e37, 0.0, 0.9, ZeroGrad.NEVER)
    assert any(outcome.measurement.diverged for outcome in assert_same(replicates(setting, (0, 1))))


def test_options_reach_the_one_optimizer():
    setting = Setting("SGD", 0.1, 0.0, 0.9, ZeroGrad.ZERO)
    assert_same(replicates(setting, (0, 1), options='{"nesterov":true}'))


def test_where_the_stack_raises_each_trial_says_why_by_itself():
    setting = Setting("SGD", 0.1, 0.0, 0.0, ZeroGrad.ZERO)
    failed = assert_same(replicates(setting, (0, 1), options='{"nesterov":true}'))
    assert [outcome.verdict for outcome in failed] == [Verdict.FAILED] * 2
    assert "Nesterov momentum requires a momentum" in failed[1].error


def test_a_single_trial_is_a_stack_of_one():
    [planned] = replicates(Setting("Muon", 0.1, 0.0, 0.9), (4,))
    assert timeless(next(run_stack([planned]))) == timeless(run_trial(planned))
