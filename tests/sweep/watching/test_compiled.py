"""A model that torch.compile has compiled goes by the names of the one that it wraps."""

import pytest
import torch

from sweep import watch


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("compiled_first", [True, False])
def test_a_compiled_model_is_watched_like_any_other(model, to_none, compiled_first):
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.Adam(compiled.parameters(), lr=0.1)
    if compiled_first:
        compiled(torch.randn(5, 4), detach=False).sum().backward()
        optimizer.zero_grad()
    with watch(compiled, optimizer) as leaks:
        for step in range(6):
            compiled(torch.randn(5, 4), detach=step % 2 == 1).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    found = {(leak.parameter, leak.step) for leak in leaks.leaks}
    names = () if to_none else ("first.weight", "first.bias")
    assert found == {(name, step) for name in names for step in (1, 3, 5)}
    assert set(leaks.table().cause.dropna()) == (set() if to_none else {"history"})
