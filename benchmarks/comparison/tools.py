"""Asks each tool about a loop, in the way in which its documentation has it asked.

Every tool is given what a user of it could know: the names of what must keep still and of
what must move, and, where it looks at one moment, the moment at which it learns most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
import tinytorchtest
import torcheck
from pytest_torch.training import assert_all_params_receive_grad, assert_frozen
from pytest_torch.training_loop import assert_optimizer_coverage
from tinytorchtest.tinytorchtest import (
    VariablesChangeException,
)

from comparison.cases import Case
from comparison.training import STEPS, Finding, Tensors, Training, Truth
from leaksweep import watch


@dataclass(frozen=True)
class Answer:
    """What a tool said of a loop.

    Attributes:
        found: what it found fault with.
        named: the causes that it named, in the words of `comparison.cases`.
        message: its own words; empty where it said nothing.
        refused: why it could not be asked; empty where it could.
        told: what it said besides, without calling it a fault: by name, the causes it named.
    """

    found: frozenset[Finding] = frozenset()
    named: frozenset[str] = frozenset()
    message: str = ""
    refused: str = ""
    told: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """One tool: its distribution, and how it is asked, with a case's options or without.

    ``ask`` is given the case and what is true of it, which serves only to choose the moment
    at which a tool that looks at one moment is called.
    """

    name: str
    distribution: str
    ask: Callable[[Case, Truth], Answer]
    takes_options: bool = False


def ask_watch(case: Case, truth: Truth, **options: Any) -> Answer:
    """The whole loop inside ``with watch(model, optimizer, **options)``.

    What `raise_if_any` would raise on is found; what the account has besides, and the summary
    tells, is told.
    """
    training = case.build()
    with watch(training.model, training.optimizer, **options) as leaks:
        training.run()
    found: set[Finding] = set()
    for leak in leaks.leaks:
        names = [leak.parameter]
        if leak.rows is not None:
            names = [f"{leak.parameter}[{row}]" for row in leak.rows]
        found |= {(leak.step, name) for name in names}
    named = set().union(*(_words(str(k.explanation)) for k in leaks.leaks if k.explanation))
    account = leaks.account()
    for _, row in account[account["meant"] == "trainable"].iterrows():
        if not _moved_steps(row):
            found.add((None, row["parameter"]))
            named.add("no optimizer" if row["place"] == "no optimizer" else "no gradient")
    told = {row["parameter"]: words for _, row in account.iterrows() if (words := _told(row))}
    return Answer(frozenset(found), frozenset(named), leaks.summary(), told=told)


def _told(row: pd.Series[Any]) -> frozenset[str]:
    """What a row of the account has of movement, or of none, that is no leak."""
    if row["moved_on_zeros"]:
        return _words(row["causes"])
    if row["outside"]:
        return frozenset({"buffer" if row["place"] == "buffer" else "own code"})
    if row["place"] == "no optimizer":
        return frozenset({"no optimizer"})
    return frozenset() if row["gradients"] else frozenset({"no gradient"})


def _words(causes: str) -> frozenset[str]:
    """The sources in the sets of a cause, such as ``decay, history`` or ``history+decay``."""
    return frozenset(re.split(r", |\+", causes)) - {"unknown"}


def _moved_steps(row: pd.Series[Any]) -> int:
    """On how many steps a row of the account says that the optimizer moved it."""
    return sum(
        row[name] for name in row.index if name.startswith("moved_") and name != "moved_on_zeros"
    )


def ask_watch_by_default(case: Case, truth: Truth) -> Answer:
    """`watch` told nothing but the model and the optimizer."""
    return ask_watch(case, truth)


def ask_watch_as_told(case: Case, truth: Truth) -> Answer:
    """`watch` with the options that the case calls for."""
    return ask_watch(case, truth, **case.options)


def ask_pytest_torch(case: Case, truth: Truth) -> Answer:
    """``assert_frozen`` on the model as it is when the freeze begins to matter.

    Its ``optimizer`` is one with the history of the loop's, which is more than its
    documentation has. What must move is asked of ``assert_all_params_receive_grad`` and
    ``assert_optimizer_coverage``.
    """
    training, names = _until(case, truth.ask_at)
    inputs = training.batch(truth.ask_at)
    checks: list[Callable[[], None]] = []
    if names:
        frozen = partial(
            assert_frozen,
            params=list(names),
            optimizer=training.copy_of_optimizer,
            steps=STEPS - truth.ask_at,
        )
        checks = [lambda: frozen(training.model, inputs, training.loss)]
    if training.must_move:
        checks = [
            lambda: assert_all_params_receive_grad(training.model, inputs, training.loss),
            lambda: assert_optimizer_coverage(training.model, training.optimizer),
        ]
    return _first_complaint(checks, _read_pytest_torch)


def ask_torcheck(case: Case, truth: Truth) -> Answer:
    """An unchanging check on each tensor from the freeze on, and the loop as it is.

    ``torcheck.disable()`` turns the check off while the tensors may move. What must move is
    given a changing check, from the first step on.
    """
    training, names = _until(case, truth.ask_at)
    try:
        _add_checks(training, names)
    except RuntimeError as error:
        return _not_added(training, error)
    except TypeError as error:  # of what is no Optimizer
        return Answer(refused=_first_sentence(error))
    for step in range(truth.ask_at, STEPS):
        asked = names.keys() <= training.still(training.model, step).keys()
        (torcheck.enable if asked else torcheck.disable)()
        try:
            training.step(step)
        except RuntimeError as error:
            return _read_torcheck(error, step)
    return Answer()


def ask_tinytorchtest(case: Case, truth: Truth) -> Answer:
    """``test(non_train_vars=...)`` with the loop's own optimizer, when the freeze matters.

    Variables are given as they are, parts of a parameter as views. What must move is asked
    of ``test(train_vars=...)``.
    """
    training, names = _until(case, truth.ask_at)
    suite = tinytorchtest.TinyTorchTest(
        training.model,
        lambda output, _: training.loss(output),
        training.optimizer,
        training.batch(truth.ask_at),
        supervised=False,
    )
    moving = [(name, training.model.get_parameter(name)) for name in training.must_move]
    still = list(names.items())
    try:
        suite.test(train_vars=moving or None, non_train_vars=still or None)
    except VariablesChangeException as error:
        name = str(error).split()[0]
        return Answer(frozenset({(None, name)}), message=str(error))
    except TypeError as error:
        return Answer(refused=_first_sentence(error))
    return Answer()


TOOLS = (
    Tool("`watch`", "leaksweep", ask_watch_by_default),
    Tool("`watch` with options", "leaksweep", ask_watch_as_told, takes_options=True),
    Tool("pytest-torch", "pytest-torch", ask_pytest_torch),
    Tool("torcheck", "torcheck", ask_torcheck),
    Tool("tinytorchtest", "tinytorchtest", ask_tinytorchtest),
)


def _until(case: Case, step: int) -> tuple[Training, Tensors]:
    """The loop as it stands before this step, and what must keep still on it."""
    training = case.build()
    training.run(range(step))
    training.begin(step)
    return training, training.still(training.model, step)


def _first_complaint(checks: list[Callable[[], None]], read: Callable[[str], Answer]) -> Answer:
    """What the first check that fails says; nothing if none does."""
    for check in checks:
        try:
            check()
        except AssertionError as error:
            return read(str(error))
        except (TypeError, ValueError) as error:
            return Answer(refused=_first_sentence(error))
    return Answer()


_PYTEST_TORCH = {
    "received a gradient": "gradient",
    "weight decay moves": "decay",
    "buffer changed": "buffer",
    "not connected to the loss": "no gradient",
    "in no optimizer": "no optimizer",
}
"""What it names by saying so."""


def _read_pytest_torch(message: str) -> Answer:
    named = frozenset(cause for words, cause in _PYTEST_TORCH.items() if words in message)
    names = re.findall(r"^  ([\w.]+): ", message, re.MULTILINE)
    return Answer(frozenset((None, name) for name in names), named, message)


def _add_checks(training: Training, still: Tensors) -> None:
    """Registers the optimizer and adds the checks. Raises what torcheck does."""
    torcheck.register(training.optimizer)
    for name, tensor in still.items():
        torcheck.add_tensor_unchanging_check(tensor, tensor_name=name)
    for name in training.must_move:
        torcheck.add_tensor_changing_check(training.model.get_parameter(name), tensor_name=name)


def _not_added(training: Training, error: RuntimeError) -> Answer:
    """That a parameter is in no optimizer is an answer, if it was to be trained by one."""
    if not training.must_move:
        return Answer(refused=_first_sentence(error))
    found = frozenset((None, name) for name in training.must_move)
    return Answer(found, frozenset({"no optimizer"}), str(error))


def _read_torcheck(error: RuntimeError, step: int) -> Answer:
    names = re.findall(r"^(\S+) should", str(error), re.MULTILINE)
    if not names:
        raise error  # the loop's own
    return Answer(frozenset((step, name) for name in names), message=str(error))


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0].split(";")[0].rstrip(".")
