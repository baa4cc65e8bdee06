"""What people hand to watch in place of an optimizer or a model: wrappers, proxies, compiled ones.

Reports: huggingface/accelerate#641, #2828, kohya-ss/sd-scripts#1605.
"""

import warnings
from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, told

from sweep import watch
from sweep.errors import MisuseError

MOMENTUM = partial(optim.SGD, lr=0.05, momentum=0.9)


def build():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    return model, MOMENTUM(model.parameters())


def trained(model, given, raw, *, step=None, backward=None, forward=None, watched=None, **options):
    """Layer 0 is frozen from step 3 on and its grads are zeros: it moves by momentum."""
    witness = Witness(build_names(model))
    witness.attach(raw)
    with watch(watched or model, given, **options) as leaks:
        for turn in range(6):
            if turn == 3:
                model[0].requires_grad_(False)
            loss = (forward or model)(torch.randn(4, 3)).square().mean()
            (backward or torch.Tensor.backward)(loss)
            (step or given.step)()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.detach_().zero_()
    true = witness.moved(lambda name, number: name.startswith("0.") and number >= 3)
    assert len(true) == 6
    return true, leaks


def build_names(model):
    return dict(model.named_parameters())


class Delegates:
    """Not an Optimizer at all: hands everything on."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def __getattr__(self, name):
        return getattr(self.optimizer, name)

    def step(self, closure=None):
        return self.optimizer.step()


def named(attribute):
    """A wrapper that is no Optimizer and keeps the real one under that name."""

    class Wrapper:
        def __init__(self, optimizer):
            setattr(self, attribute, optimizer)

        @property
        def param_groups(self):
            return getattr(self, attribute).param_groups

        def step(self):
            getattr(self, attribute).step()

    return Wrapper


class Proxy(optim.Optimizer):
    """An Optimizer by class, without its ``__init__``: as accelerate's and kohya's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @property
    def state(self):
        return self.optimizer.state

    def step(self, closure=None):
        return self.optimizer.step()


class Skips(Proxy):
    """Steps on every call but passes nothing on while accumulating."""

    def step(self, closure=None):
        return self.optimizer.step(closure) if closure else self.optimizer.step()


class SlottedProxy(optim.Optimizer):
    """Keeps the real one under another name and has properties without setters."""

    def __init__(self, optimizer):
        self.__dict__["optim"] = optimizer

    @property
    def param_groups(self):
        return self.optim.param_groups

    @property
    def defaults(self):
        return self.optim.defaults

    @property
    def state(self):
        return self.optim.state

    def step(self, closure=None):
        return self.optim.step(closure)


