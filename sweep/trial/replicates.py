"""Trials that differ only in their seed, trained as one stack.

The page of `sweep.trial.trial`, with a tally for each replicate: what is trained, replayed and
compared is the whole stack, and what is seen of it is taken apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from sweep.trial.causes import Parameters, attribute
from sweep.trial.modes import one_thread
from sweep.trial.probe import Change, changes_along, moved_elements, together
from sweep.trial.replay import Replay, Reruns
from sweep.trial.sideways import others_side_by_side
from sweep.trial.stack import StackedNet, build_stack
from sweep.trial.tally import Tally
from sweep.trial.training import Start, Training
from sweep.trial.trial import finished, run_trial
from sweep.trial.witness import Witness, copies
from sweep.values.outcome import Causes, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState


def run_replicates(
    trials: Sequence[PlannedTrial], *, trace: bool = False, device: str = "cpu"
) -> list[Outcome]:
    """The outcome of each of ``trials``, a group of `sweep.trial.groups.grouped`.

    Where the stack raises, each is run by itself, so that only those at fault fail.
    ``train_seconds`` is a trial's share of the stack's.
    """
    if len(trials) > 1:
        try:
            with one_thread():
                return _train(trials, trace, device)
        except Exception:  # noqa: BLE001, S110  # run_trial says below what it was
            pass
    return [run_trial(planned, trace=trace, device=device) for planned in trials]


def _train(trials: Sequence[PlannedTrial], trace: bool, device: str) -> list[Outcome]:
    started = time.perf_counter()
    seeds = tuple(planned.setting.seed for planned in trials)
    start = partial(
        Training, device=device, build=lambda name, _, where: build_stack(name, seeds, where)
    )
    training = start(trials[0])
    layer = training.frozen_parameters
    tallies, witnesses = [Tally(trace) for _ in trials], dict[int, Witness]()
    for step in range(trials[0].steps):
        training.begin(step)
        training.backward()
        before, grads = copies(layer), _grad_states(layer.values(), len(trials))
        training.step()
        seen = zip(tallies, _losses(training), grads, _changes(before, layer), strict=True)
        for tally, loss, grad, change in seen:
            tally.add(step, frozen=training.frozen, losses=[loss], grad=grad, change=change)
        if any(tally.first_leak_step == step for tally in tallies):
            witnesses[step] = Witness.of(training, before, grads)
        training.clear_grads()
    seconds = (time.perf_counter() - started) / len(trials)
    finite = _are_finite(training)
    reruns = {step: Reruns(trials[0], start, seen) for step, seen in witnesses.items()}
    sideways = _sideways(trials[0], start, tallies)
    causes = _causes(reruns, tallies)
    return [
        finished(
            planned,
            tallies[i],
            causes=causes[i][0],
            unexplained=causes[i][1],
            sideways=sideways[i],
            finite=finite[i],
            seconds=seconds,
            device=device,
        )
        for i, planned in enumerate(trials)
    ]


def _causes(
    reruns: Mapping[int, Reruns], tallies: Sequence[Tally]
) -> list[tuple[Causes | None, str | None]]:
    return [
        (None, None)
        if tally.first_leak_step is None
        else attribute(Replay(reruns[tally.first_leak_step], number))
        for number, tally in enumerate(tallies)
    ]


def _sideways(planned: PlannedTrial, start: Start, tallies: Sequence[Tally]) -> list[bool]:
    differ = torch.zeros(len(tallies), dtype=torch.bool)
    met_grad = tallies[0].first_grad_step  # all have grads or none has: they share the tensor
    for pairs in others_side_by_side(planned, start, met_grad) if met_grad is not None else ():
        for real, other in pairs:
            differ |= moved_elements(real, other).flatten(1).any(dim=1).cpu()
        if differ.all():
            break
    return [bool(it) for it in differ]


def _losses(training: Training) -> list[float]:
    net = cast("StackedNet", training.workload.model)  # build_stack's
    return net.losses(training.workload.data[1])


def _changes(before: Parameters, layer: dict[str, nn.Parameter]) -> list[Change]:
    each = [changes_along(before[name], layer[name].detach()) for name in before]
    return [together(changes) for changes in zip(*each, strict=True)]


def _grad_states(layer: Iterable[nn.Parameter], replicates: int) -> list[GradState]:
    grads = [parameter.grad for parameter in layer if parameter.grad is not None]
    if not grads:
        return [GradState.NONE] * replicates
    nonzero = torch.stack([grad.flatten(1).any(dim=1) for grad in grads]).any(dim=0)
    return [GradState.NONZERO if it else GradState.ZERO for it in nonzero.tolist()]


def _are_finite(training: Training) -> list[bool]:
    each: list[Tensor] = [
        parameter.isfinite().flatten(1).all(dim=1)
        for parameter in training.workload.model.parameters()
    ]
    finite: list[bool] = torch.stack(each).all(dim=0).tolist()
    return finite
