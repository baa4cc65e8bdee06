"""What people have reported, rebuilt from their descriptions: each is caught and explained."""

import pytest
import torch
from torch import nn

from sweep import watch


def explained(leaks):
    """By parameter: the first step that moved it, and why."""
    first = {}
    for leak in leaks.leaks:
        first.setdefault(leak.parameter, (leak.step, str(leak.explanation)))
    return first


def test_pytorch_38581_a_hook_that_zeroes_grads_does_not_stop_weight_decay():
    """https://github.com/pytorch/pytorch/issues/38581"""
    model = nn.Linear(3, 2)
    for parameter in model.parameters():
        parameter.register_hook(lambda grad: torch.zeros(grad.shape))
    optimizer = torch.optim.SGD(model.parameters(), lr=1, momentum=0, weight_decay=1)
    with watch(model, optimizer, zeros_count=False) as leaks:
        loss = nn.MSELoss()(torch.rand(2, 2), model(torch.rand(2, 3)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert explained(leaks) == {"weight": (0, "decay"), "bias": (0, "decay")}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda p: torch.optim.Adam(p, lr=0.1), {"weight": (1, "history")}),
        (lambda p: torch.optim.SGD(p, lr=0.1), {}),
    ],
    ids=["Adam", "SGD"],
)
def test_pytorch_18404_embedding_rows_in_no_batch_move_under_adam_not_sgd(build, expected):
    """https://github.com/pytorch/pytorch/issues/18404"""
    embedding = nn.Embedding(10, 4)
    optimizer = build(embedding.parameters())
    with watch(embedding, optimizer, granularity="row") as leaks:
        for words in ([1, 2, 3], [4, 5], [4, 5]):
            optimizer.zero_grad()
            embedding(torch.tensor(words)).square().sum().backward()
            optimizer.step()
    assert explained(leaks) == expected
    assert all(leak.rows == (1, 2, 3) for leak in leaks.leaks)


def test_pytorch_28294_unused_parameters_that_ddp_gives_zeros_move():
    """https://github.com/pytorch/pytorch/issues/28294

    DDP wrote zeros into unused parameters' grads; today's does so no longer where they are
    None, so its zeros are written here as it did. `test_distributed` has the real one.
    """
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "unused": nn.Linear(2, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    with watch(model, optimizer, zeros_count=False) as leaks:
        for step in range(4):
            x = model["used"](torch.randn(3, 2))
            (x if step else model["unused"](x)).sum().backward()
            for parameter in model.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            optimizer.zero_grad()
    expected = (1, "decay, history")
    assert explained(leaks) == {"unused.weight": expected, "unused.bias": expected}


class Gan(nn.Module):
    """A generator and a discriminator of one layer each."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(2, 2)
        self.discriminator = nn.Linear(2, 1)


def test_lightning_591_what_the_generators_loss_leaves_moves_the_discriminator():
    """https://github.com/Lightning-AI/pytorch-lightning/issues/591

    The generator's loss reaches the discriminator, whose grads only its own optimizer
    clears, after its step. On a turn on which it is to keep still, the leftovers move it.
    """
    gan = Gan()
    generator = torch.optim.SGD(gan.generator.parameters(), lr=0.1)
    discriminator = torch.optim.SGD(gan.discriminator.parameters(), lr=0.1)
    with watch(gan, generator, discriminator, frozen=["discriminator"]) as leaks:
        gan.discriminator(gan.generator(torch.randn(4, 2))).sum().backward()
        generator.step()
        generator.zero_grad()
        discriminator.step()
    expected = (0, "gradient")
    assert explained(leaks) == {"discriminator.weight": expected, "discriminator.bias": expected}


def test_lightning_591_one_optimizer_for_both_moves_the_discriminator_on_the_generators_turn():
    """The same report's remedy, zeroing the discriminator's grads, does not do for one Adam."""
    gan = Gan()
    optimizer = torch.optim.Adam(gan.parameters(), lr=0.1)
    gan.discriminator(gan.generator(torch.randn(4, 2)).detach()).sum().backward()
    optimizer.step()  # the discriminator's turn
    optimizer.zero_grad()
    with watch(gan, optimizer, frozen=["discriminator"]) as leaks:
        gan.discriminator(gan.generator(torch.randn(4, 2))).sum().backward()
        gan.discriminator.zero_grad(set_to_none=False)
        optimizer.step()
    expected = (0, "history")
    assert explained(leaks) == {"discriminator.weight": expected, "discriminator.bias": expected}


def test_s_prompts_2_a_prompt_pool_that_requires_no_grad_shrinks_under_weight_decay():
    """https://github.com/iamwangyabin/S-Prompts/pull/2

    The prompts of earlier tasks stay in the optimizer, with requires_grad=False and the
    zeros that zero_grad left.
    """
    pool = nn.ParameterList(nn.Parameter(torch.ones(4)) for _ in range(2))
    optimizer = torch.optim.SGD(pool.parameters(), lr=0.1, weight_decay=0.1)
    with watch(pool, optimizer) as leaks:
        means = []
        for prompt in pool:
            for other in pool:
                other.requires_grad_(other is prompt)
            for _ in range(3):
                prompt.sum().backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
            means.append(pool[0].mean().abs().item())
    assert explained(leaks) == {"0": (3, "decay")}
    assert means[1] < means[0]


@pytest.mark.parametrize("how", ["requires_grad", "detach"])
@pytest.mark.parametrize(
    ("build", "cause"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), "history"),
        (lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1), "decay"),
        (lambda p: torch.optim.AdamW(p, lr=0.1), "decay, history"),
    ],
    ids=["momentum", "decay", "AdamW"],
)
def test_a_layer_frozen_after_training_has_begun_goes_on_moving(model, train, build, cause, how):
    """https://discuss.pytorch.org/t/22126, https://discuss.pytorch.org/t/153740"""
    optimizer = build(model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 3, detached=lambda _: False, to_none=False)
        model.first.requires_grad_(how != "requires_grad")
        train(model, optimizer, 3, detached=lambda _: how == "detach", to_none=False)
    assert explained(leaks) == {"first.weight": (3, cause), "first.bias": (3, cause)}


def test_unlearn_saliency_32_weight_decay_moves_masked_weights():
    """https://github.com/OPTML-Group/Unlearn-Saliency/issues/32: rows masked by their grads."""
    layer = nn.Linear(3, 4, bias=False)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])[:, None]
    layer.weight.register_hook(lambda grad: grad * mask)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    with watch(layer, optimizer, granularity="row") as leaks:
        for _ in range(3):
            layer(torch.randn(5, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert explained(leaks) == {"weight": (0, "decay")}
    assert {leak.rows for leak in leaks.leaks} == {(1, 3)}
