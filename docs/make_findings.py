"""Makes docs/findings.md: what the reference sweeps show, each sentence with its query.

    python docs/make_findings.py

The sentences are written here by hand; what stands under each is what its query answers
from results/reference/PRESET/trials.csv.gz, whose columns are those of the table `trial`.
"""

from __future__ import annotations

import sqlite3
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
REFERENCE = DOCS.parent / "results" / "reference"
PAGE = DOCS / "findings.md"

INTRODUCTION = """\
# Findings

What the three reference sweeps show. Each finding has the query behind it; ask the same of a
sweep of your own with `leaksweep sql`. The sweeps' tables, commands and environment are in
[results/reference](../results/reference). Made by `make docs`.
"""


BEYOND_THE_GRIDS = """\
**Between the grid's values.** A leak smaller than half a unit in the last place moves no bit:
under SGD with zeroed grads, weight decay begins to leak where lr x weight_decay reaches 2^-25, and
Adam's momentum where beta1 does. [search.md](search.md#edges) has both sides of each edge, to a
millionth, and the commands that find them.

![Drift of SGD along weight decay, with the edge](figures/search/edge_weight_decay.png)

**In the wild.** Lightning 2.6.6's `StochasticWeightAveraging` does not leave the average of a
model with BatchNorm. After the averaged weights were copied into the module, one pass without
backward measures the statistics of BatchNorm, and on its last batch Lightning calls
`optimizer.step()` on the grads that the last training step left: a leak by a stale gradient, of
about a training step's length. `python examples/swa_batchnorm.py` shows it, with neither `watch`
nor a network. Without BatchNorm there is no such pass, and what is left is the average to the last
rounding. So it is with `module.zero_grad()` in `on_train_epoch_start`, of the module or of a
callback: [examples/swa_batchnorm.py](../examples/swa_batchnorm.py) has it as `ClearGrads`. (An
error under mixed precision, [Lightning's issue
17245](https://github.com/Lightning-AI/pytorch-lightning/issues/17245), looks like the same step;
we have not run that.)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence, the preset it is about, and the query that it was read from."""

    says: str
    preset: str
    query: str


