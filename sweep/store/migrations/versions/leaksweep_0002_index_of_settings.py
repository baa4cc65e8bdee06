"""An index with the trials of a setting side by side, for views and summary tables."""

from __future__ import annotations

from alembic import op

revision = "leaksweep_0002"
down_revision = "leaksweep_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the index; a million trials take some ten seconds."""
    op.create_index(
        "ix_trial_setting",
        "trial",
        [
            "sweep_id",
            "optimizer",
            "lr",
            "weight_decay",
            "momentum",
            "zero_grad",
            "schedule",
            "freeze",
            "workload",
            "steps",
            "options",
            "verdict",
            "diverged",
            "by_history",
            "by_decay",
            "by_gradient",
            "by_intrinsic",
            "despite_none",
            "sideways",
            "max_drift",
            "drift_ratio",
            "seed",
        ],
    )
