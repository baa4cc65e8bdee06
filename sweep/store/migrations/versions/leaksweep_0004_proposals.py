"""What a search keeps of how it came to a trial, so that it goes on as if it had not stopped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "leaksweep_0004"
down_revision = "leaksweep_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, null in every row."""
    op.add_column("trial", sa.Column("proposal", sa.Text()))
