"""What to do about a leak, in a sentence: it follows from the cause, and was rehearsed."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from sweep.watching.findings import Record, Remedy
from sweep.watching.states import State


class Loop(StrEnum):
    """Whose loop it is, which decides what a user can do in it."""

    OWN = "own"
    TRAINER = "trainer"
    LIGHTNING = "lightning"


WHERE = {
    Loop.OWN: "between backward() and step()",
    Loop.TRAINER: "in a callback's on_pre_optimizer_step",
    Loop.LIGHTNING: "in on_before_optimizer_step",
}
"""Where a loop lets somebody look at the grads just before the step."""

_APART = {
    Loop.OWN: (
        "give it an optimizer of its own and leave out that one's step(), or remove it from the "
        "optimizer while it is frozen"
    ),
    Loop.TRAINER: (
        "set requires_grad=False before train(), and the Trainer's optimizer leaves it out, or "
        "pass Trainer(optimizers=...) one that does not hold it"
    ),
    Loop.LIGHTNING: (
        "in configure_optimizers, leave it out, or give it an optimizer of its own, whose step "
        "manual optimization can leave out"
    ),
}
_PUT_BACK = {
    Loop.OWN: "put back what it was after each step",
    Loop.TRAINER: "put back what it was in a callback's on_optimizer_step",
    Loop.LIGHTNING: "put back what it was in on_train_batch_end",
}
_MASK = "keep the gradient from it: zeros there, by a hook on the parameter, on every step"
_SPARSE = (
    "for rows that are in no batch, sparse grads and an optimizer that takes them "
    "(nn.Embedding(sparse=True) with SparseAdam or plain SGD)"
)
_DECAY = {
    Loop.OWN: "give it a parameter group with weight_decay=0",
    Loop.TRAINER: (
        "pass TrainingArguments(weight_decay=0), or Trainer(optimizers=...) an optimizer with a "
        "group of weight_decay=0 for it"
    ),
    Loop.LIGHTNING: "in configure_optimizers, give it a parameter group with weight_decay=0",
}
_CLEAR = (
    "clear what the optimizer keeps for it when it freezes: zeros in "
    "optimizer.state[parameter][...][rows]"
)
_NONE = {
    Loop.OWN: "let its grad be None, not zeros: optimizer.zero_grad(set_to_none=True)",
    Loop.TRAINER: (
        "let its grad be None, not zeros: set parameter.grad = None in a callback's "
        "on_pre_optimizer_step"
    ),
    Loop.LIGHTNING: (
        "let its grad be None, not zeros: do not override optimizer_zero_grad, or call "
        "optimizer.zero_grad(set_to_none=True) in it"
    ),
}


def advice(record: Record, loop: Loop, *, is_embedding: bool) -> str:
    """What would have kept it still, as the end of a sentence; empty if it did.

    ``is_embedding`` is whether it is the weight of an embedding.
    """
    if not record.told.moved or record.state is None or record.explanation is None:
        return ""
    if record.in_part:
        return "; or ".join(_of_a_part(record, record.state, loop, is_embedding=is_embedding))
    remedies = record.explanation.remedies
    if record.causes is not None and Remedy.NONE not in remedies:
        first = f"its optimizer moves it even when its grad is None: {_APART[loop]}"
    elif record.state is State.NONE:
        return _APART[loop]
    else:
        first = _to_none(record.state, loop, by_hand=record.by_hand)
    return "; or ".join([first] + [_DECAY[loop]] * (Remedy.NO_DECAY in remedies))


def _to_none(state: State, loop: Loop, *, by_hand: bool) -> str:
    if state is State.FRESH:
        return (
            "a gradient reached it on this step: detach what it gives, or set requires_grad=False "
            "before the forward pass, and let its grad be None"
        )
    if state is State.STALE:
        by = "before the step, with optimizer.zero_grad()" if loop is Loop.OWN else WHERE[loop]
        return f"its grad was still there: set it to None {by}"
    if state is State.ZEROS_CAME:
        return (
            "its grad of zeros came on this step, from backward() or a hook: set its .grad to None "
            f"{WHERE[loop]}, or {_APART[loop]}"
        )
    if by_hand:
        return "set its .grad to None where it is set to zeros, by hand or by zero_grad()"
    return _NONE[loop]


def _of_a_part(record: Record, state: State, loop: Loop, *, is_embedding: bool) -> Iterator[str]:
    """The same for rows or elements: a part of a grad cannot be None."""
    causes, remedies = record.causes, record.explanation.remedies if record.explanation else ()
    if state is State.FRESH and causes is not None and causes.by_gradient:
        yield _MASK
    if Remedy.NO_DECAY in remedies:
        yield _DECAY[loop]
    elif Remedy.CLEAR_STATE in remedies:
        yield _CLEAR
    elif Remedy.CLEAR_STATE_NO_DECAY in remedies:
        yield f"{_DECAY[loop]} and {_CLEAR}"
    yield _PUT_BACK[loop]
    if is_embedding and causes is not None and causes.by_history:
        yield _SPARSE
