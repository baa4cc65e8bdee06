"""Causes as sets, scores and norms; an environment that says what decides bits."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "leaksweep_0003"
down_revision = "leaksweep_0002"
branch_labels = None
depends_on = None

_PLATFORMS = (
    r"(?P<system>Linux)-.*-(?P<machine>\w+)-with-(?P<libc>[a-z]+)(?P<release>[\d.]+)",
    r"(?P<system>macOS)-(?P<release>[\d.]+)-(?P<machine>\w+)-\S+",
    r"(?P<system>Windows)-(?P<release>\w+)-\S+",
)
_NEW = ("system", "machine", "cpu", "cpu_capability", "blas", "blas_mode")
_SAYING = ("torch", "python", "device", "threads", "leaksweep", *_NEW)


def upgrade() -> None:
    """Adds the columns, and takes the old platform apart; a million trials take some seconds."""
    _extend_trial()
    _extend_environment()


def _extend_trial() -> None:
    op.add_column("trial", sa.Column("causes", sa.Text()))
    op.add_column("trial", sa.Column("unexplained", sa.Text()))
    op.add_column("trial", sa.Column("score", sa.Double()))
    op.add_column("trial", sa.Column("frozen_norm", sa.Double()))
    op.drop_index("ix_trial_setting", "trial")
    op.create_index(
        "ix_trial_setting",
        "trial",
        [
            *("sweep_id", "optimizer", "lr", "weight_decay", "momentum", "zero_grad"),
            *("schedule", "freeze", "workload", "steps", "options", "verdict", "diverged"),
            *("causes", "by_history", "by_decay", "by_gradient", "by_intrinsic"),
            *("despite_none", "sideways", "max_drift", "drift_ratio", "seed"),
        ],
    )


def _extend_environment() -> None:
    """What an old row cannot say stays null: the processor's model, and its BLAS."""
    with op.batch_alter_table("environment") as environment:
        for name in _NEW:
            environment.add_column(sa.Column(name, sa.Text()))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, platform FROM environment")).all()
    for number, platform in rows:
        connection.execute(
            sa.text(
                "UPDATE environment SET system = :system, machine = :machine, "
                "cpu_capability = :cpu_capability WHERE id = :id"
            ),
            {"id": number, **_taken_apart(platform)},
        )
    with op.batch_alter_table("environment") as environment:
        environment.drop_constraint("uq_environment_torch", type_="unique")
        environment.drop_column("platform")
        environment.create_unique_constraint("uq_environment_torch", _SAYING)


def _taken_apart(platform: str) -> dict[str, str | None]:
    """System, architecture and CPU capability of an old row; None where it is not of ours."""
    for pattern in _PLATFORMS:
        match = re.fullmatch(rf"{pattern} (?P<capability>.+)", str(platform))
        if match is not None:
            said = match.groupdict()
            system = " ".join(filter(None, (said["system"], said.get("libc"), said["release"])))
            return {
                "system": system,
                "machine": said.get("machine"),
                "cpu_capability": said["capability"],
            }
    return dict.fromkeys(("system", "machine", "cpu_capability"))
