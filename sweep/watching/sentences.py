"""What a watch found, in words: a digest of the account."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from sweep.watching.account import Account, Entry, Place
from sweep.watching.advice import WHERE
from sweep.watching.findings import UNKNOWN, Fared, Record
from sweep.watching.grouping import NamedTogether, by_likeness
from sweep.watching.states import State

_LINES = 20
"""Lines of one kind that a message has; a model may have thousands of parameters."""

_OPTIMIZERS = 4
"""Optimizers up to which each is told by itself."""

_LISTED = 5
"""Rows, or shapes, that are listed."""

_FOUND = {
    State.NONE: "none",
    State.LEFT_ZEROS: "zero",
    State.ZEROS_CAME: "of zeros that came",
    State.STALE: "stale",
    State.FRESH: "fresh",
}
_MEANINGS = {
    "history": "what the optimizer remembers, such as momentum",
    "decay": "its weight decay",
    "gradient": "what was in .grad",
    "intrinsic": "what it does with none of these",
}
"""What moves a parameter, in the words of somebody who reads of it for the first time."""

_BUILD_ANEW = (
    "    -> hand them to the optimizer: build it once the model is complete, or call "
    "optimizer.add_param_group"
)


def summary(account: Account) -> str:
    """What was found, a screen at most: what went wrong comes first."""
    if sum(taken for _, taken in account.optimizers):
        parts = (_wrong(account), _nothing_leaked(account), _as_meant(account), _more(account))
        return "\n".join(line for part in parts for line in part)
    watched = f"{_parameters(account.present)} were watched."
    return "\n".join([f"No step was taken; {watched}", *_more(account)])


def failure_message(account: Account) -> str:
    """The message of a LeakError: what moved and why, what did not train and why, what to do."""
    lines = []
    if leaking := account.leaking:
        lines = [f"step() moved {_parameters(leaking)} that should have kept still:"]
        lines += _told(leaking, account, attrgetter("still"))
    return "\n".join([*lines, *_untrained(account)])


def _wrong(account: Account) -> Iterator[str]:
    watched, steps = account.present, f"({_steps(account)})"
    leaking, zeros = account.leaking, [e for e in account.entries if e.record.zeros.moved]
    if leaking:
        of_all = f"{_number(leaking)} of {_parameters(watched)}"
        yield f"{of_all} moved when they should have kept still {steps}:"
        yield from _told(leaking, account, attrgetter("still"))
        named = {word for entry in leaking for word in re.findall(r"\w+", entry.causes or "")}
        meanings = [f"{word}: {said}" for word, said in _MEANINGS.items() if word in named]
        yield from [f"    ({'; '.join(meanings)})"] if meanings else []
    if zeros:
        of_all = "moved" if leaking else f"of {_number(watched)} moved"
        yield (
            f"{_parameters(zeros)} {of_all} on gradients of zeros that autograd brought"
            f"{'' if leaking else f' {steps}'}; zeros_count=False calls that a leak:"
        )
        yield from _told(zeros, account, attrgetter("zeros"), advises=False)
        yield f"    -> if they stand for no gradient: .grad = None {WHERE[account.loop]}"
    yield from _untrained(account)


def _nothing_leaked(account: Account) -> Iterator[str]:
    """That nothing leaked, in a sentence; nothing where something did."""
    records = [entry.record for entry in account.entries]
    if any(record.told.moved for record in records):
        return
    quiet = [entry for entry in account.entries if entry.record.still.steps]
    of_all = f"({_number(account.present)} watched, {_steps(account)})"
    if any(entry.record.in_part or entry.meant == "frozen" for entry in quiet):
        yield f"No leak: what was to keep still did, in {_parameters(quiet)} {of_all}."
    elif quiet:
        yield f"No leak: {_parameters(quiet)} kept still on steps without a gradient {of_all}."
    elif all(record.states and set(record.states) == {State.FRESH} for record in records):
        number, several = _number(account.present), len(account.optimizers) > 1
        all_of_them = "the only parameter" if number == 1 else f"all {number} parameters"
        each = f"each step ({_steps(account)})" if several else f"each of {_steps(account)}"
        yield f"A gradient reached {all_of_them} before {each}."
    elif any(entry.meant == "frozen" for entry in account.present):
        yield f"No leak: step() moved nothing that was to keep still {of_all}."
    else:
        yield f"No leak: no parameter was to keep still {of_all}."


def _as_meant(account: Account) -> Iterator[str]:
    """What the user named and finds so."""
    still = [entry for entry in account.present if _kept_still(entry)]
    untrained = {entry.parameter for entry in account.untrained}
    wanted = [entry for entry in account.present if entry.meant == "trainable"]
    trained = [entry for entry in wanted if entry.parameter not in untrained]
    yield from _listed(still, account, "{} that should keep still did")
    yield from _listed(trained, account, "{} that should train did")


def _kept_still(entry: Entry) -> bool:
    """Whether it was named as frozen, was judged, and nothing moved it that anybody saw."""
    moved = entry.record.moves or entry.outside or entry.by_others
    return entry.meant == "frozen" and not moved and entry.not_judged is None


def _told(
    entries: Sequence[Entry],
    account: Account,
    fared: Callable[[Record], Fared],
    *,
    advises: bool = True,
) -> Iterator[str]:
    """A line for each parameter or group, those of one remedy under it, if it ``advises``."""

    def how(entry: Entry) -> tuple[object, ...]:
        found = frozenset(fared(entry.record).found)
        return entry.optimizer, found, entry.causes, entry.explanation.unexplained, entry.remedy

    by_remedy: dict[str, list[str]] = {}
    groups = by_likeness(entries, account.present, by=how)
    for group in groups[:_LINES]:
        first = group.entries[0]
        by = f"; moved by {first.optimizer_name} (optimizer {first.optimizer})"
        line = f"  {_line(group, [fared(entry.record) for entry in group.entries])}"
        line += by if len(account.optimizers) > 1 else ""
        by_remedy.setdefault(first.remedy, []).append(line)
    for remedy, lines in by_remedy.items():
        yield from lines
        if remedy and advises:
            yield f"    -> {remedy}"
    if len(groups) > _LINES:
        rest = sum(len(group.entries) for group in groups[_LINES:])
        yield f"  and {_count(rest, 'parameter')} more"


def _line(group: NamedTogether, fared: Sequence[Fared]) -> str:
    alone, first = len(group.entries) == 1, group.entries[0]
    rows = first.record.moved_rows if alone else None
    which = "" if rows is None else f" [rows {_first_of(rows.numbers())}]"
    found = " or ".join(_FOUND[state] for state in State if state in fared[0].found)
    steps = min(each.first or 0 for each in fared)
    at = f" at step {first.record.explained_step}" if len(fared[0].found) > 1 and alone else ""
    return (
        f"{group.label}{which}{':' if alone else ','} {_how_often(fared)}, first at step "
        f"{steps}, {_how_far(fared)}, grad {found}; cause{at}: {_cause(first)}"
    )


def _how_often(fared: Sequence[Fared]) -> str:
    moved, steps = {each.moved for each in fared}, {each.steps for each in fared}
    one = f"{min(moved)} to {max(moved)}" if len(moved) > 1 else f"{min(moved)}"
    if len(steps) > 1:
        return f"{one} of {min(steps)} to {max(steps)} steps"
    return f"{one} of {_count(min(steps), 'step')}"


def _how_far(fared: Sequence[Fared]) -> str:
    if any(each.became_nan for each in fared):
        return "and became NaN"
    changes = [each.largest for each in fared if each.measured]
    return f"by up to {max(changes):.3g}" if changes else "how far was not measured"


def _cause(entry: Entry) -> str:
    why = entry.explanation
    if entry.causes in (None, UNKNOWN):
        return f"{UNKNOWN} ({why.unexplained})" if why.unexplained else UNKNOWN
    shares = ", ".join(
        f"{name} {'under 1%' if share < 0.01 else f'{share:.0%}'}"
        for name, share in sorted(why.shares.items())
    )
    return f"{entry.causes} ({shares})" if len(why.shares) > 1 else f"{entry.causes}"


def _more(account: Account) -> Iterator[str]:
    """What else the account has, a line for each kind of thing."""
    yield from _of_no_optimizer(account)
    yield from _of_no_model(account)
    yield from _never_reached(account)
    moved = [e for e in account.entries if e.outside and e.place is not Place.BUFFER]
    between = "moved between steps, by something else than step()"
    for what, frozen in (("{} that should keep still", True), ("{}", False)):
        chosen = [entry for entry in moved if (entry.meant == "frozen") is frozen]
        yield from _listed(chosen, account, f"{what} {between}")
    buffers = [e for e in account.entries if e.place is Place.BUFFER]
    moves = "in training mode forward() moves them, eval() keeps them"
    what = f"{{}} of frozen modules changed; {moves}"
    yield from _listed(buffers, account, what, word="buffer")
    blind = [e for e in account.present if e.not_judged]
    yield from _by_what(blind, account, lambda e: f"{{}} {{are}} not judged ({e.not_judged})")


def _untrained(account: Account) -> Iterator[str]:
    for reason in dict.fromkeys(map(_why_untrained, account.untrained)):
        of_it = [entry for entry in account.untrained if _why_untrained(entry) == reason]
        yield from _listed(of_it, account, f"{{}} should train and did not, {reason}")
        if any(entry.place is Place.NOWHERE for entry in of_it):
            yield _BUILD_ANEW


def _why_untrained(entry: Entry) -> str:
    states, reached = entry.record.states, entry.record.states[State.FRESH]
    if entry.place is Place.NOWHERE:
        return "being in no optimizer under watch"
    if entry.is_empty:
        return "as this process holds no element of {them}"
    if not states:
        return "as no step was taken"
    if not reached:
        off = "" if entry.requires_grad else ": requires_grad is False"
        only = "but zeros " if states[State.ZEROS_CAME] else ""
        return f"as no gradient {only}reached {{them}} on any step{off}"
    if entry.record.at_rate_zero == reached:
        return "as the lr is 0"
    return f"though gradients came on {reached} steps: no update was large enough for a bit"


def _of_no_optimizer(account: Account) -> Iterator[str]:
    loose = [e for e in _not_told(account) if e.place is Place.NOWHERE and not e.by_others]
    forgotten = [e for e in loose if e.requires_grad and e.gradients]
    frozen = [e for e in loose if not e.requires_grad]
    unused = [e for e in loose if e.requires_grad and not e.gradients]
    for chosen, so in (
        (frozen, "with requires_grad=False"),
        (forgotten, "though gradients reach {them}"),
        (unused, "and no gradient reached {them}"),
    ):
        yield from _listed(chosen, account, f"{{}} {{are}} in no optimizer under watch, {so}")
    left = any(entry.place in (Place.LEFT, Place.STRANGER) for entry in account.entries)
    if forgotten and left:
        yield _BUILD_ANEW
    for name in dict.fromkeys(name for entry in account.present for name in entry.by_others):
        moved = [entry for entry in account.present if name in entry.by_others]
        steps = max(entry.by_others[name] for entry in moved)
        what = f"{{}} moved in {_count(steps, 'step')} of {name}, which is not watched"
        yield from _listed(moved, account, what)


def _of_no_model(account: Account) -> Iterator[str]:
    left = [entry for entry in account.entries if entry.place is Place.LEFT]
    what = "{{}} that {} holds or held {{are}} no longer in the model"
    yield from _by_what(left, account, lambda entry: what.format(entry.optimizer_name))
    strange = [entry for entry in account.entries if entry.place is Place.STRANGER]
    for name in dict.fromkeys(entry.optimizer_name for entry in strange):
        shapes = [entry.shape for entry in strange if entry.optimizer_name == name]
        tensors = f"{_count(len(shapes), 'tensor')} that the model does not have"
        yield f"{name} holds {tensors}, of shape {_first_of(shapes)}."


def _never_reached(account: Account) -> Iterator[str]:
    reached = {e.parameter for e in account.entries if e.record.states[State.FRESH]}
    held = [entry for entry in _not_told(account) if entry.place is Place.HELD]
    empty = [e for e in held if set(e.record.states) == {State.NONE} and e.parameter not in reached]
    stuck = [e for e in held if e.record.states[State.FRESH] and not e.record.moves[State.FRESH]]
    off = [e for e in stuck if e.record.at_rate_zero == e.record.states[State.FRESH]]
    never, stopped = "{} never got a gradient", "{} got gradients and never moved on one"
    for chosen, what in (
        (
            [e for e in empty if e.gradients],
            "{} had no gradient at any step, though autograd brought {them} some",
        ),
        ([e for e in empty if not e.gradients and e.requires_grad], never),
        (
            [e for e in empty if not e.gradients and not e.requires_grad],
            f"{never} (requires_grad=False)",
        ),
        (off, f"{stopped}, as the lr is 0"),
        ([e for e in stuck if e not in off], stopped),
    ):
        yield from _listed(chosen, account, what)


def _not_told(account: Account) -> list[Entry]:
    """The model's parameters of which it is not said already whether they are as was meant."""
    untrained = set(account.untrained)
    return [e for e in account.present if not _kept_still(e) and e not in untrained]


