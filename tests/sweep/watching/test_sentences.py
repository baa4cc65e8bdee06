"""What the summary says is so: of parameters in no optimizer, of tensors that left, of many.

Reports: allenai/rslearn#217, huggingface/transformers#3532, discuss.pytorch.org/t/58156.
"""

from functools import partial

import pytest
import torch
from torch import nn, optim

from sweep import watch
from sweep.errors import LeakError

ADAMW = partial(optim.AdamW, lr=1e-2)
MOMENTUM = partial(optim.SGD, lr=0.1, momentum=0.9)


class Net(nn.Module):
    """A backbone and two heads, of which the second may be left out of the loss."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.head, self.other = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x, *, other=False):
        hidden = torch.relu(self.backbone(x))
        return self.head(hidden) + (self.other(hidden) if other else 0)


def trained(model, *optimizers, steps=3, other=False, to_none=True, **options):
    with watch(model, *optimizers, **options) as leaks:
        for _ in range(steps):
            model(torch.randn(4, 3), other=other).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=to_none)
    return leaks


def test_of_a_frozen_backbone_that_no_optimizer_holds_it_says_just_that():
    """The ordinary, correct set-up: freeze, and hand the optimizer the head alone."""
    model = Net()
    model.backbone.requires_grad_(False)
    del model.other
    model.forward = lambda x, other: model.head(model.backbone(x).relu())
    said = trained(model, ADAMW(model.head.parameters())).summary()
    assert "all 4" not in said
    assert "in no optimizer" in said
    assert "backbone" in said


def test_a_module_that_should_train_and_is_in_no_optimizer_looks_different():
    """The most expensive silent bug: it requires gradients, gets them, and nobody steps it."""
    forgotten, frozen = Net(), Net()
    frozen.head.requires_grad_(False)
    said = {}
    for name, model in {"forgotten": forgotten, "frozen": frozen}.items():
        said[name] = trained(model, ADAMW(model.backbone.parameters())).summary()
        assert "in no optimizer" in said[name]
        assert "head" in said[name]
    assert said["forgotten"] != said["frozen"]


def test_what_trains_is_told_to_train():
    model = Net()
    said = trained(model, ADAMW(model.parameters()), other=True).summary()
    assert "No leak" in said or "A gradient" in said or "fresh" in said
    assert "in no optimizer" not in said


def test_a_head_that_never_got_a_gradient_is_told():
    model = Net()
    said = trained(model, ADAMW(model.parameters())).summary()
    assert "other" in said
    assert "all 6" not in said


def test_the_optimizer_built_before_a_layer_was_replaced_holds_what_left_the_model():
    """https://github.com/huggingface/transformers/pull/3532"""
    model = Net()
    optimizer = ADAMW(model.parameters())
    model.head = nn.Linear(4, 1)
    said = trained(model, optimizer, other=True).summary()
    assert "6 of 6" not in said
    assert "all 6" not in said
    assert "head.weight" in said or "head.*" in said or "head:" in said
    assert "in no optimizer" in said


def test_no_parameter_of_the_model_is_left_in_the_optimizer_and_it_says_so():
    """The model was copied after its optimizer was built; nothing of it trains any more."""
    model = Net()
    optimizer = ADAMW(model.parameters())
    with watch(model, optimizer) as leaks:
        for name in ("backbone", "head", "other"):
            old = getattr(model, name)
            setattr(model, name, nn.Linear(old.in_features, old.out_features))
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.zeros_like(parameter)
        for _ in range(3):
            model(torch.randn(4, 3), other=True).sum().backward()
            optimizer.step()
    said = leaks.summary()
    assert "6 of 6" not in said
    assert "no longer" in said or "left" in said
    assert "in no optimizer" in said


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_checkpoint_that_is_loaded_by_assignment_leaves_the_optimizer_behind(at):
    """``load_state_dict(assign=True)`` gives the model other parameters, which nobody steps."""
    model = Net()
    optimizer = ADAMW(model.parameters())
    checkpoint = {name: value.clone() for name, value in model.state_dict().items()}
    with watch(model, optimizer) as leaks:
        for step in range(5):
            model(torch.randn(4, 3), other=True).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if step == at:
                model.load_state_dict(checkpoint, assign=True)
    said = leaks.summary()
    assert "6 parameters are in no optimizer" in said
    assert "no longer in the model" in said
    account = leaks.account()
    mine = account[account["place"] == "no optimizer"]
    assert sorted(mine["parameter"]) == sorted(name for name, _ in model.named_parameters())
    assert (mine["gradients"] > 0).all()
    left = account[account["place"] == "left the model"]
    assert (left["steps_fresh"] == at + 1).all()
    assert (left["steps_none"] == 4 - at).all()


