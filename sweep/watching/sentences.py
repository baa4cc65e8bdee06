"""What a watch found, in words: a digest of the account."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sweep.watching.account import Account, Entry, Place, largest
from sweep.watching.advice import WHERE
from sweep.watching.findings import UNKNOWN, Fared
from sweep.watching.grouping import NamedTogether, by_likeness
from sweep.watching.states import State

_LINES = 20
"""Lines of one kind that a message has; a model may have thousands of parameters."""

_OPTIMIZERS = 4
"""Optimizers up to which each is told by itself."""

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
    parts = (_head(account), _nothing_leaked(account), _as_meant(account), _more(account))
    return "\n".join([line for part in parts for line in part])


def failure_message(account: Account) -> str:
    """The message of a LeakError: what moved and why, what did not train and why, what to do."""
    lines = []
    if leaking := account.leaking:
        number = len({entry.parameter for entry in leaking})
        lines = [f"step() moved {_count(number, 'parameter')} that should have kept still:"]
        lines += _told(leaking, account, lambda entry: entry.still)
    return "\n".join([*lines, *_untrained(account)])


def _head(account: Account) -> Iterator[str]:
    watched = len({entry.parameter for entry in account.present})
    steps = _steps(account)
    if not sum(taken for _, taken in account.optimizers):
        yield f"No step was taken; {_count(watched, 'parameter')} were watched."
        return
    leaking, zeros = account.leaking, [e for e in account.entries if e.zeros.moved]
    if leaking:
        number = len({entry.parameter for entry in leaking})
        yield (
            f"{number} of {_count(watched, 'parameter')} moved when they should have kept still "
            f"({steps}):"
        )
        yield from _told(leaking, account, lambda entry: entry.still)
        yield from _words(leaking)
    if zeros:
        number = len({entry.parameter for entry in zeros})
        moved = "moved" if leaking else f"of {watched} moved"
        yield (
            f"{_count(number, 'parameter')} {moved} on gradients of zeros that autograd brought"
            f"{'' if leaking else f' ({steps})'}; zeros_count=False calls that a leak:"
        )
        yield from _told(zeros, account, lambda entry: entry.zeros, advises=False)
        yield f"    -> if they stand for no gradient: .grad = None {WHERE[account.loop]}"
    yield from _untrained(account)


def _words(leaking: Sequence[Entry]) -> Iterator[str]:
    """What the causes that are named mean."""
    named = {word for entry in leaking for word in re.findall(r"\w+", entry.causes or "")}
    meanings = "; ".join(f"{word}: {said}" for word, said in _MEANINGS.items() if word in named)
    if meanings:
        yield f"    ({meanings})"


def _nothing_leaked(account: Account) -> Iterator[str]:
    """That nothing leaked, in a sentence; nothing where something did, or no step was taken."""
    no_step = not sum(taken for _, taken in account.optimizers)
    if no_step or any(entry.told.moved for entry in account.entries):
        return
    quiet = [entry for entry in account.entries if entry.still.steps]
    number = len({entry.parameter for entry in quiet})
    of_all = f"({len({e.parameter for e in account.present})} watched, {_steps(account)})"
    if any(entry.in_part or entry.meant == "frozen" for entry in quiet):
        yield f"No leak: what was to keep still did, in {_count(number, 'parameter')} {of_all}."
    elif quiet:
        said = f"No leak: {_count(number, 'parameter')} kept still on steps without a gradient"
        yield f"{said} {of_all}."
    elif all(e.total_steps and e.reached == e.total_steps for e in account.entries):
        yield f"A gradient reached {_all(account.present)} before {_each_of(account)}."
    elif any(entry.meant == "frozen" for entry in account.present):
        yield f"No leak: step() moved nothing that was to keep still {of_all}."
    else:
        yield f"No leak: no parameter was to keep still {of_all}."


def _as_meant(account: Account) -> Iterator[str]:
    """What the user named and finds so."""
    if not sum(taken for _, taken in account.optimizers):
        return
    still = [entry for entry in account.present if _kept_still(entry)]
    wanted = [entry for entry in account.present if entry.meant == "trainable"]
    untrained = {entry.parameter for entry in account.untrained}
    trained = [entry for entry in wanted if entry.parameter not in untrained]
    yield from _listed(still, account, "{} that should keep still did")
    yield from _listed(trained, account, "{} that should train did")


def _kept_still(entry: Entry) -> bool:
    """Whether it was named as frozen, was judged, and nothing moved it that anybody saw."""
    moved = entry.moved_steps or entry.outside or entry.by_others
    return entry.meant == "frozen" and not moved and entry.not_judged is None


def _told(
    entries: Sequence[Entry],
    account: Account,
    fared: Callable[[Entry], Fared],
    *,
    advises: bool = True,
) -> Iterator[str]:
    """A line for each parameter or group, those of one remedy under it, if it ``advises``."""
    by_remedy: dict[str, list[str]] = {}
    groups = by_likeness(entries, account.present, by=partial(_how, fared))
    several = len(account.optimizers) > 1
    for group in groups[:_LINES]:
        line = f"  {_line(group, fared, names_optimizer=several)}"
        by_remedy.setdefault(group.entries[0].remedy, []).append(line)
    for remedy, lines in by_remedy.items():
        yield from lines
        if remedy and advises:
            yield f"    -> {remedy}"
    if len(groups) > _LINES:
        rest = sum(len(group.entries) for group in groups[_LINES:])
        yield f"  and {_count(rest, 'parameter')} more"


def _how(fared: Callable[[Entry], Fared], entry: Entry) -> tuple[object, ...]:
    found = frozenset(fared(entry).found)
    return entry.optimizer, found, entry.causes, entry.unexplained, entry.remedy


def _line(group: NamedTogether, fared: Callable[[Entry], Fared], *, names_optimizer: bool) -> str:
    first = group.entries[0]
    all_fared = [fared(entry) for entry in group.entries]
    found = " or ".join(_FOUND[state] for state in State if state in all_fared[0].found)
    steps = min(each.first or 0 for each in all_fared)
    cause = f"cause: {_cause(first)}"
    if len(all_fared[0].found) > 1 and len(group.entries) == 1:
        cause = f"cause at step {first.explained_step}: {_cause(first)}"
    by = f"; moved by {first.optimizer_name} (optimizer {first.optimizer})"
    separator = ": " if len(group.entries) == 1 else ", "
    return (
        f"{group.label}{_rows(group)}{separator}{_how_often(all_fared)}, first at step {steps}, "
        f"{_how_far(all_fared)}, grad {found}; {cause}{by if names_optimizer else ''}"
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
    changes = [change for each in fared if (change := largest(each)) is not None]
    return f"by up to {max(changes):.3g}" if changes else "how far was not measured"


def _cause(entry: Entry) -> str:
    if entry.causes in (None, UNKNOWN):
        return f"{UNKNOWN} ({entry.unexplained})" if entry.unexplained else UNKNOWN
    shares = ", ".join(f"{name} {_percent(share)}" for name, share in sorted(entry.shares.items()))
    return f"{entry.causes} ({shares})" if len(entry.shares) > 1 else f"{entry.causes}"


def _percent(share: float) -> str:
    return "under 1%" if share < 0.01 else f"{share:.0%}"


def _rows(group: NamedTogether) -> str:
    if len(group.entries) > 1 or group.entries[0].rows is None:
        return ""
    entry = group.entries[0]
    listed = ", ".join(map(str, entry.first_rows))
    more = (entry.rows or 0) - len(entry.first_rows)
    return f" [rows {listed}{f' and {more} more' if more > 0 else ''}]"


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
    yield from _listed(
        buffers,
        account,
        "{} of frozen modules changed; in training mode forward() moves them, eval() keeps them",
        word="buffer",
    )
    blind = [e for e in account.present if e.not_judged]
    for reason in dict.fromkeys(entry.not_judged for entry in blind):
        of_it = [entry for entry in blind if entry.not_judged == reason]
        yield from _listed(of_it, account, f"{{}} {{are}} not judged ({reason})")


def _untrained(account: Account) -> Iterator[str]:
    untrained = account.untrained
    for reason in dict.fromkeys(map(_why_untrained, untrained)):
        of_it = [entry for entry in untrained if _why_untrained(entry) == reason]
        yield from _listed(of_it, account, f"{{}} should train and did not, {reason}")
        if any(entry.place is Place.NOWHERE for entry in of_it):
            yield _BUILD_ANEW


def _why_untrained(entry: Entry) -> str:
    if entry.place is Place.NOWHERE:
        return "being in no optimizer under watch"
    if entry.is_empty:
        return "as this process holds no element of {them}"
    if not entry.total_steps:
        return "as no step was taken"
    if not entry.reached:
        off = "" if entry.requires_grad else ": requires_grad is False"
        only = "but zeros " if entry.steps.get(State.ZEROS_CAME) else ""
        return f"as no gradient {only}reached {{them}} on any step{off}"
    if entry.at_rate_zero == entry.reached:
        return "as the lr is 0"
    return f"though gradients came on {entry.reached} steps: no update was large enough for a bit"


def _of_no_optimizer(account: Account) -> Iterator[str]:
    told = {id(e) for e in account.present if _kept_still(e)} | {id(e) for e in account.untrained}
    loose = [e for e in account.present if e.place is Place.NOWHERE and id(e) not in told]
    for what, chosen in (
        ("{are} in no optimizer under watch, with requires_grad=False", _is_frozen),
        ("{are} in no optimizer under watch, though gradients reach {them}", _is_forgotten),
        ("{are} in no optimizer under watch, and no gradient reached {them}", _is_unused),
    ):
        yield from _listed([e for e in loose if chosen(e)], account, "{} " + what)
    if any(map(_is_forgotten, loose)) and any(map(_has_left, account.entries)):
        yield _BUILD_ANEW
    for name in dict.fromkeys(name for entry in account.present for name in entry.by_others):
        moved = [entry for entry in account.present if name in entry.by_others]
        steps = max(entry.by_others[name] for entry in moved)
        what = f"{{}} moved in {_count(steps, 'step')} of {name}, which is not watched"
        yield from _listed(moved, account, what)


def _is_frozen(entry: Entry) -> bool:
    return not entry.by_others and not entry.requires_grad


def _is_forgotten(entry: Entry) -> bool:
    return not entry.by_others and entry.requires_grad and entry.gradients > 0


def _has_left(entry: Entry) -> bool:
    return entry.place in (Place.LEFT, Place.STRANGER)


def _is_unused(entry: Entry) -> bool:
    return not entry.by_others and entry.requires_grad and not entry.gradients


def _of_no_model(account: Account) -> Iterator[str]:
    left = [entry for entry in account.entries if entry.place is Place.LEFT]
    for name in dict.fromkeys(entry.optimizer_name for entry in left):
        of_it = [entry for entry in left if entry.optimizer_name == name]
        what = f"{{}} that {name} holds or held {{are}} no longer in the model"
        yield from _listed(of_it, account, what)
    strange = [entry for entry in account.entries if entry.place is Place.STRANGER]
    for name in dict.fromkeys(entry.optimizer_name for entry in strange):
        of_it = [entry for entry in strange if entry.optimizer_name == name]
        shapes = ", ".join(str(entry.shape) for entry in of_it[:5])
        more = "" if len(of_it) <= 5 else f" and {len(of_it) - 5} more"
        tensors = _count(len(of_it), "tensor")
        yield f"{name} holds {tensors} that the model does not have, of shape {shapes}{more}."


def _never_reached(account: Account) -> Iterator[str]:
    told = {id(entry) for entry in account.untrained}
    told |= {id(entry) for entry in account.present if _kept_still(entry)}
    held = [e for e in account.present if e.place is Place.HELD and id(e) not in told]
    reached = {e.parameter for e in account.entries if e.reached}
    empty = [e for e in held if e.steps.get(State.NONE) and e.parameter not in reached]
    empty = [e for e in empty if e.steps[State.NONE] == e.total_steps]
    cleared = [e for e in empty if e.gradients]
    empty = [e for e in empty if not e.gradients]
    yield from _listed(
        cleared, account, "{} had no gradient at any step, though autograd brought {them} some"
    )
    yield from _listed([e for e in empty if e.requires_grad], account, "{} never got a gradient")
    yield from _listed(
        [e for e in empty if not e.requires_grad],
        account,
        "{} never got a gradient (requires_grad=False)",
    )
    stuck = [e for e in held if e.reached and not e.moved.get(State.FRESH)]
    yield from _listed(
        [e for e in stuck if e.at_rate_zero == e.reached],
        account,
        "{} got gradients and never moved on one, as the lr is 0",
    )
    yield from _listed(
        [e for e in stuck if e.at_rate_zero != e.reached],
        account,
        "{} got gradients and never moved on one",
    )


def _listed(
    entries: Sequence[Entry], account: Account, what: str, *, word: str = "parameter"
) -> Iterator[str]:
    """A sentence about some rows, with their names; nothing if there are none."""
    if not entries:
        return
    number = len({entry.parameter for entry in entries})
    among = entries if word == "buffer" else account.present
    groups = by_likeness(entries, among)
    names = ", ".join(
        group.name if len(group.entries) == 1 else f"{group.name} ({len(group.entries)})"
        for group in groups[:_LINES]
    )
    more = f" and {len(groups) - _LINES} more" if len(groups) > _LINES else ""
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


def _each_of(account: Account) -> str:
    several = len(account.optimizers) > 1
    return f"each step ({_steps(account)})" if several else f"each of {_steps(account)}"


def _all(entries: Sequence[Entry]) -> str:
    number = len({entry.parameter for entry in entries})
    return "the only parameter" if number == 1 else f"all {number} parameters"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