def _by_what(
    entries: Sequence[Entry], account: Account, what: Callable[[Entry], str]
) -> Iterator[str]:
    """A sentence for each thing that is said of some of them."""
    for said in dict.fromkeys(map(what, entries)):
        yield from _listed([entry for entry in entries if what(entry) == said], account, said)


def _listed(
    entries: Iterable[Entry], account: Account, what: str, *, word: str = "parameter"
) -> Iterator[str]:
    """A sentence about some rows, with their names; nothing if there are none."""
    found = list(entries)
    if not found:
        return
    groups = by_likeness(found, account.present)
    names = ", ".join(
        group.name if len(group.entries) == 1 else f"{group.name} ({len(group.entries)})"
        for group in groups[:_LINES]
    )
    more = f" and {len(groups) - _LINES} more" if len(groups) > _LINES else ""
    number = _number(found)
    are, them = ("is", "it") if number == 1 else ("are", "them")
    said = what.replace("{}", _count(number, word)).replace("{are}", are).replace("{them}", them)
    yield f"{said}: {names}{more}."


def _steps(account: Account) -> str:
    each = account.optimizers
    if len(each) == 1:
        return _count(each[0][1], "step")
    if len(each) > _OPTIMIZERS:
        taken = [steps for _, steps in each]
        some = f"{min(taken)} to " if min(taken) != max(taken) else ""
        return f"{len(each)} optimizers, {some}{_count(max(taken), 'step')} each"
    names = [name for name, _ in each]
    return ", ".join(
        f"{name}{f' (optimizer {at})' * (names.count(name) > 1)}: {_count(steps, 'step')}"
        for at, (name, steps) in enumerate(each)
    )


def _parameters(entries: Iterable[Entry]) -> str:
    return _count(_number(entries), "parameter")


def _number(entries: Iterable[Entry]) -> int:
    return len({entry.parameter for entry in entries})


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _first_of(listed: Sequence[object]) -> str:
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(map(str, listed[:_LISTED])) + more
