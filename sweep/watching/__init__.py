"""Which parameters does the optimizer move in a user's own training loop, and why?

`watch` is all of it; the modules are its parts.
"""

from sweep.watching.session import Watch, watch

__all__ = ["Watch", "watch"]
