"""One process of a DDP run under watch: writes what it found to a file.

python ddp_process.py RANK RENDEZVOUS_FILE OUT_FILE
"""

import json
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sweep import watch


class Experts(nn.Module):
    """``elsewhere`` is used by rank 1 only, ``early`` on the first steps, ``never`` by none."""

    def __init__(self):
        super().__init__()
        for name in ("always", "elsewhere", "early", "never"):
            setattr(self, name, nn.Linear(2, 2, bias=False))

    def forward(self, x, *, rank, step):
        x = self.always(x)
        if rank == 1:
            x = self.elsewhere(x)
        return self.early(x) if step < 2 else x


def run(rank, to_none, bucket_view, zeros_count):
    """The parameters that leaked, with their steps and causes."""
    torch.manual_seed(0)
    model = DistributedDataParallel(
        Experts(), find_unused_parameters=True, gradient_as_bucket_view=bucket_view
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    with watch(model, optimizer, zeros_count=zeros_count) as leaks:
        for step in range(4):
            model(torch.ones(1, 2), rank=rank, step=step).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    return [(leak.parameter, leak.step, str(leak.explanation)) for leak in leaks.leaks]


def main():
    """Runs every combination in one process group."""
    rank, meeting, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    found = {}
    for to_none in (True, False):
        for bucket_view in (False, True):
            for zeros_count in (True, False):
                key = f"{to_none} {bucket_view} {zeros_count}"
                found[key] = run(rank, to_none, bucket_view, zeros_count)
    with open(out, "w") as file:
        json.dump(found, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
