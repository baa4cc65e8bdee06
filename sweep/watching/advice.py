"""What to do about a leak, in a sentence: it follows from the cause, and was rehearsed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sweep.watching.findings import Remedy
from sweep.watching.states import State


class Loop(StrEnum):
    """Whose loop it is, which decides what a user can do in it."""

    OWN = "own"
    TRAINER = "trainer"
    LIGHTNING = "lightning"


@dataclass(frozen=True, slots=True)
class Situation:
    """What advice depends on.

    Attributes:
        state: what the step found in the grad.
        remedies: what was rehearsed and kept it still.
        is_explained: whether the causes are known.
        by_history, by_gradient: whether history is among them, or the gradient.
        by_hand: whether the zeros were put there after a gradient had come.
        in_part: whether rows or elements are in question, and not the whole parameter.
        is_embedding: whether it is the weight of an embedding.
        loop: whose loop it is.
    """

    state: State
    remedies: tuple[Remedy, ...]
    is_explained: bool
    by_history: bool
    by_gradient: bool
    by_hand: bool
    in_part: bool
    is_embedding: bool
    loop: Loop


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
    "clear what the optimizer keeps for it when it freezes: zeros in optimizer.state[parameter]"
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


def advice(of: Situation) -> str:
    """What would have kept it still, as the end of a sentence."""
    if of.in_part:
        return _of_a_part(of)
    if of.is_explained and Remedy.NONE not in of.remedies:
        return "; or ".join(
            [
                f"its optimizer moves it even when its grad is None: {_APART[of.loop]}",
                *_other_remedies(of),
            ]
        )
    if of.state is State.NONE:
        return _APART[of.loop]
    first = _to_none(of)
    return "; or ".join([first, *_other_remedies(of)])


def _to_none(of: Situation) -> str:
    if of.state is State.FRESH:
        return (
            "a gradient reached it on this step: detach what it gives, or set requires_grad=False "
            "before the forward pass, and let its grad be None"
        )
    if of.state is State.STALE:
        return (
            "its grad was still there: set it to None before the step, with optimizer.zero_grad()"
            if of.loop is Loop.OWN
            else f"its grad was still there: set it to None {WHERE[of.loop]}"
        )
    if of.state is State.ZEROS_CAME:
        return (
            "its grad of zeros came on this step, from backward() or a hook: set its .grad to None "
            f"{WHERE[of.loop]}, or {_APART[of.loop]}"
        )
    if of.by_hand:
        return "set its .grad to None where it is set to zeros, by hand or by zero_grad()"
    return _NONE[of.loop]


def _other_remedies(of: Situation) -> list[str]:
    if Remedy.NO_DECAY in of.remedies:
        return [_DECAY[of.loop]]
    return []


def _of_a_part(of: Situation) -> str:
    """The same for rows or elements: a part of a grad cannot be None."""
    if Remedy.NO_DECAY in of.remedies:
        said = [_DECAY[of.loop]]
    elif Remedy.CLEAR_STATE in of.remedies:
        said = [_CLEAR + "[...][rows]"]
    elif Remedy.CLEAR_STATE_NO_DECAY in of.remedies:
        said = [f"{_DECAY[of.loop]} and {_CLEAR}[...][rows]"]
    else:
        said = []
    if of.state is State.FRESH and of.by_gradient:
        said.insert(0, _MASK)
    said.append(_PUT_BACK[of.loop])
    if of.is_embedding and of.by_history:
        said.append(_SPARSE)
    return "; or ".join(said)
