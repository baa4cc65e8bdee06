"""What a user would write: the article's loop, which says whether the layer moved and no more."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sweep.optimizers import registry
from sweep.optimizers.build import constructor_arguments
from sweep.values.setting import PlannedTrial
from sweep.workloads.sizes import BUILT_IN


def moved(planned: PlannedTrial) -> bool:
    """Whether the first layer moves on a frozen step; torch alone trains it, on one thread."""
    torch.set_num_threads(1)
    setting, size = planned.setting, BUILT_IN[planned.workload]
    entry = registry.lookup(setting.optimizer)
    torch.manual_seed(setting.seed)
    x, y = torch.randn(size.examples, size.features), torch.randint(size.classes, (size.examples,))
    layer1 = nn.Linear(size.features, size.hidden, bias=False)
    layer2 = nn.Linear(size.hidden, size.classes, bias=False)
    arguments = constructor_arguments(
        entry, setting, planned.constructor_options(), steps=planned.steps
    )
    kind = getattr(torch.optim, setting.optimizer)
    optimizer = kind([layer1.weight, layer2.weight], **arguments)
    frozen = False

    def backward() -> torch.Tensor:
        hidden = layer1(x)
        logits = layer2(torch.relu(hidden.detach() if frozen else hidden))
        loss = functional.cross_entropy(logits, y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def clear() -> None:
        if setting.zero_grad != "never":
            optimizer.zero_grad(set_to_none=setting.zero_grad == "none")

    def closure() -> torch.Tensor:
        clear()
        return backward()

    leaked = False
    for step in range(planned.steps):
        frozen = _is_frozen(setting.schedule, step)
        before = layer1.weight.detach().clone() if frozen else None
        if entry.needs_closure:
            optimizer.step(closure)
        else:
            backward()
            optimizer.step()
            clear()
        leaked |= before is not None and not torch.equal(before, layer1.weight)
    return leaked


def _is_frozen(schedule: str, step: int) -> bool:
    word, _, number = schedule.partition(":")
    return {"always": True, "alternate": step % 2 == 1, "after": step >= int(number or 0)}[word]
