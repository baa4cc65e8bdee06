"""`leaksweep why`: what moved the layer, or keeps it still, and what would change that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import argument
from sweep.cli.options import DEFAULT_DB, AllowImport, Db, Steps, WorkloadName
from sweep.cli.screen import print_paragraph, print_table, say
from sweep.errors import MisuseError
from sweep.values.words import Axis, GradState, Verdict

if TYPE_CHECKING:
    from sweep.explain.derive import Explanation, ReplayedStep
    from sweep.verifying.recorded_trial import RecordedTrial


def why(
    what: Annotated[
        list[str],
        argument(
            "TRIAL_ID | AXIS=VALUE...",
            "A trial in the database, or a setting; an axis left out has its default.",
            offers=completion.assignments,
        ),
    ],
    db: Db = DEFAULT_DB,
    workload: WorkloadName = None,
    steps: Steps = None,
    allow_import: AllowImport = False,
) -> None:
    """Say why a setting leaks or holds: each source's share, and what would change it.

    The first leaking step is replayed from the same bits with each subset of its sources. The
    causes are the smallest that move the layer: decay, history (each alone), or history+decay
    (only together). A share is the L2 norm of that movement over that of the step as it was.
    Sources strengthen or oppose each other, so shares need not add up to 100%. Each remedy
    named was run.

    Example: leaksweep why optimizer=Adam lr=1 weight_decay=0.5 zero_grad=zero
    """
    from sweep.explain.asked import asked_trial
    from sweep.verifying.recorded_trial import trial_again
    from sweep.verifying.trial_sources import recorded_trial

    recorded = None
    if len(what) == 1 and what[0].isdecimal():
        if workload is not None or steps is not None:
            raise MisuseError(
                "A recorded trial has its own workload and steps; leave out --workload and "
                "--steps, or give the setting as AXIS=VALUE."
            )
        recorded = recorded_trial(db, int(what[0]))
        planned = trial_again(recorded, allow_import=allow_import)
    else:
        planned = asked_trial(what, workload=workload, steps=steps)
    say("Training it, and the same with one axis changed at a time...")
    from sweep.explain.derive import explain  # torch comes with it: what is wrong is said before

    explanation = explain(planned)
    _print(explanation)
    if recorded is not None:
        _print_agreement(recorded, explanation)


def _print(explanation: Explanation) -> None:
    from sweep.explain.prose import in_words

    planned, replayed = explanation.planned, explanation.replayed
    pairs = [(axis, getattr(planned.setting, axis)) for axis in Axis]
    numbers = ((axis, str(value).removesuffix(".0")) for axis, value in pairs if value is not None)
    print_paragraph(" ".join(f"{axis}={value}" for axis, value in numbers))
    options = "" if planned.options == "{}" else f", options {planned.options}"
    print_paragraph(f"workload {planned.workload}, {planned.steps} steps{options}")
    typer.echo()
    print_paragraph(_headline(explanation))
    if replayed is not None and replayed.whole.moved:
        _print_shares(replayed)
    typer.echo()
    for paragraph in in_words(explanation):
        print_paragraph(paragraph)


def _headline(explanation: Explanation) -> str:
    """The verdict, on how many steps, and the grad that the first leak met."""
    verdict, seen = explanation.outcome.verdict, explanation.outcome.measurement
    if seen is None or verdict is Verdict.INERT:
        return f"{verdict}."
    layer = ", ".join(explanation.layer)
    if verdict is Verdict.HOLDS:
        return f"{verdict}: {layer} moved on none of {seen.frozen_steps} frozen steps."
    replayed = explanation.replayed
    grad = "" if replayed is None else f", where its grad was {_grad(replayed)}"
    causes = explanation.outcome.causes
    return (
        f"{verdict}: {layer} moved on {seen.leaked_steps} of {seen.frozen_steps} frozen steps, "
        f"first on step {seen.first_leak_step}{grad}. "
        f"Causes: {'not found' if causes is None else causes.sets}."
    )


def _grad(replayed: ReplayedStep) -> str:
    if replayed.grad is GradState.NONZERO:
        return f"nonzero ({'stale' if replayed.stale else 'fresh'})"
    return {GradState.NONE: "None", GradState.ZERO: "zero"}[replayed.grad]


def _print_shares(replayed: ReplayedStep) -> None:
    moved, title = replayed.movements, f"Step {replayed.step}"
    if moved is None:
        return
    rows = replayed.by_themselves
    if replayed.supposed:
        title += ", had the grad been zeros"
        rows["all"] = moved.whole
    else:
        rows["all, as it was"] = moved.whole
        rows["all, with the grad set to None"] = moved.without_grad
    cells = []
    for name, change in rows.items():
        share = replayed.share(change)
        size = f"{change.max_change:.3g}" if change.moved else "0"
        cells.append((name, size, "" if math.isnan(share) else f"{share:.0%}"))
    print_table(
        ("source", "largest change", "share"),
        cells,
        title=title,
        numeric=frozenset({1, 2}),
    )


def _print_agreement(recorded: RecordedTrial, explanation: Explanation) -> None:
    from sweep.verifying.comparison import compare

    compared = compare(recorded, explanation.outcome)
    there, first = recorded.columns["verdict"], recorded.columns["first_leak_step"]
    if first is not None:
        there = f"{there} from step {first} on"
    differs = any(each.column in ("verdict", "first_leak_step") for each in compared.bits)
    changed = [f"{e.column} {e.recorded} there, {e.now} here" for e in compared.elsewhere]
    environment = "; ".join(changed) or "the environment is the same"
    print_paragraph(
        f"Recorded: {there}. This run {'differs' if differs else 'agrees'}; {environment}."
    )
