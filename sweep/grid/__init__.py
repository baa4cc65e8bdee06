"""Which trials does a spec come to? Its settings, counted and enumerated, none twice.

`box` is the arithmetic of products, `plan` turns a spec into products and says what is left
out, `union` is the grid that others iterate, compare and record.
"""

from sweep.grid.plan import Omission, refusal
from sweep.grid.union import MAX_TRIALS, Grid

__all__ = ["MAX_TRIALS", "Grid", "Omission", "refusal"]