FINDINGS = (
    Finding(
        "With grads set to None, a detached layer keeps still under every dense optimizer of "
        "torch.optim but LBFGS, which reads None as zero.",
        "full",
        """
        SELECT optimizer, count(*) AS trials, sum(moved) AS leaks FROM trial
        WHERE zero_grad = 'none' GROUP BY optimizer HAVING leaks > 0
        """,
    ),
    Finding(
        "With grads zeroed, and neither momentum nor weight decay, two more move it: ASGD by a "
        "term of its own, and LBFGS again.",
        "full",
        """
        SELECT optimizer, count(*) AS trials, sum(moved) AS leaks FROM trial
        WHERE zero_grad = 'zero' AND coalesce(momentum, 0) = 0 AND coalesce(weight_decay, 0) = 0
        GROUP BY optimizer HAVING leaks > 0
        """,
    ),
    Finding(
        "With grads zeroed, momentum or weight decay makes every optimizer that has it leak; "
        "only the second moment, and Rprop, move nothing.",
        "full",
        """
        SELECT optimizer, momentum > 0 AS momentum, weight_decay > 0 AS decay,
               count(*) AS trials, sum(moved) AS leaks
        FROM trial WHERE zero_grad = 'zero' AND schedule = 'alternate' GROUP BY 1, 2, 3
        """,
    ),
    Finding(
        "Grads that are never cleared leak everywhere: the stale gradient is a cause in all of "
        "these trials.",
        "full",
        """
        SELECT count(*) AS trials, sum(moved) AS leaks, sum(by_gradient) AS by_gradient
        FROM trial WHERE zero_grad = 'never' AND schedule = 'alternate'
        """,
    ),
    Finding(
        "A layer detached on every step never gets a grad, and nothing moves it, weight decay "
        "included, save where training itself breaks down: on stale grads at learning rate 1 "
        "LBFGS diverges, and the step that turns into NaN takes the layer along.",
        "full",
        """
        SELECT zero_grad, count(*) AS trials, sum(moved) AS leaks,
               sum(moved AND diverged AND leaked_steps = 1 AND optimizer = 'LBFGS') AS by_nan
        FROM trial WHERE schedule = 'always' GROUP BY zero_grad
        """,
    ),
    Finding(
        "Seeds agree: no setting leaks with one seed and holds with another.",
        "full",
        """
        SELECT count(*) AS settings, sum(most > least) AS disagreeing FROM (
            SELECT max(moved) AS most, min(moved) AS least FROM trial WHERE verdict != 'failed'
            GROUP BY optimizer, lr, weight_decay, momentum, zero_grad, schedule)
        """,
    ),
    Finding(
        "no_grad and requires_grad = False are no remedy: they leak exactly where detach does.",
        "remedies",
        """
        SELECT other.freeze, count(*) AS pairs, sum(other.moved != trial.moved) AS different
        FROM trial JOIN trial AS other USING (optimizer, zero_grad, schedule, seed)
        WHERE trial.freeze = 'detach' AND other.freeze IN ('no_grad', 'requires_grad')
          AND other.weight_decay IS trial.weight_decay AND other.momentum IS trial.momentum
        GROUP BY 1
        """,
    ),
    Finding(
        "An optimizer of its own, not stepped on frozen steps, holds in every setting; setting "
        "the layer's grad to None just before the step holds for all but LBFGS; a learning rate "
        "of zero holds for all but ASGD and Rprop, which keep a step size of their own.",
        "remedies",
        """
        SELECT freeze, count(*) AS trials, sum(moved) AS leaks,
               group_concat(DISTINCT CASE WHEN moved THEN optimizer END) AS leaking
        FROM trial WHERE freeze IN ('own_optimizer', 'grad_none', 'lr_zero') GROUP BY freeze
        """,
    ),
    Finding(
        "Of everything that can be built here, these move a parameter whose grad is None.",
        "atlas",
        """
        SELECT optimizer, optimizer_package AS package FROM trial
        WHERE zero_grad = 'none' AND despite_none GROUP BY 1, 2
        """,
    ),
    Finding(
        "With grads zeroed, most optimizers move a layer that got no gradient: 130 of the 205 "
        "that run without weight decay, 150 of 189 with it.",
        "atlas",
        """
        SELECT coalesce(weight_decay, 0) AS weight_decay, count(*) AS optimizers,
               sum(moved) AS leak, sum(verdict = 'holds') AS hold, sum(verdict = 'failed') AS fail
        FROM trial WHERE zero_grad = 'zero' GROUP BY 1
        """,
    ),
    Finding(
        "By collection, without weight decay: heavyball's optimizers set grads to None inside "
        "`step`, and hold.",
        "atlas",
        """
        SELECT optimizer_package AS package, count(*) AS optimizers, sum(moved) AS leak
        FROM trial WHERE zero_grad = 'zero' AND coalesce(weight_decay, 0) = 0 GROUP BY 1
        """,
    ),
    Finding(
        "Under these the layer's zeros change how the other parameters move: a global step "
        "size, a norm over all parameters, or a random stream that they share.",
        "atlas",
        """
        SELECT group_concat(DISTINCT optimizer) AS optimizers FROM trial
        WHERE zero_grad = 'zero' AND sideways
        """,
    ),
    Finding(
        "What failed, and why: methods that differentiate twice find no graph behind a grad "
        "that was zeroed or is stale.",
        "atlas",
        """
        SELECT optimizer, zero_grad, substr(error, 1, 60) AS error, count(*) AS trials
        FROM trial WHERE verdict = 'failed' GROUP BY 1, 2, 3
        """,
    ),
)


def page() -> str:
    """The whole page in Markdown."""
    databases = {preset: database(preset) for preset in dict.fromkeys(f.preset for f in FINDINGS)}
    parts = [INTRODUCTION]
    for number, finding in enumerate(FINDINGS, 1):
        answer = databases[finding.preset].execute(finding.query)
        query = textwrap.dedent(finding.query).strip()
        parts += [
            f"**{number}.** {finding.says} (`{finding.preset}`)\n",
            f"```sql\n{query}\n```\n",
            table([column[0] for column in answer.description], answer.fetchall()),
        ]
    return "\n".join([*parts, BEYOND_THE_GRIDS])


def database(preset: str) -> sqlite3.Connection:
    """A database in memory with the preset's trials in a table `trial`."""
    trials = pd.read_csv(REFERENCE / preset / "trials.csv.gz")
    flags = [column for column in trials if {*trials[column].dropna().unique()} <= {True, False}]
    trials[flags] = trials[flags].astype("Int64")
    connection = sqlite3.connect(":memory:")
    trials.to_sql("trial", connection, index=False)
    return connection


def table(columns: list[str], rows: list[tuple[object, ...]]) -> str:
    """``rows`` as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(text, line))} |\n" for line in lines)


def text(cell: object) -> str:
    """A cell in Markdown; null is empty."""
    return "" if cell is None else str(cell).replace("|", "\\|").replace(",", ", ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
