"""What a watch found, in words: a digest of the account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sweep.watching.account import Entry, Place, largest
from sweep.watching.findings import UNKNOWN, Fared
from sweep.watching.grouping import Alike, by_likeness
from sweep.watching.states import State

_LINES = 20
"""Lines of one kind that a message has; a model may have thousands of parameters."""

_FOUND = {
    State.NONE: "grad none",
    State.LEFT_ZEROS: "grad zero",
    State.ZEROS_CAME: "grad of zeros that came",
    State.STALE: "grad stale",
    State.FRESH: "grad fresh",
}


@dataclass(frozen=True, slots=True)
class Account:
    """The rows, and what optimizers there are: by number, class and steps taken."""

    entries: tuple[Entry, ...]
    optimizers: tuple[tuple[str, int], ...]

    @property
    def present(self) -> list[Entry]:
        """The rows of the model's parameters as it is; one that two optimizers hold has two."""
        return [each for each in self.entries if each.place in (Place.HELD, Place.NOWHERE)]

    @property
    def leaking(self) -> list[Entry]:
        """Those that leaked, in the order in which they first did."""
        found = [entry for entry in self.entries if entry.still.moved]
        return sorted(found, key=lambda entry: entry.still.first or 0)

    @property
    def untrained(self) -> list[Entry]:
        """Those that were to train and did not, under any optimizer."""
        moved = {e.parameter for e in self.entries if e.moved.get(State.FRESH) or e.by_others}
        wanted = [entry for entry in self.present if entry.meant == "trainable"]
        return [entry for entry in wanted if entry.parameter not in moved]


def summary(account: Account) -> str:
    """What was found, a screen at most."""
    return "\n".join([*_head(account), *_more(account)])


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
            f"{number} of {watched} parameters moved when they should have kept still ({steps}):"
        )
        yield from _told(leaking, account, lambda entry: entry.still)
    if zeros:
        number = len({entry.parameter for entry in zeros})
        moved = "moved" if leaking else f"of {watched} moved"
        yield (
            f"{_count(number, 'parameter')} {moved} on gradients of zeros that autograd brought"
            f"{'' if leaking else f' ({steps})'}; zeros_count=False calls that a leak:"
        )
        yield from _told(zeros, account, lambda entry: entry.zeros, advises=False)
        yield "    -> if they stand for no gradient: .grad = None between backward() and step()"
    if not leaking and not zeros:
        yield _nothing_leaked(account, watched, steps)


def _nothing_leaked(account: Account, watched: int, steps: str) -> str:
    quiet = {entry.parameter for entry in account.entries if entry.still.steps}
    if quiet:
        return (
            f"No leak: {_count(len(quiet), 'parameter')} kept still on steps without a gradient "
            f"({watched} watched, {steps})."
        )
    reached = all(e.total_steps and e.reached == e.total_steps for e in account.present)
    if reached and all(entry.place is Place.HELD for entry in account.entries):
        return f"A gradient reached all {watched} parameters before each of {steps}."
    return f"No leak: no parameter was to keep still ({watched} watched, {steps})."


def _told(
    entries: Sequence[Entry],
    account: Account,
    fared: Callable[[Entry], Fared],
    *,
    advises: bool = True,
) -> Iterator[str]:
    """A line for each parameter or group, those of one remedy under it, if it ``advises``."""
    by_remedy: dict[str, list[str]] = {}
    groups = by_likeness(entries, account.present, by=_how)
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


def _how(entry: Entry) -> tuple[object, ...]:
    return entry.optimizer, entry.state, entry.causes, entry.unexplained, entry.remedy


def _line(group: Alike, fared: Callable[[Entry], Fared], *, names_optimizer: bool) -> str:
    first = group.entries[0]
    all_fared = [fared(entry) for entry in group.entries]
    found = _FOUND[first.state or State.NONE]
    steps = min(each.first or 0 for each in all_fared)
    by = f"; moved by {first.optimizer_name} (optimizer {first.optimizer})"
    separator = ": " if len(group.entries) == 1 else ", "
    return (
        f"{group.label}{_rows(group)}{separator}{_how_often(all_fared)}, first at step {steps}, "
        f"{_how_far(all_fared)}, {found}; cause: {_cause(first)}{by if names_optimizer else ''}"
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


def _rows(group: Alike) -> str:
    if len(group.entries) > 1 or group.entries[0].rows is None:
        return ""
    entry = group.entries[0]
    listed = ", ".join(map(str, entry.first_rows))
    more = (entry.rows or 0) - len(entry.first_rows)
    return f" [rows {listed}{f' and {more} more' if more > 0 else ''}]"


def _more(account: Account) -> Iterator[str]:
    """What else the account has, a line for each kind of thing."""
    yield from _untrained(account)
    yield from _of_no_optimizer(account)
    yield from _of_no_model(account)
    yield from _never_reached(account)
    moved = [e for e in account.entries if e.outside and e.place is not Place.BUFFER]
    yield from _listed(moved, account, "{} moved between steps, by something else than step()")
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


def _why_untrained(entry: Entry) -> str:
    if entry.place is Place.NOWHERE:
        return "being in no optimizer under watch"
    if not entry.total_steps:
        return "as no step was taken"
    if not entry.reached:
        off = "" if entry.requires_grad else ": requires_grad is False"
        only = "but zeros " if entry.steps.get(State.ZEROS_CAME) else ""
        return f"as no gradient {only}reached it on any step{off}"
    if entry.at_rate_zero == entry.reached:
        return "as its lr is 0"
    return f"though gradients came on {entry.reached} steps: no update was large enough for a bit"


def _of_no_optimizer(account: Account) -> Iterator[str]:
    told = {id(entry) for entry in account.untrained}
    loose = [e for e in account.present if e.place is Place.NOWHERE and id(e) not in told]
    for what, chosen in (
        ("{are} in no optimizer under watch and require no gradient", _is_frozen),
        ("{are} in no optimizer under watch, though gradients reach {them}", _is_forgotten),
        ("{are} in no optimizer under watch, and no gradient reached {them}", _is_unused),
    ):
        yield from _listed([e for e in loose if chosen(e)], account, "{} " + what)
    for name in dict.fromkeys(name for entry in account.present for name in entry.by_others):
        moved = [entry for entry in account.present if name in entry.by_others]
        steps = max(entry.by_others[name] for entry in moved)
        what = f"{{}} moved in {_count(steps, 'step')} of {name}, which is not watched"
        yield from _listed(moved, account, what)


def _is_frozen(entry: Entry) -> bool:
    return not entry.by_others and not entry.requires_grad


def _is_forgotten(entry: Entry) -> bool:
    return not entry.by_others and entry.requires_grad and entry.gradients > 0


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
    if len(account.optimizers) == 1:
        return _count(account.optimizers[0][1], "step")
    return ", ".join(f"{name}: {_count(taken, 'step')}" for name, taken in account.optimizers)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