@pytest.mark.parametrize("frozen", [True, False])
def test_never_a_gradient_is_not_said_of_what_got_one_for_another_optimizer_s_step(frozen):
    """Its grad was None at the steps of the second optimizer alone."""
    model = nn.Sequential(nn.Linear(3, 2))
    one, two = MOMENTUM(model.parameters()), ADAMW(model.parameters())
    with watch(model, one, two) as leaks:
        for _ in range(3):
            model(torch.randn(4, 3)).sum().backward()
            one.step()
            one.zero_grad()
            two.step()
        model.requires_grad_(not frozen)
    assert "never got a gradient" not in leaks.summary()


def test_never_a_gradient_is_not_said_of_one_whose_gradient_was_dropped_before_each_step():
    model = Net()
    optimizer = ADAMW(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(3):
            model(torch.randn(4, 3), other=True).sum().backward()
            model.backbone.zero_grad(set_to_none=True)
            optimizer.step()
            optimizer.zero_grad()
    said = leaks.summary()
    assert leaks.leaks == ()
    assert "never got a gradient" not in said


def test_three_hundred_parameters_that_leak_are_told_on_a_screen():
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(150)))
    optimizer = optim.AdamW(model.parameters(), 1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with watch(model, optimizer, causes=False) as leaks:
        for _ in range(3):
            optimizer.step()
    lines = leaks.summary().splitlines()
    assert len(lines) <= 25
    assert "300" in leaks.summary()
    assert len(leaks.table().parameter.unique()) == 300


def test_the_blocks_of_a_transformer_are_one_line_with_a_wildcard():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.ModuleDict({"q": nn.Linear(2, 2, bias=False)})
            self.mlp = nn.Linear(2, 2, bias=False)

    model = nn.ModuleDict({"blocks": nn.ModuleList(Block() for _ in range(24))})
    optimizer = MOMENTUM(model.parameters())
    with watch(model, optimizer) as leaks:
        for step in range(3):
            for block in model["blocks"]:
                hidden = block.mlp(torch.randn(2, 2))
                (hidden if step else hidden + block.attn["q"](torch.randn(2, 2))).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    said = leaks.summary()
    assert "blocks.*.attn.q" in said
    assert "24" in said
    assert "mlp" not in "\n".join(line for line in said.splitlines() if "attn.q" in line)
    assert len(said.splitlines()) <= 12


def test_of_two_optimizers_the_one_that_moved_it_is_named():
    model = Net()
    makes, judges = MOMENTUM(model.backbone.parameters()), ADAMW(model.head.parameters())
    with watch(model, makes, judges) as leaks:
        for step in range(3):
            model.head.requires_grad_(step == 0)
            model(torch.randn(4, 3)).square().mean().backward()
            for optimizer in (makes, judges):
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
    said = leaks.summary()
    assert "head" in said
    assert "AdamW" in said
    assert {leak.optimizer for leak in leaks.leaks} == {1}


def test_one_that_two_optimizers_hold_is_told_of_each():
    """https://github.com/Lu-Feng/SuperVLAD/issues/1"""
    model = Net()
    one, two = MOMENTUM(model.parameters()), ADAMW(model.head.parameters())
    with watch(model, one, two) as leaks:
        for step in range(3):
            model(torch.randn(4, 3)).square().mean().backward()
            one.step()
            if step:
                model.head.zero_grad(set_to_none=False)
            two.step()
            one.zero_grad()
    found = {(leak.parameter, leak.optimizer) for leak in leaks.leaks}
    assert found == {("head.weight", 1), ("head.bias", 1)}


def test_a_step_of_an_optimizer_that_is_not_watched_is_told():
    model = Net()
    watched, other = ADAMW(model.head.parameters()), MOMENTUM(model.backbone.parameters())
    with watch(model, watched) as leaks:
        for _ in range(3):
            model(torch.randn(4, 3)).square().mean().backward()
            for optimizer in (other, watched):
                optimizer.step()
                optimizer.zero_grad()
    said = leaks.summary()
    assert "backbone" in said
    assert "not watched" in said or "unwatched" in said


def test_what_moves_between_steps_is_told_and_is_no_leak():
    """An EMA, a hand, a schedule-free ``eval()``."""
    model = Net()
    optimizer = ADAMW(model.parameters())
    with watch(model, optimizer, frozen=["backbone"]) as leaks:
        for _ in range(3):
            model.backbone.requires_grad_(False)
            model(torch.randn(4, 3), other=True).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                model.backbone.weight.mul_(0.99)
    assert leaks.leaks == ()
    said = leaks.summary()
    assert "backbone.weight" in said
    assert "between steps" in said


@pytest.mark.parametrize("named", [["bn"], ["vq"], None])
def test_buffers_of_frozen_modules_that_forward_moves_are_told(named):
    """https://github.com/lucidrains/vector-quantize-pytorch/issues/68"""

    class VQ(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("codebook", torch.randn(4, 3))

        def forward(self, x):
            nearest = torch.cdist(x, self.codebook).argmin(1)
            with torch.no_grad():
                self.codebook[nearest] = 0.9 * self.codebook[nearest] + 0.1 * x.detach()
            return x + (self.codebook[nearest] - x).detach()

    model = nn.ModuleDict(
        {"enc": nn.Linear(3, 3), "vq": VQ(), "bn": nn.BatchNorm1d(3), "out": nn.Linear(3, 1)}
    )
    model["bn"].requires_grad_(False)
    optimizer = ADAMW(model.parameters())
    with watch(model, optimizer, frozen=named) as leaks:
        for _ in range(3):
            x = model["bn"](model["vq"](model["enc"](torch.randn(8, 3))))
            model["out"](x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    said = leaks.summary()
    assert leaks.leaks == ()
    if named == ["vq"]:
        assert "vq.codebook" in said
    else:
        assert "bn.running_mean" in said or "bn.*" in said or "bn: " in said
    assert "buffer" in said


def test_frozen_takes_the_name_of_a_buffer():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = ADAMW(model[1].parameters())
    with watch(model, optimizer, frozen=["0.running_mean"]) as leaks:
        for _ in range(2):
            model(torch.randn(8, 3)).square().mean().backward()
            optimizer.step()
    assert "0.running_mean" in leaks.summary()


WHY = {
    "no optimizer": (lambda model: [model.backbone, model.head], "in no optimizer"),
    "never a gradient": (lambda model: [model.backbone, model.head, model.other], "gradient"),
    "lr 0": (lambda model: [model.backbone, model.head, model.other], "lr"),
}


@pytest.mark.parametrize("why", WHY)
def test_trainable_says_what_should_move_and_does_not_and_why(why):
    model = Net()
    holds, word = WHY[why]
    groups = [{"params": part.parameters()} for part in holds(model)]
    optimizer = optim.AdamW(groups, lr=1e-2, weight_decay=0.0)
    if why == "lr 0":
        optimizer.param_groups[2]["lr"] = 0.0
    leaks = trained(model, optimizer, other=why != "never a gradient", trainable=["other"])
    with pytest.raises(LeakError, match="other") as raised:
        leaks.raise_if_any()
    assert word in str(raised.value)
    assert word in leaks.summary()


def test_trainable_that_trains_raises_nothing():
    model = Net()
    leaks = trained(model, ADAMW(model.parameters()), other=True, trainable=["head", "backbone.*"])
    leaks.raise_if_any()


def test_a_summary_shows_itself_in_a_notebook():
    model = Net()
    leaks = trained(model, MOMENTUM(model.parameters()), to_none=False)
    html = leaks._repr_html_()
    assert "other.weight" in html or "other" in html
    assert "<script" not in html


def test_a_name_with_html_in_it_is_escaped_in_a_notebook():
    weight = nn.Parameter(torch.ones(2))
    optimizer = MOMENTUM([weight])
    with watch({"<b>bold</b>": weight}, optimizer) as leaks:
        for step in range(2):
            weight.grad = torch.ones(2) if step == 0 else torch.zeros(2)
            optimizer.step()
    assert "<b>bold" not in leaks._repr_html_()


def turns(model, optimizers, steps=4, **options):
    """Two optimizers of one class, as a GAN's, each stepped in its turn."""
    with watch(model, *optimizers, **options) as leaks:
        for step in range(steps):
            model(torch.randn(4, 3), other=True).square().mean().backward()
            optimizers[step % len(optimizers)].step()
            model.zero_grad()
    return leaks.summary()


def test_two_optimizers_of_one_class_are_told_apart():
    model = Net()
    said = turns(model, [ADAMW(model.backbone.parameters()), ADAMW(model.head.parameters())])
    assert "AdamW (optimizer 0): 2 steps, AdamW (optimizer 1): 2 steps" in said


def test_many_optimizers_are_counted():
    model = Net()
    said = turns(model, [ADAMW([parameter]) for parameter in model.parameters()], 12)
    assert (
        "A gradient reached all 6 parameters before each step (6 optimizers, 2 steps each)" in said
    )


def test_one_parameter_is_told_in_the_singular():
    layer = nn.Linear(3, 1, bias=False)
    optimizer = MOMENTUM(layer.parameters())
    with watch(layer, optimizer) as leaks:
        layer(torch.randn(4, 3)).sum().backward()
        optimizer.step()
        assert "A gradient reached the only parameter before each of 1 step." in leaks.summary()
        layer.zero_grad(set_to_none=False)
        optimizer.step()
    assert "1 of 1 parameter moved" in leaks.summary()


@pytest.mark.parametrize("then", ["stale", "of zeros that came"])
def test_the_cause_of_one_state_is_not_told_of_another(then):
    """It leaks on zeros at step 1, by history; at step 3 on something else, by that too."""
    layer = nn.Linear(3, 1, bias=False)
    optimizer = MOMENTUM(layer.parameters())
    zeros_count = then == "stale"
    with watch(layer, optimizer, zeros_count=zeros_count) as leaks:
        for step in range(4):
            if step in (0, 2):
                layer(torch.randn(4, 3)).sum().backward()
            if step == 1:
                layer.weight.grad.zero_()
            if step == 3 and not zeros_count:
                layer.zero_grad()
                (0 * layer(torch.randn(4, 3))).sum().backward()
            optimizer.step()
    assert "2 of 2 steps, first at step 1" in leaks.summary()
    found = "grad zero or stale" if zeros_count else "grad zero or of zeros that came"
    assert f"{found}; cause at step 1: history" in leaks.summary()


def test_frozen_parameters_that_an_average_moves_are_not_said_to_have_kept_still():
    student, teacher = nn.Linear(3, 1), nn.Linear(3, 1).requires_grad_(False)
    model, optimizer = nn.ModuleDict({"s": student, "t": teacher}), ADAMW(student.parameters())
    with watch(model, optimizer, frozen=["t"]) as leaks:
        for _ in range(2):
            student(torch.randn(4, 3)).sum().backward()
            optimizer.step()
            with torch.no_grad():
                for mean, new in zip(teacher.parameters(), student.parameters(), strict=True):
                    mean.lerp_(new, 0.1)
    said = leaks.summary()
    assert "2 parameters that should keep still moved between steps" in said
    assert "no parameter was to keep still" not in said
    assert "should keep still did" not in said


def test_what_was_named_and_found_so_is_told():
    model = Net()
    model.backbone.requires_grad_(False)
    options = {"frozen": ["backbone"], "trainable": ["head"]}
    said = trained(model, ADAMW(model.parameters()), other=True, **options).summary()
    assert "2 parameters that should keep still did: backbone.weight, backbone.bias" in said
    assert "2 parameters that should train did: head.weight, head.bias" in said


def test_a_masked_part_that_kept_still_is_not_told_as_a_whole_parameter_that_did():
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.register_hook(lambda gradient: gradient * torch.tensor([[1.0], [0.0]]))
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    with watch(layer, optimizer, frozen={"weight": [1]}) as leaks:
        layer(torch.randn(4, 3)).sum().backward()
        optimizer.step()
    assert "No leak: what was to keep still did, in 1 parameter" in leaks.summary()


def test_a_parameter_without_elements_is_not_said_to_have_taken_no_step():
    layer = nn.ParameterDict({"a": nn.Parameter(torch.ones(2)), "b": nn.Parameter(torch.ones(0))})
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    with watch(layer, optimizer, trainable=["b"]) as leaks:
        (layer["a"].sum() + layer["b"].sum()).backward()
        optimizer.step()
    assert "as this process holds no element of it" in leaks.summary()
