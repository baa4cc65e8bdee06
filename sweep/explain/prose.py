"""An explanation in plain English. Every clause is a reading of what was replayed or run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sweep.explain.explanation import Explanation, ReplayedStep, Variant
from sweep.trial.causes import INTRINSIC, Movements, Sources
from sweep.trial.probe import Change
from sweep.values.outcome import Causes
from sweep.values.words import GradState, Source, Verdict

ROUNDING = 1.001
"""By how much a movement may exceed the sum of its parts before that means something."""

MANY = 10
"""From how many times the whole on a share is no longer told in percent."""

WORDS: Mapping[str, str] = {
    Source.HISTORY: "history",
    Source.DECAY: "weight decay",
    Source.GRADIENT: "the gradient",
    INTRINSIC: "a term of its own",
}
"""Sources as people read them."""


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
    if not (seen := explanation.outcome.measurement) or not seen.frozen_steps:
        return ("No step is frozen, so nothing can leak. Choose a schedule that freezes some.",)
    leaks = verdict is Verdict.LEAKS
    if replayed is None:
        what = f"The step cannot be lived through again: {explanation.unexplained}."
    else:
        what = (_why_it_leaks if leaks else _why_it_holds)(explanation, replayed)
    neighbours = (_remedies if leaks else _risks)(explanation)
    return (what, *neighbours, *_sideways(explanation))


def _why_it_leaks(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, moved = _name(explanation), replayed.movements
    met = _met(explanation, replayed)
    if moved is None:
        return f"{met}. What moves it could not be found: {replayed.unexplained}."
    text = f"{met}. {_sources(replayed, moved, would=False)}"
    if replayed.grad.state is GradState.NONE:
        return text
    if moved.without_grad.moved:
        text += f" Even with its grad set to None {name} would move it by up to "
        text += f"{_size(moved.without_grad)}."
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


def _sources(replayed: ReplayedStep, moved: Movements, *, would: bool) -> str:
    """The smallest sets of sources that move the layer, and how far, as sentences."""
    sets = sorted(moved.sets.items(), key=lambda each: _by_size(each[1]), reverse=True)
    together = list(_only_together([sources for sources, _ in sets if len(sources) > 1]))
    if moved.intrinsic.moved:
        return " ".join([_its_own(replayed, moved, would=would), *_changes_that(replayed, sets)])
    if len(sets) == 1 and sets[0][1] == moved.whole:
        extents = [f", by up to {_size(moved.whole)}"]
    else:
        extents = [f" by up to {_share(replayed, change)}" for _, change in sets]
    (sources, _), *others = sets
    parts = [f"{_moving(sources, would=would)}{extents[0]}"]
    for (sources, _), extent in zip(others, extents[1:], strict=True):
        parts.append(f"{_names(sources)} {'alone' if len(sources) == 1 else 'together'}{extent}")
    more = _more_than_the_sum(moved, "would move" if would else "moves")
    return " ".join([f"{_capital(_listed(parts, 'and'))}.", *together, *more])


def _moving(sources: Sources, *, would: bool) -> str:
    if len(sources) == 1:
        return f"{_names(sources)} alone {'would move' if would else 'moves'} it"
    return f"{_names(sources)} {'would move' if would else 'move'} it only together"


def _only_together(sets: Sequence[Sources]) -> Iterator[str]:
    """What the sources of each set do without the others, which is nothing."""
    with_history = [sources - {Source.HISTORY} for sources in sets if Source.HISTORY in sources]
    if any(len(sources) > 2 for sources in sets):
        yield "No two of them move it."
    elif with_history:
        others = frozenset[Source]().union(*with_history)
        moves, them = ("moves", "it") if len(others) == 1 else ("move", "them")
        yield (
            f"In a new optimizer, whose counters begin anew, {_names(others)} {moves} nothing; "
            f"nor does history without {them}."
        )
    if frozenset({Source.DECAY, Source.GRADIENT}) in sets:
        yield "Neither weight decay nor the gradient moves it alone."


def _its_own(replayed: ReplayedStep, moved: Movements, *, would: bool) -> str:
    zeroed = ", its grad zeroed" if Source.GRADIENT in moved.alone else ""
    still = "would still move" if would else "still moves"
    return (
        f"With its history cleared{zeroed} and no weight decay it {still}, by up to "
        f"{_size(moved.intrinsic)}: the optimizer has a term of its own."
    )


def _changes_that(replayed: ReplayedStep, sets: Sequence[tuple[Sources, Change]]) -> Iterator[str]:
    if sets:
        only = {True: " only together", False: ""}
        parts = [f"{_names(s)}{only[len(s) > 1]} by up to {_share(replayed, c)}" for s, c in sets]
        yield f"That movement is changed by {_listed(parts, 'and')}."


def _more_than_the_sum(moved: Movements, moves: str) -> Iterator[str]:
    """Independent movements cannot exceed their sum; where they do, one scales another."""
    if moved.whole.l2 > sum(change.l2 for change in moved.sets.values()) * ROUNDING:
        yield (
            f"With every source on it {moves} by up to {_size(moved.whole)}, more than that: one "
            f"scales another."
        )


def _share(replayed: ReplayedStep, change: Change) -> str:
    of_whole = replayed.share("", change).of_whole
    if math.isnan(of_whole):
        return _size(change)
    times = f"{of_whole:.0%} of the whole" if of_whole < MANY else f"{of_whole:.0f} times the whole"
    return f"{_size(change)} ({times})"


def _remedies(explanation: Explanation) -> Iterator[str]:
    variants = explanation.variants
    holding = [_changes(variant) for variant in variants if variant.verdict is Verdict.HOLDS]
    failing = [variant for variant in variants if variant.verdict is not Verdict.HOLDS]
    if not holding:
        yield "Of the remedies that were run, none holds."
    elif len(holding) == 1:
        yield f"Remedy: {holding[0]}. It was run, and holds on every frozen step."
    else:
        yield f"Remedy: {_listed(holding, 'or')}. Each was run, and holds on every frozen step."
    if failing:
        first = explanation.outcome.measurement
        here = None if first is None else first.first_leak_step
        yield f"Not a remedy: {_listed(_with_results(failing, here), 'and')}."


def _why_it_holds(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, layer, moved = _name(explanation), _layer(explanation), replayed.movements
    on_step = f"On step {replayed.step} the grad of {layer}"
    if replayed.grad.state is GradState.NONZERO:
        return f"{on_step} is not zero. What keeps it still is {_freezing(explanation, replayed)}."
    if replayed.grad.state is GradState.ZERO:
        still = _still(explanation, replayed)
        return f"{on_step} is a tensor of zeros, so {name} does update it. {still}"
    if moved is None:
        return (
            f"{on_step} is None, so {name} leaves it alone. What zeros in its place would do could "
            f"not be found: {replayed.unexplained}."
        )
    if moved.whole.moved:
        would = _sources(replayed, moved, would=True)
        return (
            f"What keeps {layer} still is that its grad is None. Were it zeros on step "
            f"{replayed.step}, {would[:1].lower()}{would[1:]}"
        )
    return (
        f"{on_step} is None, so {name} leaves it alone. Zeros in its place would not move it "
        f"either: {_nothing_else(explanation, moved)}."
    )


def _freezing(explanation: Explanation, replayed: ReplayedStep) -> str:
    freeze = f"freeze={explanation.planned.setting.freeze}"
    if replayed.attached is None:
        return freeze
    moves = _size(replayed.attached)
    return f"{freeze}: were the step attached, the layer would move by up to {moves}"


def _still(explanation: Explanation, replayed: ReplayedStep) -> str:
    """Why an update with zeros does nothing."""
    moved = replayed.movements
    if moved is None:
        return f"What its sources do one by one could not be found: {replayed.unexplained}."
    if moved.sets or moved.intrinsic.moved:
        return f"Its sources cancel. {_sources(replayed, moved, would=True)}"
    nothing = _nothing_else(explanation, moved)
    return f"What keeps it still is that nothing else moves it: {nothing}."


def _nothing_else(explanation: Explanation, moved: Movements) -> str:
    if Source.DECAY in moved.alone:
        return "neither history nor weight decay does, replayed alone"
    decay = "there is no weight decay"
    if explanation.planned.setting.weight_decay:
        decay = "weight decay has changed nothing so far"
    return f"history does not, replayed alone, and {decay}"


def _risks(explanation: Explanation) -> Iterator[str]:
    variants = explanation.variants
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


def _with_results(variants: Sequence[Variant], here: int | None = None) -> list[str]:
    """The variants, those that showed the same together; first leaks that are not ``here``."""
    by_result: dict[str, list[str]] = {}
    for variant in variants:
        result, step = _result(variant), variant.first_leak_step
        if here is not None and step is not None and step != here:
            result += f", first on step {step}"
        by_result.setdefault(result, []).append(_changes(variant))
    return [f"{_listed(named, 'and')} ({result})" for result, named in by_result.items()]


def _result(variant: Variant) -> str:
    if variant.verdict is Verdict.INERT:
        return "the layer never moves at all"
    if variant.verdict is Verdict.FAILED:
        return "the trial fails"
    if variant.causes is None:
        return "it leaks all the same"
    return _movers(variant.causes)


def _movers(causes: Causes) -> str:
    """What moves the layer, of its causes' column.

    >>> _movers(Causes(True, True, False, False, False, sets="decay, history"))
    'weight decay and history move it'
    """
    sets = [named.split("+") for named in (causes.sets or "").split(", ")]
    movers = [" with ".join(WORDS[source] for source in sources) for sources in sets]
    return f"{_listed(movers, 'and')} {'moves' if len(movers) == 1 else 'move'} it"


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


def _names(sources: Sources) -> str:
    return _listed([WORDS[source] for source in Source if source in sources], "and")


def _by_size(change: Change) -> float:
    return change.l2 if math.isfinite(change.l2) else math.inf


def _listed(items: Sequence[str], conjunction: str) -> str:
    """The items as an English list.

    >>> _listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *rest, last = items
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last
