"""What to do about a leak: advice that follows from the cause, and was rehearsed."""

from __future__ import annotations

from enum import StrEnum


class Remedy(StrEnum):
    """What was rehearsed and keeps a parameter still, simplest first."""

    NONE = "none"  # its grad is None
    NO_DECAY = "no_decay"  # its group has no weight decay
    CLEAR_STATE = "clear_state"  # what the optimizer keeps for it is zeros
    CLEAR_STATE_NO_DECAY = "clear_state_no_decay"
