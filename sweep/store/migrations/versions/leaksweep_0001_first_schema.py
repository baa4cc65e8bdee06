"""The first schema: environment, sweep, trial and step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "leaksweep_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the four tables."""
    _create_environment()
    _create_sweep()
    _create_trial()
    _create_step()


def _create_environment() -> None:
    op.create_table(
        "environment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("torch", sa.Text(), nullable=False),
        sa.Column("python", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("leaksweep", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_environment"),
        sa.UniqueConstraint(
            "torch",
            "python",
            "platform",
            "device",
            "threads",
            "leaksweep",
            name="uq_environment_torch",
        ),
    )


def _create_sweep() -> None:
    op.create_table(
        "sweep",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweep"),
        sa.UniqueConstraint("name", name="uq_sweep_name"),
    )


def _create_trial() -> None:
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        *_setting_columns(),
        *_measurement_columns(),
        *_cause_columns(),
        sa.Column("initial_loss", sa.Double()),
        sa.Column("final_loss", sa.Double()),
        sa.Column("diverged", sa.Boolean()),
        sa.Column("train_seconds", sa.Double(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trial"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweep.id"], name="fk_trial_sweep_id"),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name="fk_trial_environment_id"
        ),
        sa.UniqueConstraint("sweep_id", "fingerprint", name="uq_trial_sweep_id"),
        sa.CheckConstraint(
            "verdict IN ('leaks', 'holds', 'inert', 'failed')", name=op.f("ck_trial_verdict")
        ),
    )
    op.create_index("ix_trial_sweep_id_verdict", "trial", ["sweep_id", "verdict"])


def _setting_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("optimizer", sa.Text(), nullable=False),
        sa.Column("lr", sa.Double()),
        sa.Column("weight_decay", sa.Double()),
        sa.Column("momentum", sa.Double()),
        sa.Column("zero_grad", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("freeze", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("optimizer_package", sa.Text()),
    ]


def _measurement_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("moved", sa.Boolean()),
        sa.Column("frozen_steps", sa.Integer()),
        sa.Column("leaked_steps", sa.Integer()),
        sa.Column("first_leak_step", sa.Integer()),
        sa.Column("max_drift", sa.Double()),
        sa.Column("total_drift", sa.Double()),
        sa.Column("attached_motion", sa.Double()),
        sa.Column("drift_ratio", sa.Double()),
    ]


def _cause_columns() -> list[sa.Column[object]]:
    names = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none", "sideways")
    return [sa.Column(name, sa.Boolean()) for name in names]


def _create_step() -> None:
    op.create_table(
        "step",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("loss", sa.Double()),
        sa.Column("grad", sa.Text(), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("max_change", sa.Double()),
        sa.PrimaryKeyConstraint("trial_id", "step", name="pk_step"),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trial.id"], name="fk_step_trial_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("grad IN ('none', 'zero', 'nonzero')", name=op.f("ck_step_grad")),
    )
