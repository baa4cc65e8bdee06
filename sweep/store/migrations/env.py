"""Alembic's entry: runs the revisions on the connection that `sweep.store.migrate` gives it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from sweep.store import revision
from sweep.store.models import Base
from sweep.store.views import create_statements, drop_statements


def run(connection: Connection) -> None:
    """Runs what is asked for inside the connection's own transaction, and remakes the views."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    for statement in drop_statements():  # a table under a view cannot be changed
        connection.execute(text(statement))
    context.run_migrations()
    if context.get_context().get_current_revision() == revision.HEAD:
        for statement in create_statements():
            connection.execute(text(statement))


if __name__ == "env_py":  # what Alembic calls it; a tool that only imports it runs nothing
    run(context.config.attributes["connection"])
