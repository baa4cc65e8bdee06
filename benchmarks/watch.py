"""What `watch` costs where it could hurt: much that is frozen, many tensors, many leaking rows.

    python benchmarks/watch.py [--before COMMIT] [--steps 12] [--threads 1] [--quick] [--write]

Two equal loops take turns, a step each, one of them under watch from its first step to its last.
Medians are told, and the first steps apart, on which causes are looked for. Seconds are the
process's own CPU time, so that others on the machine do not count. Each measurement is made in a
process of its own.

`--before` measures an earlier commit by the same script, and puts both beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from write_page import markdown, write_table

from sweep import watch

ROOT = Path(__file__).parents[1]
Numbers = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        width, blocks, words: of the transformer, of which all but the last block is frozen.
        tensors: parameters of 64 elements each, of which nine in ten are frozen.
        rows: rows of the embedding, all but ten of which leak.
        wide: its columns, in the second measurement; two in the first.
    """

    width: int
    blocks: int
    words: int
    tensors: int
    rows: int
    wide: int


FULL = Sizes(width=768, blocks=13, words=4000, tensors=6000, rows=49_408, wide=768)
QUICK = Sizes(width=32, blocks=10, words=50, tensors=60, rows=200, wide=4)
BATCH, LENGTH, ELEMENTS, USED = 4, 32, 64, 10


class Transformer(nn.Module):
    """A language model of which the embedding and all but the last block require no gradient."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.words, sizes.width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                sizes.width, 8, 4 * sizes.width, dropout=0.0, batch_first=True
            )
            for _ in range(sizes.blocks)
        )
        self.head = nn.Linear(sizes.width, sizes.words)
        for part in (self.embedding, *self.blocks[:-1]):
            part.requires_grad_(False)

    def forward(self, words: Tensor) -> Tensor:
        """The loss of predicting each word from itself; ``words`` are (batch, length)."""
        hidden = self.embedding(words)
        for block in self.blocks:
            hidden = block(hidden)
        return nn.functional.cross_entropy(self.head(hidden).flatten(0, 1), words.flatten())


@dataclass
class Loop:
    """A model, its optimizer and its loss; ``cleared`` says to what grads are cleared."""

    model: nn.Module
    loss: Callable[[], Tensor]
    cleared: bool = True

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self) -> None:
        """One training step."""
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=self.cleared)

    def seconds(self) -> float:
        """Takes a step and says how long it took."""
        started = time.process_time()
        self.step()
        return time.process_time() - started


def taking_turns(build: Callable[[], Loop], steps: int, **options: Any) -> Numbers:
    """Seconds of a step, of one under watch, and of the first of each; what the watch holds."""
    plain, watched = build(), build()
    tensors = len(list(watched.model.parameters()))
    with watch(watched.model, watched.optimizer, **options) as leaks:
        first, first_watched = plain.seconds(), watched.seconds()
        turns = [(plain.seconds(), watched.seconds()) for _ in range(steps)]
        held = leaks.held_bytes
    return {
        "step": statistics.median(turn[0] for turn in turns),
        "watched": statistics.median(turn[1] for turn in turns),
        "first": first,
        "first watched": first_watched,
        "held": held / tensors,
    }


def frozen(sizes: Sizes, steps: int) -> Numbers:
    """Much that is frozen and held by the optimizer; its grads are None and nothing leaks."""

    def build() -> Loop:
        torch.manual_seed(0)
        model = Transformer(sizes)
        words = torch.randint(sizes.words, (BATCH, LENGTH))
        return Loop(model, lambda: model(words))

    return taking_turns(build, steps)


def _tensors(sizes: Sizes, steps: int, *, zeros: bool) -> Numbers:
    def build() -> Loop:
        torch.manual_seed(0)
        model = nn.ParameterList(torch.randn(ELEMENTS) for _ in range(sizes.tensors))
        trained = list(model)[: sizes.tensors // 10]
        for parameter in list(model)[len(trained) :]:
            parameter.requires_grad_(False)
            parameter.grad = torch.zeros_like(parameter) if zeros else None
        return Loop(model, lambda: torch.cat(trained).square().sum(), cleared=not zeros)

    return taking_turns(build, steps)


def small(sizes: Sizes, steps: int) -> Numbers:
    """Many small tensors, nine in ten frozen with grads of None."""
    return _tensors(sizes, steps, zeros=False)


def leaking(sizes: Sizes, steps: int) -> Numbers:
    """The same with grads of zeros: all that is frozen leaks."""
    return _tensors(sizes, steps, zeros=True)


def _rows(sizes: Sizes, steps: int, wide: int) -> Numbers:
    def build() -> Loop:
        torch.manual_seed(0)
        embedding = nn.Embedding(sizes.rows, wide)
        words = torch.arange(USED)
        return Loop(embedding, lambda: embedding(words).square().sum())

    return taking_turns(build, steps, granularity="row") | {"kept": _kept(build(), steps)}


def _kept(loop: Loop, steps: int) -> float:
    """Bytes that a watch by row keeps for good, a step."""
    with watch(loop.model, loop.optimizer, granularity="row", causes=False):
        for _ in range(steps):
            loop.step()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(steps):
            loop.step()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return (after - before) / steps


def narrow_rows(sizes: Sizes, steps: int) -> Numbers:
    """By row, where almost all rows leak, and a row has two elements."""
    return _rows(sizes, steps, 2)


def wide_rows(sizes: Sizes, steps: int) -> Numbers:
    """The same where a row is as wide as a text encoder's."""
    return _rows(sizes, steps, sizes.wide)


