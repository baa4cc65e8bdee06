"""What the model of a traced trial was worth while it trained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "leaksweep_0005"
down_revision = "leaksweep_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, null in every row."""
    op.add_column("step", sa.Column("score", sa.Double()))
