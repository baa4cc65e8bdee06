"""Loops made at random: each state, movement and leak is what the bits and the loop say it is.

The oracle below knows what the loop did to each grad, and nothing of how a watch finds out.
"""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
from witness import Witness, told

from sweep import watch

NAMES = ("a", "b", "c")
STATES = ("none", "left_zeros", "zeros_came", "stale", "fresh")
LEAKING = ("none", "left_zeros", "stale")
OPTIMIZERS = {
    "SGD": partial(optim.SGD, lr=0.1),
    "momentum": partial(optim.SGD, lr=0.1, momentum=0.9),
    "decay": partial(optim.SGD, lr=0.1, weight_decay=0.1),
    "AdamW": partial(optim.AdamW, lr=0.1),
    "Adam fused": partial(optim.Adam, lr=0.1, fused=True),
    "RMSprop": partial(optim.RMSprop, lr=0.1, momentum=0.5),
    "ASGD": partial(optim.ASGD, lr=0.1),
}
does = st.sampled_from(("trains", "rests", "zero loss", "wiped", "assigned", "trains in parts"))
clears = st.sampled_from(("to None", "to zeros", "not at all"))
turn = st.tuples(does, does, does, clears)


class Oracle:
    """What is in one grad, by what was done to it."""

    def __init__(self):
        self.holds = "none"  # or "zeros" or "values"
        self.came = None  # since the step before: None, "zeros" or "values"

    def after(self, action):
        if action in ("trains", "trains in parts", "assigned"):
            self.holds, self.came = "values", "values"
        elif action == "zero loss":
            self.holds = "values" if self.holds == "values" else "zeros"
            self.came = "zeros"
        elif action == "wiped":
            self.holds, self.came = "zeros", "wiped"

    def state(self):
        if self.holds == "none":
            return "none"
        if self.holds == "zeros":
            return "zeros_came" if self.came == "zeros" else "left_zeros"
        return "stale" if self.came is None else "fresh"

    def cleared(self, how):
        self.came = None
        if how != "not at all" and self.holds != "none":
            self.holds = "none" if how == "to None" else "zeros"


def act(parameter, action):
    """Does it to the parameter's grad, as a loop would."""
    x = torch.randn(parameter.shape) + 3.0  # never zero
    if action in ("trains", "wiped"):
        (parameter * x).sum().backward()
    if action == "trains in parts":
        (parameter[:1] * x[:1]).sum().backward()
        (parameter[1:] * x[1:]).sum().backward()
    if action == "zero loss":
        (parameter * 0.0).sum().backward()
    if action == "assigned":
        parameter.grad = x
    if action == "wiped":
        parameter.grad.zero_()


def run(build, turns, **options):
    """What is true by state, what leaked by the bits, and the watch."""
    torch.manual_seed(0)
    model = nn.ParameterDict({name: torch.randn(4) for name in NAMES})
    optimizer, witness = build(model.parameters()), Witness(model.named_parameters())
    oracles = {name: Oracle() for name in NAMES}
    states = []
    with watch(model, optimizer, **options) as leaks:
        for *actions, clear in turns:
            for name, action in zip(NAMES, actions, strict=True):
                act(model[name], action)
                oracles[name].after(action)
            states.append({name: oracle.state() for name, oracle in oracles.items()})
            witness.step(optimizer)
            if clear != "not at all":
                optimizer.zero_grad(set_to_none=clear == "to None")
            for oracle in oracles.values():
                oracle.cleared(clear)
    return states, witness, leaks


@settings(max_examples=40, deadline=None, derandomize=True)
@given(turns=st.lists(turn, min_size=1, max_size=8))
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_leak_is_a_movement_without_a_gradient_and_each_such_movement_a_leak(name, turns):
    states, witness, leaks = run(OPTIMIZERS[name], turns, causes=False)
    assert told(leaks) == witness.moved(lambda each, step: states[step][each] in LEAKING)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(turns=st.lists(turn, min_size=1, max_size=8))
@pytest.mark.parametrize("name", ["momentum", "AdamW"])
def test_zeros_that_came_are_leaks_on_request(name, turns):
    states, witness, leaks = run(OPTIMIZERS[name], turns, causes=False, zeros_count=False)
    assert told(leaks) == witness.moved(lambda each, step: states[step][each] != "fresh")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(turns=st.lists(turn, min_size=1, max_size=8))
@pytest.mark.parametrize("name", ["momentum", "AdamW"])
def test_the_account_counts_the_steps_and_movements_of_each_state(name, turns):
    states, witness, leaks = run(OPTIMIZERS[name], turns, causes=False)
    account = leaks.account().set_index("parameter")
    for each in NAMES:
        moved = {step for _, step in witness.moved(lambda one, _, each=each: one == each)}
        for state in STATES:
            steps = {step for step, found in enumerate(states) if found[each] == state}
            assert account.loc[each, f"steps_{state}"] == len(steps)
            assert account.loc[each, f"moved_{state}"] == len(steps & moved)
        leaked = sorted(step for step in moved if states[step][each] in LEAKING)
        assert account.loc[each, "leaks"] == len(leaked)
        if leaked:
            assert account.loc[each, "first_step"] == leaked[0]
            assert account.loc[each, "last_step"] == leaked[-1]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(turns=st.lists(turn, min_size=1, max_size=6))
@pytest.mark.parametrize("name", ["momentum", "AdamW", "SGD"])
def test_the_summary_gives_a_clean_bill_where_nothing_leaked_or_moved_on_zeros_alone(name, turns):
    states, witness, leaks = run(OPTIMIZERS[name], turns)
    said = leaks.summary()
    leaked = witness.moved(lambda each, step: states[step][each] in LEAKING)
    on_zeros = witness.moved(lambda each, step: states[step][each] == "zeros_came")
    assert ("No leak" in said) <= (not leaked and not on_zeros)
    for each, _ in leaked:
        assert each in said


@settings(max_examples=15, deadline=None, derandomize=True)
@given(turns=st.lists(turn, min_size=1, max_size=6))
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_the_training_has_the_same_bits_as_without(name, granularity, turns):
    def trained(watched):
        torch.manual_seed(0)
        model = nn.ParameterDict({each: torch.randn(4) for each in NAMES})
        optimizer = OPTIMIZERS[name](model.parameters())

        def loop():
            for *actions, clear in turns:
                for each, action in zip(NAMES, actions, strict=True):
                    act(model[each], action)
                optimizer.step()
                if clear != "not at all":
                    optimizer.zero_grad(set_to_none=clear == "to None")

        if watched:
            with watch(model, optimizer, granularity=granularity):
                loop()
        else:
            loop()
        return [parameter.tolist() for parameter in model.values()]

    assert str(trained(True)) == str(trained(False))