WRAPPERS = {
    "the optimizer itself": lambda raw: raw,
    "delegates everything": Delegates,
    "optimizer": named("optimizer"),
    "base_optimizer": named("base_optimizer"),
    "optim": named("optim"),
    "original_optimizer": named("original_optimizer"),
    "a proxy without __init__": Proxy,
    "a proxy that calls with and without closures": Skips,
    "a proxy with properties alone": SlottedProxy,
    "a proxy in a proxy": lambda raw: Proxy(Proxy(raw)),
    "a wrapper in a proxy": lambda raw: Proxy(named("optim")(raw)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_wraps_an_optimizer_is_watched_as_the_one_inside(wrapper):
    model, raw = build()
    true, leaks = trained(model, WRAPPERS[wrapper](raw), raw)
    assert told(leaks) == true
    assert leaks.findings.steps == [6]
    assert len(raw._optimizer_step_pre_hooks) == 1  # the witness's own


def test_a_dictionary_of_optimizers_is_each_of_them():
    model, _ = build()
    raws = {"a": MOMENTUM(model[0].parameters()), "b": MOMENTUM(model[2].parameters())}

    class Many:
        def __init__(self):
            self.optimizer_dict = raws

        @property
        def param_groups(self):
            return [group for raw in raws.values() for group in raw.param_groups]

        def step(self):
            for raw in raws.values():
                raw.step()

    true, leaks = trained(model, Many(), raws["a"])
    assert told(leaks) == true


def test_what_holds_no_optimizer_is_refused_with_what_to_do():
    model, _ = build()
    with pytest.raises(MisuseError, match=r"(?s)object.*pass|pass.*object"):
        watch(model, object())


def schedule_free(optimizer):
    from pytorch_optimizer import ScheduleFreeWrapper

    wrapped = ScheduleFreeWrapper(optimizer)
    wrapped.train()
    return wrapped


def lookahead(optimizer):
    from pytorch_optimizer import Lookahead

    return Lookahead(optimizer, k=2)


def older_lookahead(optimizer):
    from torch_optimizer import Lookahead

    return Lookahead(optimizer, k=2)


def patched_by_a_scheduler(optimizer):
    optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=20)
    return optimizer


def patched_by_hand(optimizer):
    """As Horovod, Apex and others do: the object's own ``step`` is replaced."""
    inner = optimizer.step
    optimizer.step = lambda *given, **named: inner(*given, **named)
    return optimizer


@pytest.mark.parametrize(
    "wrap", [schedule_free, lookahead, older_lookahead, patched_by_a_scheduler, patched_by_hand]
)
@pytest.mark.filterwarnings("ignore")
def test_wrappers_of_libraries_leak_what_their_step_moves(wrap):
    """The truth is looked at around the wrapper's own step, which may move more than the inner."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, raw = build()
        given = wrap(raw)
    witness = Witness(model.named_parameters())
    with watch(model, given) as leaks:
        for turn in range(6):
            if turn == 3:
                model[0].requires_grad_(False)
            model(torch.randn(4, 3)).square().mean().backward()
            witness.step(given)
            for parameter in model.parameters():
                parameter.grad.detach_().zero_()
    true = witness.moved(lambda name, number: name.startswith("0.") and number >= 3)
    assert len(true) == 6
    assert told(leaks) == true


@pytest.mark.parametrize("unwrap", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_accelerate_641_what_prepare_returns_is_watched(unwrap, accumulate):
    """https://github.com/huggingface/accelerate/issues/641"""
    accelerate = pytest.importorskip("accelerate")
    torch.manual_seed(0)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    model, _ = build()
    raw = optim.AdamW(model.parameters(), lr=1e-2)
    model, given = accelerator.prepare(model, raw)
    witness = Witness(model.named_parameters())
    witness.attach(raw)
    with watch(model, raw if unwrap else given) as leaks:
        for turn in range(4 * accumulate):
            if turn == 2 * accumulate:
                model[0].requires_grad_(False)
            with accelerator.accumulate(model):
                accelerator.backward(model(torch.randn(4, 3)).square().mean())
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                given.step()
                given.zero_grad(set_to_none=False)
    true = witness.moved(lambda name, step: name.startswith("0.") and step >= 2)
    assert len(true) == 4
    assert told(leaks) == true
    assert leaks.findings.steps == [4]


def test_a_grad_scaler_s_steps_are_the_optimizer_s():
    model, raw = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step():
        scaler.step(raw)
        scaler.update()

    true, leaks = trained(
        model, raw, raw, step=step, backward=lambda loss: scaler.scale(loss).backward()
    )
    assert told(leaks) == true


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_model_is_given_to_watch_or_not():
    torch._dynamo.reset()
    model, raw = build()
    compiled = torch.compile(model, backend="eager")
    true, leaks = trained(model, raw, raw, forward=compiled, watched=compiled)
    assert told(leaks) == true


@pytest.mark.parametrize("name", ["0", "0.weight", "_orig_mod.0", "_orig_mod.0.weight"])
def test_frozen_takes_the_names_of_a_compiled_model(name):
    model, raw = build()
    compiled = torch.compile(model, backend="eager")
    with watch(compiled, raw, frozen=[name]) as leaks:
        model(torch.randn(4, 3)).sum().backward()
        raw.step()
    parts = ("weight",) if name.endswith("weight") else ("weight", "bias")
    assert told(leaks) == {(f"0.{part}", 0) for part in parts}


@pytest.mark.parametrize("name", ["0", "module.0"])
def test_frozen_takes_the_names_of_a_data_parallel_model(name):
    model, raw = build()
    wrapped = nn.DataParallel(model)
    with watch(wrapped, raw, frozen=[name]) as leaks:
        wrapped(torch.randn(4, 3)).sum().backward()
        raw.step()
    assert {leak.parameter.removeprefix("module.") for leak in leaks.leaks} == {
        "0.weight",
        "0.bias",
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_has_the_same_bits_and_its_leaks_are_told(backend):
    def run(watched):
        torch._dynamo.reset()
        model, raw = build()
        step = torch.compile(raw.step, backend=backend)
        torch.manual_seed(1)
        witness = Witness(model.named_parameters())

        def loop():
            for turn in range(5):
                if turn == 3:
                    model[0].requires_grad_(False)
                model(torch.randn(4, 3)).square().mean().backward()
                witness.call(raw, step)
                raw.zero_grad(set_to_none=False)

        found = None
        if watched:
            with watch(model, raw) as found:
                loop()
        else:
            loop()
        true = witness.moved(lambda name, number: name.startswith("0.") and number >= 3)
        return [p.detach().clone() for p in model.parameters()], true, found

    bare, _, _ = run(watched=False)
    watched, true, leaks = run(watched=True)
    for one, other in zip(bare, watched, strict=True):
        assert torch.equal(one, other)
    assert len(true) == 4
    assert told(leaks) == true
