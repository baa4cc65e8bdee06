"""One process of a sharded run under watch: writes what is true and what was told to a file.

python sharded_process.py RANK RANKS RENDEZVOUS_FILE OUT_FILE
"""

import contextlib
import json
import sys

import torch
import torch.distributed as dist
from torch import nn, optim
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

from sweep import watch


class Net(nn.Module):
    """``first`` is frozen on odd steps by detaching; the head has fewer rows than two ranks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(4, 6), nn.Linear(6, 4), nn.Linear(4, 1)

    def forward(self, x, *, detach):
        hidden = torch.relu(self.first(x))
        return self.head(self.second(hidden.detach() if detach else hidden))


def whole(model, mesh):
    for part in (model.first, model.second):
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)


def tensor_parallel(model, mesh):
    plan = {"first": ColwiseParallel(), "second": RowwiseParallel()}
    parallelize_module(model, mesh, plan)


SHARDED = {"FSDP2": whole, "tensor parallel": tensor_parallel}


def bits(parameter):
    local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return local.detach().reshape(-1).view(torch.uint8).clone()


def rows_left_alone(before, parameter):
    """Whether a row of this rank's shard moved that has zeros, or nothing, for a gradient."""
    rows = parameter.to_local().shape[0] if hasattr(parameter, "to_local") else len(parameter)
    if not before.numel():
        return False
    grad = parameter.grad
    grad = grad.to_local() if hasattr(grad, "to_local") else grad
    reached = torch.zeros(rows, dtype=torch.bool)
    if grad is not None:
        reached = (grad != 0).reshape(rows, -1).any(dim=1)
    moved = (before != bits(parameter)).reshape(rows, -1).any(dim=1)
    return bool((moved & ~reached).any())


def gathered(leaks):
    """What every rank found of ``first``: rank, name and number of leaks."""
    frame = leaks.gather()
    of_first = frame[frame.parameter.str.startswith("first") & (frame.leaks > 0)]
    return sorted(of_first[["rank", "parameter", "leaks"]].values.tolist())


def train(how, ranks, *, to_none, watched, who, options):
    """What is true of this rank's own shards, what was told (None if unwatched), and the bits."""
    model = Net()
    SHARDED[how](model, init_device_mesh("cpu", (ranks,)))
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    true = set()
    with watch(model, optimizer, **options) if watched else contextlib.nullcontext() as leaks:
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(8, 4, generator=generator)
            model(x, detach=step % 2 == 1).square().mean().backward()
            before = {name: bits(p) for name, p in model.named_parameters()}
            optimizer.step()
            for name, parameter in model.named_parameters():
                if options["granularity"] == "row":
                    leaked = rows_left_alone(before[name], parameter)
                else:
                    moved = not torch.equal(before[name], bits(parameter))
                    leaked = moved and step % 2 == 1 and name.startswith("first")
                if leaked:
                    true.add((name, step))
            optimizer.zero_grad(set_to_none=to_none)
    return {
        "true": sorted(true),
        "told": None if leaks is None else sorted((k.parameter, k.step) for k in leaks.leaks),
        "causes": None if leaks is None else sorted(set(leaks.table()["cause"].dropna())),
        "summary": None if leaks is None else leaks.summary(),
        "bits": [bits(p).tolist() for p in model.parameters()],
        "gathered": gathered(leaks) if who == "all" else None,
    }


def main():
    """Runs every combination in one process group."""
    rank, ranks, meeting, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    found = {}
    for how in SHARDED:
        for to_none in (True, False):
            for who, watched in {"none": False, "one": rank == 0, "all": True}.items():
                for granularity in ("parameter", "row") if who == "all" else ("parameter",):
                    options = {"granularity": granularity}
                    key = f"{how}, {'None' if to_none else 'zeros'}, {who}, {granularity}"
                    try:
                        found[key] = train(
                            how,
                            ranks,
                            to_none=to_none,
                            watched=watched,
                            who=who,
                            options=options,
                        )
                    except Exception as error:  # noqa: BLE001  # the test shows it
                        found[key] = {"error": f"{type(error).__name__}: {error}"}
    with open(out, "w") as file:
        json.dump(found, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