def lightning(sizes: Sizes, steps: int) -> Numbers:
    """A step of Lightning's, which always has a closure; fits with and without take turns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightning.pytorch as pl
        from torch.utils.data import DataLoader

        from sweep.integrations.lightning import WatchLeaks

        class Module(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                self.net = Transformer(sizes)

            def training_step(self, words: Tensor, index: int) -> Tensor:
                return self.net(words)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters(), lr=1e-4)

        class Clock(pl.Callback):
            def __init__(self) -> None:
                self.seconds: list[float] = []

            def on_train_batch_start(self, *_: object) -> None:
                self.started = time.process_time()

            def on_train_batch_end(self, *_: object) -> None:
                self.seconds.append(time.process_time() - self.started)

        data = DataLoader(torch.randint(sizes.words, (BATCH * steps, LENGTH)), batch_size=BATCH)
        times: dict[bool, list[float]] = {False: [], True: []}
        for watched in (False, True) * 3:
            clock = Clock()
            trainer = pl.Trainer(
                max_epochs=1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[clock, WatchLeaks()] if watched else [clock],
            )
            trainer.fit(Module(), data)
            times[watched] += clock.seconds[1:]
    return {"step": statistics.median(times[False]), "watched": statistics.median(times[True])}


MEASUREMENTS = {
    each.__name__: each for each in (frozen, small, leaking, narrow_rows, wide_rows, lightning)
}


def _step(found: Numbers) -> str:
    return f"{1000 * found['step']:.1f} ms"


def _under_watch(found: Numbers) -> str:
    return f"{1000 * found['watched']:.1f} ms ({found['watched'] / found['step'] - 1:+.0%})"


def _first(found: Numbers) -> str:
    return f"{found['first watched']:.2f} s ({found['first watched'] / found['first']:.1f}x)"


ROWS: tuple[tuple[str, str, str, Callable[[Numbers], str]], ...] = (
    ("90% frozen and held by the optimizer: a step", "", "frozen", _step),
    ("under watch", "+10%", "frozen", _under_watch),
    ("the first under watch, beside the plain first", "2x", "frozen", _first),
    ("held a parameter tensor, bytes", "16", "frozen", lambda found: f"{found['held']:,.0f}"),
    ("small tensors, 90% frozen: a step", "", "small", _step),
    ("under watch", "", "small", _under_watch),
    ("the first under watch", "1 s", "small", _first),
    ("the same, and all that is frozen leaks: a step", "", "leaking", _step),
    ("under watch", "", "leaking", _under_watch),
    ("the first under watch", "1 s", "leaking", _first),
    ("by row, almost all rows leak, two elements each: a step", "", "narrow_rows", _step),
    ("under watch", "+20%", "narrow_rows", _under_watch),
    ("kept, KiB a step", "0", "narrow_rows", lambda found: f"{found['kept'] / 2**10:,.1f}"),
    ("by row, as wide as a text encoder's: a step", "", "wide_rows", _step),
    ("under watch", "+20%", "wide_rows", _under_watch),
    ("a step of Lightning's, 90% frozen", "", "lightning", _step),
    ("under watch", "+5%", "lightning", _under_watch),
)
"""What the table tells: of which measurement, with the aim."""


def table(found: Sequence[Mapping[str, Numbers]], titles: Sequence[str]) -> str:
    """The measurements of each tree as a column."""
    rows = [
        (what, aim, *(tell(each[measurement]) for each in found))
        for what, aim, measurement, tell in ROWS
    ]
    return markdown(("", "aim", *titles), rows)


def measured(tree: Path, arguments: argparse.Namespace) -> dict[str, Numbers]:
    """Every measurement of the code in ``tree``, each in a process of its own."""
    words = [f"--steps={arguments.steps}", f"--threads={arguments.threads}"]
    words += ["--quick"] if arguments.quick else []
    found = {}
    for name in MEASUREMENTS:
        ended = subprocess.run(
            [sys.executable, __file__, *words, f"--measure={name}"],
            env=os.environ | {"PYTHONPATH": str(tree)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found[name] = json.loads(ended.stdout.splitlines()[-1])
        print(f"{tree.name}, {name}: {found[name]}", file=sys.stderr)
    return found


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The commit in a folder of its own, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / commit
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-q", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _warm_up() -> None:
    """What a process pays once, before any clock runs."""
    layer = nn.Linear(4, 4)
    loop = Loop(layer, lambda: layer(torch.ones(2, 4)).sum())
    with watch(loop.model, loop.optimizer):
        loop.step()


def main(given: list[str] | None = None) -> None:
    """Measures, prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="a commit to measure first")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    parser.add_argument("--measure", choices=MEASUREMENTS, help="one, as JSON")
    arguments = parser.parse_args(given)
    if arguments.measure:
        torch.set_num_threads(arguments.threads)
        _warm_up()
        sizes = QUICK if arguments.quick else FULL
        print(json.dumps(MEASUREMENTS[arguments.measure](sizes, arguments.steps)))
        return
    found, titles = [], []
    if arguments.before:
        with checked_out(arguments.before) as tree:
            found, titles = [measured(tree, arguments)], [f"before ({arguments.before})"]
    made = table([*found, measured(ROOT, arguments)], [*titles, "now"])
    print(made)
    if arguments.write:
        write_table("watch", made)


if __name__ == "__main__":
    main()
