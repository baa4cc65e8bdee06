"""How are trials that differ only in their seed trained at once?

As one stack: the weights of all replicates in one tensor, under one real optimizer that treats
each element by itself. The outcomes are those of `sweep.trial.run_trial`, bit for bit.
"""

from __future__ import annotations

from sweep.replicates.groups import grouped

__all__ = ["grouped"]
