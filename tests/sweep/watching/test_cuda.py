"""The same on a GPU, where every answer is a wait."""

import pytest
import torch

from sweep import watch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}, {"capturable": True}])
@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_leaks_on_the_gpu_are_found_and_explained(model, options, granularity):
    model = model.cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, **options)
    with watch(model, optimizer, granularity=granularity) as leaks:
        for step in range(4):
            x = torch.randn(5, 4, device="cuda")
            model(x, detach=step % 2 == 1).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    first = [leak for leak in leaks.leaks if leak.parameter == "first.weight"]
    assert [leak.step for leak in first if leak.step % 2] == [1, 3]
    assert "history" in str(next(leak for leak in first if leak.step == 1).explanation)
