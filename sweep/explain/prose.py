"""An explanation in plain English. Every clause is a reading of what was replayed or run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sweep.explain.derive import Explanation, ReplayedStep, by_size
from sweep.explain.variants import Variant
from sweep.trial.causes import INTRINSIC, Movements, Sources
from sweep.trial.probe import Change
from sweep.values.outcome import Outcome
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
    said = [what, *(_remedies if leaks else _risks)(explanation)]
    if explanation.outcome.sideways:
        said.append(
            "Sideways: the other parameters, too, move otherwise than they would had this grad "
            "been None."
        )
    return tuple(said)


def _why_it_leaks(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, moved = _name(explanation), replayed.movements
    text = f"On step {replayed.step} the grad of {_layer(explanation)} "
    if replayed.grad is GradState.NONE:
        text += f"is None, and {name} moves it all the same. "
    elif replayed.grad is GradState.ZERO:
        text += f"is a tensor of zeros, not None, so {name} updates it like any other. "
    elif replayed.stale:
        text += f"is stale, left by an earlier step, and {name} applies it once more. "
    else:
        freeze = explanation.planned.setting.freeze
        text += f"is a fresh one: freeze={freeze} lets it through to {name}. "
    if moved is None:
        return f"{text}What moves it could not be found: {replayed.unexplained}."
    text += _sources(replayed, moved, would=False)
    if replayed.grad is not GradState.NONE and moved.without_grad.moved:
        text += f" Even with its grad set to None {name} would move it by up to "
        text += f"{_size(moved.without_grad)}."
    return text


def _sources(replayed: ReplayedStep, moved: Movements, *, would: bool) -> str:
    """The smallest sets of sources that move the layer, and how far, as sentences."""
    sets = sorted(moved.sets.items(), key=lambda each: by_size(each[1]), reverse=True)
    if moved.intrinsic.moved:
        return " ".join(_its_own(replayed, moved, sets, would=would))
    moves, move = ("would move", "would move") if would else ("moves", "move")
    parts = []
    for place, (sources, change) in enumerate(sets):
        alone = len(sources) == 1
        text = f"{_names(sources)} {'alone' if alone else 'together'}"
        if place == 0:
            text = f"{text} {moves} it" if alone else f"{_names(sources)} {move} it only together"
        whole = len(sets) == 1 and change == moved.whole
        parts.append(f"{text}{',' * whole} by up to {_extent(replayed, change, share=not whole)}")
    text = _listed(parts, "and")
    said = [f"{text[:1].upper()}{text[1:]}.", *_only_together([s for s, _ in sets if len(s) > 1])]
    # Independent movements cannot exceed their sum; where they do, one scales another.
    if moved.whole.l2 > sum(change.l2 for _, change in sets) * ROUNDING:
        said.append(
            f"With every source on it {moves} by up to {_size(moved.whole)}, more than that: one "
            f"scales another."
        )
    return " ".join(said)


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


def _its_own(
    replayed: ReplayedStep,
    moved: Movements,
    sets: Sequence[tuple[Sources, Change]],
    *,
    would: bool,
) -> Iterator[str]:
    zeroed = ", its grad zeroed" if Source.GRADIENT in moved.alone else ""
    yield (
        f"With its history cleared{zeroed} and no weight decay it "
        f"{'would still move' if would else 'still moves'}, by up to {_size(moved.intrinsic)}: "
        f"the optimizer has a term of its own."
    )
    only = {True: " only together", False: ""}
    parts = [f"{_names(s)}{only[len(s) > 1]} by up to {_extent(replayed, c)}" for s, c in sets]
    if parts:
        yield f"That movement is changed by {_listed(parts, 'and')}."


def _extent(replayed: ReplayedStep, change: Change, *, share: bool = True) -> str:
    of_whole = replayed.share(change)
    if not share or math.isnan(of_whole):
        return _size(change)
    times = f"{of_whole:.0%} of the whole" if of_whole < MANY else f"{of_whole:.0f} times the whole"
    return f"{_size(change)} ({times})"


def _remedies(explanation: Explanation) -> Iterator[str]:
    holding, failing = _apart(explanation.variants, Verdict.HOLDS)
    named = [" with ".join(variant.changes) for variant in holding]
    if not named:
        yield "Of the remedies that were run, none holds."
    elif len(named) == 1:
        yield f"Remedy: {named[0]}. It was run, and holds on every frozen step."
    else:
        yield f"Remedy: {_listed(named, 'or')}. Each was run, and holds on every frozen step."
    if failing:
        results = _with_results(failing, _first_leak(explanation.outcome))
        yield f"Not a remedy: {_listed(results, 'and')}."


def _risks(explanation: Explanation) -> Iterator[str]:
    leaking, others = _apart(explanation.variants, Verdict.LEAKS)
    holding, _ = _apart(others, Verdict.HOLDS)
    if leaking:
        yield f"It would leak with {_listed(_with_results(leaking), 'or')}."
    if holding:
        named = [" with ".join(variant.changes) for variant in holding]
        yield f"It also holds with {_listed(named, 'and')}."


def _apart(variants: Sequence[Variant], verdict: Verdict) -> tuple[list[Variant], list[Variant]]:
    """Those of that verdict, and the others."""
    found = [variant for variant in variants if variant.outcome.verdict is verdict]
    return found, [variant for variant in variants if variant.outcome.verdict is not verdict]


def _why_it_holds(explanation: Explanation, replayed: ReplayedStep) -> str:
    name, layer, moved = _name(explanation), _layer(explanation), replayed.movements
    on_step = f"On step {replayed.step} the grad of {layer} is"
    if replayed.grad is GradState.NONZERO:
        freeze, attached = explanation.planned.setting.freeze, ""
        if replayed.attached is not None:
            moves = _size(replayed.attached)
            attached = f": were the step attached, the layer would move by up to {moves}"
        return f"{on_step} not zero. What keeps it still is freeze={freeze}{attached}."
    if zero := replayed.grad is GradState.ZERO:
        text = f"{on_step} a tensor of zeros, so {name} does update it."
        what = "What its sources do one by one"
    else:
        text = f"{on_step} None, so {name} leaves it alone."
        what = "What zeros in its place would do"
    if moved is None:
        return f"{text} {what} could not be found: {replayed.unexplained}."
    if not (moved.sets or moved.intrinsic.moved if zero else moved.whole.moved):
        nothing = _nothing_else(explanation, moved)
        if zero:
            return f"{text} What keeps it still is that nothing else moves it: {nothing}."
        return f"{text} Zeros in its place would not move it either: {nothing}."
    would = _sources(replayed, moved, would=True)
    if zero:
        return f"{text} Its sources cancel. {would}"
    return (
        f"What keeps {layer} still is that its grad is None. Were it zeros on step "
        f"{replayed.step}, {would[:1].lower()}{would[1:]}"
    )


def _nothing_else(explanation: Explanation, moved: Movements) -> str:
    if Source.DECAY in moved.alone:
        return "neither history nor weight decay does, replayed alone"
    decay = "there is no weight decay"
    if explanation.planned.setting.weight_decay:
        decay = "weight decay has changed nothing so far"
    return f"history does not, replayed alone, and {decay}"


def _with_results(variants: Sequence[Variant], here: int | None = None) -> list[str]:
    """The variants, those that showed the same together; first leaks that are not ``here``."""
    by_result: dict[str, list[str]] = {}
    for variant in variants:
        result, step = _result(variant.outcome), _first_leak(variant.outcome)
        if here is not None and step is not None and step != here:
            result += f", first on step {step}"
        by_result.setdefault(result, []).append(" with ".join(variant.changes))
    return [f"{_listed(named, 'and')} ({result})" for result, named in by_result.items()]


def _result(outcome: Outcome) -> str:
    if outcome.verdict is Verdict.INERT:
        return "the layer never moves at all"
    if outcome.verdict is Verdict.FAILED:
        return "the trial fails"
    if outcome.causes is None:
        return "it leaks all the same"
    sets = [named.split("+") for named in (outcome.causes.sets or "").split(", ")]
    movers = [" with ".join(WORDS[source] for source in sources) for sources in sets]
    return f"{_listed(movers, 'and')} {'moves' if len(movers) == 1 else 'move'} it"


def _first_leak(outcome: Outcome) -> int | None:
    return None if outcome.measurement is None else outcome.measurement.first_leak_step


def _name(explanation: Explanation) -> str:
    return explanation.planned.setting.optimizer.rpartition(":")[2]


def _layer(explanation: Explanation) -> str:
    if len(explanation.layer) == 1:
        return explanation.layer[0]
    return f"the frozen layer ({len(explanation.layer)} parameters)"


def _size(change: Change) -> str:
    return f"{change.max_change:.3g}"


def _names(sources: Sources) -> str:
    return _listed([WORDS[source] for source in Source if source in sources], "and")


def _listed(items: Sequence[str], conjunction: str) -> str:
    """The items as an English list.

    >>> _listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *rest, last = items
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last
