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
COST_FIGURE = "figures/cost/cost_by_drift.png"

INTRODUCTION = """\
# Findings

What the reference sweeps show. Each finding has the query behind it; ask the same of a
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

COSTS = """\
## What a leak costs

Each leaking setting of the preset `cost` stands beside its twin that differs in the remedy alone,
over ten seeds of scikit-learn's digits; the score is the accuracy on a fifth of them held out.
`leaksweep table cost` prints the table that these queries ask, and `leaksweep export` writes it as
cost.csv. **Worse** and **better** are said where the 95% interval of the median change leaves 0
out and the p of a paired t-test, corrected by Holm over all comparisons, is below 0.05. Of grads
that are never cleared the twin differs in more than the leak, since the other layers learn from
old gradients, too; the sentences are about zeroed ones.
"""

OF_COSTS = (
    Finding(
        "Most leaks cost nothing that ten seeds can show: of 342 with zeroed grads, 71 end worse "
        "than their twin and 9 better. Of 720 comparisons in all, 507 intervals leave 0 out, and "
        "357 are left after the correction.",
        "cost",
        """
        SELECT zero_grad, count(*) AS comparisons,
               sum(score_high < 0 OR score_low > 0) AS intervals_without_0,
               sum(finding IN ('worse', 'better')) AS corrected, sum(finding = 'worse') AS worse,
               sum(finding = 'better') AS better
        FROM cost GROUP BY 1
        """,
    ),
    Finding(
        "Adam erases what you froze, AdamW does not. At weight decay 0.1 the leak costs under all "
        "six settings of Adam, up to 0.74 of the accuracy; under AdamW none of 30 is worse, at "
        "any decay. SGD is as Adam at 0.1 and loses nothing that can be shown below.",
        "cost",
        """
        SELECT optimizer, weight_decay, count(*) AS settings, sum(finding = 'worse') AS worse,
               sum(finding = 'better') AS better, round(min(score_change), 3) AS largest_loss
        FROM cost WHERE zero_grad = 'zero' AND optimizer IN ('SGD', 'Adam', 'AdamW', 'Muon')
        GROUP BY 1, 2
        """,
    ),
    Finding(
        "The border is between 0.001 and 0.1: up to 0.001 two leaks of 192 are worse, both of them "
        "Muon's; at 0.01 it is 16 of 72, of nine optimizers, and at 0.1 it is 53 of 72.",
        "cost",
        """
        SELECT weight_decay, count(*) AS settings, sum(finding = 'worse') AS worse,
               group_concat(DISTINCT CASE WHEN finding = 'worse' THEN optimizer END) AS of
        FROM cost WHERE zero_grad = 'zero' AND weight_decay IS NOT NULL GROUP BY 1
        """,
    ),
    Finding(
        "At weight decay 0.1 five or six of the six settings of every optimizer are worse, but for "
        "AdamW and Adafactor (none) and Muon (one).",
        "cost",
        """
        SELECT optimizer, count(*) AS settings, sum(finding = 'worse') AS worse,
               round(min(score_change), 3) AS largest_loss
        FROM cost WHERE zero_grad = 'zero' AND weight_decay = 0.1 GROUP BY 1
        """,
    ),
    Finding(
        "History alone costs almost nothing: of 48 leaks by it, one is worse (Muon) and three are "
        "better.",
        "cost",
        """
        SELECT causes, count(*) AS settings, sum(finding = 'worse') AS worse,
               sum(finding = 'better') AS better
        FROM cost WHERE zero_grad = 'zero' GROUP BY 1
        """,
    ),
    Finding(
        "A layer that moves less than half of its own norm in all costs almost nothing: 2 of 99 "
        "are worse, against 69 of 243 that move farther.",
        "cost",
        """
        SELECT relative_drift < 0.5 AS below_half, count(*) AS settings,
               sum(finding = 'worse') AS worse
        FROM cost WHERE zero_grad = 'zero' GROUP BY 1
        """,
    ),
)


def page() -> str:
    """The whole page in Markdown."""
    findings = (*FINDINGS, *OF_COSTS)
    databases = {preset: database(preset) for preset in dict.fromkeys(f.preset for f in findings)}
    parts = [INTRODUCTION]
    for number, finding in enumerate(findings, 1):
        if finding is OF_COSTS[0]:
            parts += [COSTS]
        answer = databases[finding.preset].execute(finding.query)
        query = textwrap.dedent(finding.query).strip()
        parts += [
            f"**{number}.** {finding.says} (`{finding.preset}`)\n",
            f"```sql\n{query}\n```\n",
            table([column[0] for column in answer.description], answer.fetchall()),
        ]
    figure = f"![Change of score against drift]({COST_FIGURE})\n"
    return "\n".join([*parts, figure, "## Beyond the grids\n", BEYOND_THE_GRIDS])


def database(preset: str) -> sqlite3.Connection:
    """The preset's trials in a table `trial`, and what its leaks cost in a table `cost`."""
    trials = pd.read_csv(REFERENCE / preset / "trials.csv.gz")
    flags = [column for column in trials if {*trials[column].dropna().unique()} <= {True, False}]
    trials[flags] = trials[flags].astype("Int64")
    connection = sqlite3.connect(":memory:")
    trials.to_sql("trial", connection, index=False)
    if (costs := REFERENCE / preset / "cost.csv").is_file():
        pd.read_csv(costs).to_sql("cost", connection, index=False)
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
