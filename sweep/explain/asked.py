"""The one trial that ``AXIS=VALUE`` words on a command line ask for."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.errors import MisuseError, SpecError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import with_overrides
from sweep.values.setting import PlannedTrial
from sweep.values.words import Axis

_WHERE = "why"
"""What messages name as the place of a mistake."""


def asked_trial(
    assignments: Sequence[str], *, workload: str | None = None, steps: int | None = None
) -> PlannedTrial:
    """The trial of the setting that ``assignments`` name, checked as a spec of one point is.

    An axis left out has its default. Raises SpecError for what a spec would not take, and
    MisuseError where an axis is left with several values, with the choices.
    """
    named = {each.partition("=")[0].strip() for each in assignments if "=" in each}
    if Axis.OPTIMIZER not in named and named <= set(Axis):
        raise MisuseError(
            f"A setting needs at least optimizer=NAME; {' '.join(assignments)!r} came. Such as: "
            f"leaksweep why optimizer=Adam zero_grad=zero"
        )
    bare = Spec.checked({"name": _WHERE, "grid": [{"optimizer": ["SGD"]}]}, _WHERE)
    try:
        spec = with_overrides(bare, set=assignments, workload=workload, steps=steps)
    except SpecError as error:
        where = _WHERE if error.where == "--set" else error.where
        raise SpecError(error.message, where=where, key=error.key) from error
    grid = Grid(spec)
    for axis, values in grid.counts().items():
        if len(values) > 1:
            choices = [str(value) for value in values]
            raise MisuseError(
                f"why explains one setting, and {axis} could be {', '.join(choices)}. "
                f"Name one, such as {axis}={choices[0]}."
            )
    return next(iter(grid))
