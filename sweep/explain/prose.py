"""An explanation in plain English. Every clause is a reading of what was replayed or run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sweep.explain.explanation import Explanation, ReplayedStep, Share, Source, Variant
from sweep.trial.probe import Change
from sweep.values.words import GradState, Verdict

ROUNDING = 1.001
"""By how much a movement may exceed the sum of its parts before that means something."""


def in_words(explanation: Explanation) -> tuple[str, ...]:
    """A few short paragraphs: what moves the layer or keeps it still, what would change that."""
    verdict, replayed = explanation.outcome.verdict, explanation.replayed
    if verdict is Verdict.FAILED:
        return (f"The trial raised, so it says nothing of leaks. {explanation.outcome.error}",)
    if verdict is Verdict.INERT:
        return (
            "The layer never moved, not even on the steps that left it attached, so that it "
            "kept still on frozen ones proves nothing. Try a larger lr, or more steps.",
        )
    if replayed is None:
        return ("No step is frozen, so nothing can leak. Choose a schedule that freezes some.",)
    if verdict is Verdict.LEAKS:
        what = (_why_it_leaks(explanation, replayed), *_remedies(explanation.variants))
    else:
        what = (_why_it_holds(explanation, replayed), *_risks(explanation.variants))
    return (*what, *_sideways(explanation))


def _why_it_leaks(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, without_grad = _name(explanation), replayed.movements.without_grad
    text = f"{_met(explanation, replayed)}. {_sources(replayed, would=False)}"
    if replayed.grad.state is GradState.NONE:
        if replayed.movements.whole == replayed.with_zeros:
            text += f" {name} reads None as zero: zeros in its place give the same movement."
    elif without_grad.moved:
        text += f" Even with its grad set to None it would move by up to {_size(without_grad)}."
    return text


def _met(explanation: Explanation, replayed: ReplayedStep) -> str:
    """What the optimizer found in the grad, and what it made of it."""
    name, grad = _name(explanation), f"On step {replayed.step} the grad of {_layer(explanation)}"
    if replayed.grad.state is GradState.NONE:
        return f"{grad} is None, and {name} moves it all the same"
    if replayed.grad.state is GradState.ZERO:
        return f"{grad} is a tensor of zeros, not None, so {name} updates it like any other"
    if replayed.grad.stale:
        return f"{grad} is stale, left by an earlier step, and {name} applies it once more"
    freeze = explanation.planned.setting.freeze
    return f"{grad} is a fresh one: freeze={freeze} lets it through to {name}"


def _sources(replayed: ReplayedStep, *, would: bool) -> str:
    """Which sources move the layer alone, and how far, as a sentence."""
    moving = [share for share in replayed.shares if share.change.moved]
    moves, still = ("would move", "would still move") if would else ("moves", "still moves")
    whole = _size(replayed.whole)
    if not moving:
        return f"No source {moves} it alone; it takes several at once to move it by {whole}."
    if [share.source for share in moving] == [Source.INTRINSIC]:
        return (
            f"With its history cleared and no weight decay it {still}, by up to {whole}: the "
            f"optimizer has a term of its own."
        )
    if len(moving) == 1 and moving[0].change == replayed.whole:
        return f"{_capital(moving[0].source)} alone {moves} it, by up to {whole}."
    first, *others = moving
    parts = [f"{_capital(first.source)} alone {moves} it by up to {_share(first)}"]
    parts += [f"{share.source} alone by {_share(share)}" for share in others]
    return f"{_listed(parts, 'and')}.{_more_than_the_sum(replayed, moves)}"


def _more_than_the_sum(replayed: ReplayedStep, moves: str) -> str:
    """Independent movements cannot exceed their sum; where they do, one scales another."""
    alone = sum(share.change.l2 for share in replayed.shares)
    if replayed.whole.l2 <= alone * ROUNDING:
        return ""
    whole = _size(replayed.whole)
    return f" With every source on it {moves} by up to {whole}, more than that: one scales another."


def _share(share: Share) -> str:
    if math.isnan(share.of_whole):
        return _size(share.change)
    return f"{_size(share.change)} ({share.of_whole:.0%} of the whole)"


def _remedies(variants: Sequence[Variant]) -> Iterator[str]:
    holding = [_changes(variant) for variant in variants if variant.verdict is Verdict.HOLDS]
    failing = [variant for variant in variants if variant.verdict is not Verdict.HOLDS]
    if not holding:
        yield "Of the remedies that were run, none holds."
    elif len(holding) == 1:
        yield f"Remedy: {holding[0]}. It was run, and holds on every frozen step."
    else:
        yield f"Remedy: {_listed(holding, 'or')}. Each was run, and holds on every frozen step."
    if failing:
        yield f"Not a remedy: {_listed(_with_results(failing), 'and')}."


def _why_it_holds(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, layer, step = _name(explanation), _layer(explanation), replayed.step
    if replayed.grad.state is GradState.NONZERO:
        return (
            f"On step {step} the grad of {layer} is not zero. What keeps it still is "
            f"freeze={explanation.planned.setting.freeze}: were the step attached, the layer would "
            f"move by up to {_size(replayed.attached)}."
        )
    if replayed.grad.state is GradState.ZERO:
        return (
            f"On step {step} the grad of {layer} is a tensor of zeros, so {name} does update it. "
            f"What keeps it still is that nothing else moves it: {_nothing_else(explanation)}."
        )
    if replayed.with_zeros.moved:
        return (
            f"What keeps {layer} still is that its grad is None. Were it zeros on step {step}, "
            f"{_uncapital(_sources(replayed, would=True))}"
        )
    return (
        f"On step {step} the grad of {layer} is None, so {name} leaves it alone. Zeros in its "
        f"place would not move it either: {_nothing_else(explanation)}."
    )


def _nothing_else(explanation: Explanation) -> str:
    if explanation.planned.setting.weight_decay:
        return "neither history nor weight decay does, replayed alone"
    return "history does not, replayed alone, and there is no weight decay"


def _risks(variants: Sequence[Variant]) -> Iterator[str]:
    leaking = [variant for variant in variants if variant.verdict is Verdict.LEAKS]
    holding = [_changes(variant) for variant in variants if variant.verdict is Verdict.HOLDS]
    if leaking:
        yield f"It would leak with {_listed(_with_results(leaking), 'or')}."
    if holding:
        yield f"It also holds with {_listed(holding, 'and')}."


def _sideways(explanation: Explanation) -> Iterator[str]:
    if explanation.outcome.sideways:
        yield (
            "Sideways: the other parameters, too, move otherwise than they would had this grad "
            "been None."
        )


def _with_results(variants: Sequence[Variant]) -> list[str]:
    return [f"{_changes(variant)} ({_result(variant)})" for variant in variants]


def _result(variant: Variant) -> str:
    if variant.verdict is Verdict.INERT:
        return "the layer never moves at all"
    if variant.verdict is Verdict.FAILED:
        return "the trial fails"
    if not variant.moved_by:
        return "several sources move it together"
    verb = "moves" if len(variant.moved_by) == 1 else "move"
    return f"{_listed(variant.moved_by, 'and')} {verb} it"


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


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]


def _listed(items: Sequence[str], conjunction: str) -> str:
    """The items as an English list.

    >>> _listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *rest, last = items
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last
