"""An explanation in plain English. Every clause is a reading of what was replayed or run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweep.explain.explanation import Explanation, ReplayedStep, Share, Variant
from sweep.probe import Change
from sweep.words import GradState, Verdict


def in_words(explanation: Explanation) -> tuple[str, ...]:
    """One to four sentences or short paragraphs: what happened, then what would change it."""
    verdict, replayed = explanation.outcome.verdict, explanation.replayed
    if verdict is Verdict.FAILED:
        return (f"The trial raised, so it says nothing of leaks. {explanation.outcome.error}.",)
    if verdict is Verdict.INERT:
        return (
            "The layer never moved, not even on the steps that left it attached, so the trial "
            "proves nothing. Give it a larger lr, or more steps.",
        )
    if replayed is None:
        return ("No step is frozen, so nothing can leak. Choose a schedule that freezes some.",)
    if verdict is Verdict.LEAKS:
        return (_why_it_leaks(explanation, replayed), *_remedies(explanation.variants))
    return (_why_it_holds(explanation, replayed), *_risks(explanation.variants))


def _why_it_leaks(explanation: Explanation, replayed: ReplayedStep) -> str:
    sentence = f"{_met(explanation, replayed)}: {_sources(replayed)}."
    without_grad = replayed.movements.without_grad
    if without_grad.moved and replayed.grad.state is not GradState.NONE:
        sentence += f" Even with its grad set to None it would move by {_size(without_grad)}."
    if replayed.grad.state is GradState.NONE and replayed.movements.whole == replayed.with_zeros:
        sentence += f" {_name(explanation)} reads None as zero: zeros in its place do the same."
    return sentence


def _met(explanation: Explanation, replayed: ReplayedStep) -> str:
    """What the optimizer found in the grad, and that it moved the layer all the same."""
    name, layer = _name(explanation), _layer(explanation)
    if replayed.grad.state is GradState.NONE:
        return f"The grad of {layer} is None, and {name} moves it all the same"
    if replayed.grad.state is GradState.ZERO:
        return (
            f"The grad of {layer} is a tensor of zeros, not None, so {name} steps it like any "
            f"other parameter"
        )
    if replayed.grad.stale:
        return (
            f"The grad of {layer} is a stale one, left by an earlier step, and {name} "
            f"cannot tell it from a fresh one"
        )
    freeze = explanation.planned.setting.freeze
    return f"The grad of {layer} is a fresh one, which freeze={freeze} lets through to {name}"


def _sources(replayed: ReplayedStep) -> str:
    """Which sources move it alone and how far."""
    moving = [share for share in replayed.shares if share.change.moved]
    if not moving:
        return (
            "no source moves it alone, and it takes several at once to move it by "
            f"{_size(replayed.whole)}"
        )
    if len(moving) == 1 and moving[0].change == replayed.whole:
        return f"{moving[0].source} alone moves it, by up to {_size(replayed.whole)}"
    parts = [f"{_alone(share, first=share is moving[0])}" for share in moving]
    return _listed(parts, "and")


def _alone(share: Share, *, first: bool) -> str:
    verb = "alone moves it by up to" if first else "alone by"
    of_whole = "" if share.of_whole != share.of_whole else f" ({share.of_whole:.0%} of the whole)"
    return f"{share.source} {verb} {_size(share.change)}{of_whole}"


def _remedies(variants: Sequence[Variant]) -> Iterable[str]:
    holding = [variant for variant in variants if variant.verdict is Verdict.HOLDS]
    failing = [variant for variant in variants if variant.verdict is not Verdict.HOLDS]
    if holding:
        yield (
            f"Remedy: {_listed([_changes(v) for v in holding], 'or')}. Run in its place, each "
            f"keeps the layer still on all {holding[0].frozen_steps} frozen steps."
            if len(holding) > 1
            else f"Remedy: {_changes(holding[0])}. Run in its place, it keeps the layer still "
            f"on all {holding[0].frozen_steps} frozen steps."
        )
    else:
        yield "No remedy holds of those that were run."
    if failing:
        yield f"No help: {_listed(_with_results(failing), 'and')}."


def _why_it_holds(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, layer = _name(explanation), _layer(explanation)
    freeze = explanation.planned.setting.freeze
    if replayed.grad.state is GradState.NONZERO:
        return (
            f"On step {replayed.step} the grad of {layer} is not zero, and what keeps it still is "
            f"freeze={freeze}: were that step attached, it would move by up to "
            f"{_size(replayed.attached)}."
        )
    if replayed.grad.state is GradState.ZERO:
        return (
            f"On step {replayed.step} the grad of {layer} is a tensor of zeros, so {name} steps "
            f"it, and what keeps it still is that there is nothing else to move it: "
            f"{_nothing_else(explanation)}."
        )
    if replayed.with_zeros.moved:
        return (
            f"What keeps {layer} still is that its grad is None: with zeros in its place on step "
            f"{replayed.step}, {_sources(replayed)}."
        )
    return (
        f"On step {replayed.step} the grad of {layer} is None, so {name} leaves it alone. Zeros in "
        f"its place would not move it either: {_nothing_else(explanation)}."
    )


def _nothing_else(explanation: Explanation) -> str:
    decay = bool(explanation.planned.setting.weight_decay)
    return (
        "neither the optimizer's history nor weight decay does, tried alone"
        if decay
        else "the optimizer's history does not, tried alone, and there is no weight decay"
    )


def _risks(variants: Sequence[Variant]) -> Iterable[str]:
    leaking = [variant for variant in variants if variant.verdict is Verdict.LEAKS]
    holding = [variant for variant in variants if variant.verdict is Verdict.HOLDS]
    if leaking:
        yield f"It would leak with {_listed(_with_results(leaking), 'or')}."
    if holding:
        yield f"It holds with {_listed([_changes(v) for v in holding], 'and')} as well."


def _with_results(variants: Sequence[Variant]) -> list[str]:
    return [f"{_changes(variant)} ({_showed(variant)})" for variant in variants]


def _showed(variant: Variant) -> str:
    if variant.verdict is Verdict.LEAKS:
        return f"leaks on {variant.leaked_steps} of {variant.frozen_steps} frozen steps"
    return {Verdict.INERT: "never moves at all"}.get(variant.verdict, str(variant.verdict))


def _changes(variant: Variant) -> str:
    return " with ".join(variant.changes)


def _name(explanation: Explanation) -> str:
    return explanation.planned.setting.optimizer.rpartition(":")[2]


def _layer(explanation: Explanation) -> str:
    if len(explanation.layer) == 1:
        return explanation.layer[0]
    return f"the frozen layer ({len(explanation.layer)} parameters)"


def _size(change: Change) -> str:
    return f"{change.max_change:.3g}"


def _listed(items: Sequence[str], conjunction: str) -> str:
    """The items as an English list.

    >>> _listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *rest, last = items
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last
