"""The tables, as typed models. Names and meanings here are a public contract.

What a table means is its class's docstring, and what a column means is its ``doc``; that is
the only place, and `sweep.store.describe` reads it. NaN is stored as null, infinity as
infinity, times are UTC, JSON is canonical text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from sweep.values.axes import AxisFacts
from sweep.values.setting import AXIS_FACTS
from sweep.values.words import GradState, Verdict


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, in UTC whatever the database keeps: SQLite has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """What its values are in Python."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time as UTC. Raises ValueError for one without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time without a time zone: {value!r}; use datetime.now(UTC).")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time with its zone back on."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The root of the models: names of constraints, and which type stands for which."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {float: Double(), str: Text(), datetime: UtcDateTime()}  # noqa: RUF012


def _column(doc: str, *args: Any) -> MappedColumn[Any]:
    return mapped_column(*args, doc=doc)


def _axis_column(facts: AxisFacts) -> MappedColumn[Any]:
    numbers: dict[type, TypeEngine[Any]] = {float: Double(), int: Integer()}
    meaning = f"{facts.meaning[0].upper()}{facts.meaning[1:]}."
    return mapped_column(numbers.get(facts.kind, Text()), nullable=facts.nullable, doc=meaning)


def _one_of(column: str, values: type[Verdict] | type[GradState]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class EnvironmentRow(Base):
    """What decides bits besides the setting; trials that ran in the same one share its row.

    A column is null where the row was written by a version that did not record it.
    """

    __tablename__ = "environment"
    __table_args__ = (
        UniqueConstraint(
            *("torch", "python", "device", "threads", "leaksweep"),
            *("system", "machine", "cpu", "cpu_capability", "blas", "blas_mode"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, doc="What trials refer to.")
    torch: Mapped[str] = _column("Version of torch.")
    python: Mapped[str] = _column("Version of Python.")
    device: Mapped[str] = _column("Where the trial trained: cpu, or the GPU's name.")
    threads: Mapped[int] = _column("Threads that torch used in one trial.")
    leaksweep: Mapped[str] = _column("Version of leaksweep.")
    system: Mapped[str | None] = _column("Operating system and its C library, not its build.")
    machine: Mapped[str | None] = _column("The processor's architecture.")
    cpu: Mapped[str | None] = _column("The processor's model.")
    cpu_capability: Mapped[str | None] = _column("Widest instructions that torch uses on it.")
    blas: Mapped[str | None] = _column("Library that multiplies matrices, with its version.")
    blas_mode: Mapped[str | None] = _column(
        "Variables that choose the library's instructions, as MKL_CBWR=...; default if none."
    )


class SweepRow(Base):
    """A named grid, with the trials run for it."""

    __tablename__ = "sweep"

    id: Mapped[int] = mapped_column(primary_key=True, doc="What trials refer to.")
    name: Mapped[str] = mapped_column(unique=True, doc="The name that commands know it by.")
    spec: Mapped[str] = _column("The grid, as canonical JSON.")
    planned: Mapped[int] = _column("Number of trials that the grid has.")
    created_at: Mapped[datetime] = _column("When it was first recorded (UTC).")


class TrialRow(Base):
    """One finished training run of one setting. What is not here is still to be run."""

    __tablename__ = "trial"
    __table_args__ = (
        UniqueConstraint("sweep_id", "fingerprint"),
        _one_of("verdict", Verdict),
        Index("ix_trial_sweep_id_verdict", "sweep_id", "verdict"),
        # The trials of a setting side by side, with all that views and summary tables count:
        # they read this index from end to end, in place of a table four times its size.
        Index(
            "ix_trial_setting",
            *("sweep_id", "optimizer", "lr", "weight_decay", "momentum", "zero_grad"),
            *("schedule", "freeze", "workload", "steps", "options", "verdict", "diverged"),
            *("causes", "by_history", "by_decay", "by_gradient", "by_intrinsic"),
            *("despite_none", "sideways", "max_drift", "drift_ratio", "seed"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, doc="What `leaksweep why` takes.")
    sweep_id: Mapped[int] = _column("The sweep it was run for.", ForeignKey("sweep.id"))
    environment_id: Mapped[int] = _column("Where it ran.", ForeignKey("environment.id"))
    fingerprint: Mapped[str] = _column("Hash of everything that decides the outcome.")
    workload: Mapped[str] = _column("The model, its data and its loss.")
    steps: Mapped[int] = _column("Number of training steps.")
    for _facts in AXIS_FACTS:
        locals()[_facts.axis.value] = _axis_column(_facts)
    options: Mapped[str] = _column("Other constructor arguments, as canonical JSON.")
    optimizer_package: Mapped[str | None] = _column("Library and version of the optimizer.")
    verdict: Mapped[str] = _column("leaks, holds, inert (proves nothing) or failed.")
    moved: Mapped[bool | None] = _column(
        "Whether the layer's bits changed on a frozen step; null if the trial failed."
    )
    frozen_steps: Mapped[int | None] = _column("Steps on which the schedule froze the layer.")
    leaked_steps: Mapped[int | None] = _column("Frozen steps on which it moved.")
    first_leak_step: Mapped[int | None] = _column("The first of them, counting from 0.")
    max_drift: Mapped[float | None] = _column(
        "Largest absolute change of any element on any frozen step."
    )
    total_drift: Mapped[float | None] = _column(
        "Sum over frozen steps of the L2 norm of the change."
    )
    attached_motion: Mapped[float | None] = _column("The same sum over attached steps.")
    drift_ratio: Mapped[float | None] = _column("total_drift / attached_motion; null if that is 0.")
    by_history: Mapped[bool | None] = _column("The optimizer's state is in one of the sets.")
    by_decay: Mapped[bool | None] = _column("Weight decay is in one of the sets.")
    by_gradient: Mapped[bool | None] = _column("The gradient as it stands is in one of the sets.")
    by_intrinsic: Mapped[bool | None] = _column("It moves with every source switched off.")
    despite_none: Mapped[bool | None] = _column("It moves although its grad is None.")
    sideways: Mapped[bool | None] = _column(
        "The frozen layer's grad changes how the other parameters move."
    )
    initial_loss: Mapped[float | None] = _column("Loss of the first forward pass.")
    final_loss: Mapped[float | None] = _column("Loss of the last forward pass.")
    diverged: Mapped[bool | None] = _column("A loss or a parameter became non-finite.")
    train_seconds: Mapped[float] = _column("Seconds that the trial took.")
    error: Mapped[str | None] = _column("What it raised, if it failed.")
    finished_at: Mapped[datetime] = _column("When it finished (UTC).")
    causes: Mapped[str | None] = _column(
        "The smallest sets of sources that move it at the first leak, such as 'decay, history' "
        "(each alone) or 'history+decay' (only together); null where they were not found."
    )
    unexplained: Mapped[str | None] = _column("Why the causes of a leak were not found.")
    score: Mapped[float | None] = _column(
        "Of the trained model on held-out data; larger is better, null without one."
    )
    frozen_norm: Mapped[float | None] = _column(
        "L2 norm of the layer at the start of its first frozen step."
    )
    proposal: Mapped[str | None] = _column(
        "What a search keeps of how it came to the trial, as JSON; null in any other sweep."
    )


class StepRow(Base):
    """One step of a trial that ran with --trace."""

    __tablename__ = "step"
    __table_args__ = (_one_of("grad", GradState),)

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True, doc="The trial."
    )
    step: Mapped[int] = mapped_column(primary_key=True, doc="The step, counting from 0.")
    frozen: Mapped[bool] = _column("Whether the schedule froze the layer on it.")
    loss: Mapped[float | None] = _column("The loss of its forward pass.")
    grad: Mapped[str] = _column("What the optimizer found in .grad: none, zero or nonzero.")
    moved: Mapped[bool] = _column("Whether the layer's bits changed.")
    max_change: Mapped[float | None] = _column("Largest absolute change of any element.")
    score: Mapped[float | None] = _column("The model's score after it, on every tenth step.")


TABLES: tuple[type[Base], ...] = (SweepRow, TrialRow, StepRow, EnvironmentRow)
"""Every table, in the order in which a reader needs them."""
