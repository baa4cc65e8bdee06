"""What to do about a leak: the advice that follows from what was found.

Advice that names ``None`` rests on the rehearsal in which the grad was None.
"""

from __future__ import annotations

from sweep.values.words import GradState
from sweep.watching.findings import UNKNOWN, Leak
from sweep.watching.states import State

_APART = (
    "give it an optimizer of its own and leave out that one's step(), or remove it from the "
    "optimizer while it is frozen"
)


def remedy(leak: Leak) -> str:
    """What would have kept the parameter still, as the end of a sentence."""
    explanation = leak.explanation
    if leak.rows is not None:
        return (
            "a dense grad moves every row. Of an embedding, use sparse grads and an optimizer that "
            "takes them (nn.Embedding(sparse=True) with SparseAdam or plain SGD); mask pruned rows "
            "anew after each step"
        )
    if explanation is None or str(explanation) == UNKNOWN or explanation.despite_none:
        return _APART
    if explanation.causes is not None and explanation.causes.despite_none:
        return f"its optimizer moves it even when its grad is None: {_APART}"
    if leak.state in (State.FRESH, State.ZEROS_CAME):
        return _of_an_arrived(leak)
    if leak.grad is GradState.ZERO:
        return "let its grad be None, not zeros: optimizer.zero_grad(set_to_none=True)"
    return "its grad was still there: set it to None before the step, with optimizer.zero_grad()"


def _of_an_arrived(leak: Leak) -> str:
    """The same where the grad came on this very step."""
    if leak.grad is GradState.ZERO:
        return (
            "its grad of zeros came on this step, from backward() or a hook: set its .grad to None "
            f"between backward() and step(), or {_APART}"
        )
    return (
        "a gradient reached it on this step: detach what it gives, or set requires_grad=False "
        "before the forward pass, and let its grad be None"
    )
