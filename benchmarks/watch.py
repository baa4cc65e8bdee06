"""What `watch` costs: a training step with it and without it, taking turns.

    python benchmarks/watch.py [--steps 40] [--device cpu] [--threads 2] [--write]

A transformer of about 10 million parameters, a tenth of it frozen by detaching, trained by
AdamW. A watch is entered for every second step and left again outside the clock, so that
whatever else the machine does hits both kinds of step. The first watched step, on which the
causes are looked for, is reported by itself.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time

import torch
from torch import Tensor, nn
from write_page import markdown, write_table

from sweep import watch
from sweep.watching.arrivals import Arrivals
from sweep.watching.stepping import Stepping

GRANULARITIES = {"parameter": "parameters", "row": "rows"}
WORDS, WIDTH, LAYERS, LENGTH, BATCH = 2700, 384, 4, 64, 8


class Transformer(nn.Module):
    """A small language model whose embedding is frozen by detaching its output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, dropout=0.0, batch_first=True)
            for _ in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, words: Tensor) -> Tensor:
        """Scores of shape (batch, length, words); no gradient reaches the embedding."""
        hidden = self.embedding(words).detach()
        for layer in self.layers:
            hidden = layer(hidden)
        return self.head(hidden)


class Loop:
    """The model with its optimizer and one batch."""

    def __init__(self, device: str) -> None:
        torch.manual_seed(0)
        self.device = device
        self.model = Transformer().to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.words = torch.randint(WORDS, (BATCH, LENGTH), device=device)

    def seconds(self) -> float:
        """Takes a step and says how long it took."""
        self._wait()
        started = time.perf_counter()
        scores = self.model(self.words)
        nn.functional.cross_entropy(scores.flatten(0, 1), self.words.flatten()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


class Stopwatch:
    """Sums up the seconds spent in some methods."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, owner: type, name: str) -> None:
        """Times every call of the method ``name`` of ``owner`` from now on."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*arguments: object) -> object:
            started = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self.seconds += time.perf_counter() - started

        setattr(owner, name, timed)


def main() -> None:
    """Measures, prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    hooks = Stopwatch()
    for owner, name in ((Stepping, "_before_step"), (Stepping, "_after_step"), (Arrivals, "_note")):
        hooks.on(owner, name)
    measured = [rows(arguments.device, arguments.steps, hooks, it) for it in GRANULARITIES]
    columns = ("", *GRANULARITIES.values())
    both = [(what, *(each[what] for each in measured)) for what in measured[0]]
    table = markdown(columns, both)
    print(table)
    if arguments.write:
        write_table("watch", table)


def rows(device: str, steps: int, hooks: Stopwatch, granularity: str) -> dict[str, str]:
    """What a watch of that granularity costs, in words."""
    loop, options = Loop(device), {"granularity": granularity}
    for _ in range(3):
        loop.seconds()
    hooks.seconds = 0.0
    with watch(loop.model, loop.optimizer, **options) as leaks:
        loop.seconds()
        first, held = hooks.seconds, leaks.held_bytes
    hooks.seconds = 0.0
    watched, bare = [], []
    for _ in range(steps):
        bare.append(loop.seconds())
        with watch(loop.model, loop.optimizer, causes=False, **options):
            watched.append(loop.seconds())
    in_hooks = hooks.seconds / steps
    step, with_watch = statistics.median(bare), statistics.median(watched)
    every = sum(parameter.nbytes for parameter in loop.model.parameters())
    frozen = loop.model.embedding.weight.nbytes
    return {
        "a step, median": f"{1000 * step:.1f} ms",
        "a step under watch, median": f"{1000 * with_watch:.1f} ms ({with_watch / step - 1:+.1%})",
        "in the watch's hooks, a step": f"{1000 * in_hooks:.2f} ms ({in_hooks / step:.1%})",
        "in the hooks on the first step, once": f"{1000 * first:.1f} ms",
        "parameters": f"{every / 2**20:.1f} MiB",
        "of them without a grad": f"{frozen / 2**20:.1f} MiB",
        "held by the watch": f"{held / 2**20:.1f} MiB",
    }


if __name__ == "__main__":
    main()
