"""Alembic's entry: does what `sweep.store.migrate` gives it to do.

Alembic loads this file by itself; the rest of the program is not imported from here.
"""

from __future__ import annotations

from alembic import context

if __name__ == "env_py":  # what Alembic calls it; a tool that only imports it runs nothing
    context.config.attributes["run"]()
