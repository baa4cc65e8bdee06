"""What a watch leaves behind, holds, takes and refuses."""

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

import sweep
from sweep import watch
from sweep.errors import LeakError, MisuseError, UnknownNameError

FIRST = {"first.weight", "first.bias"}


def leaking(leaks):
    return {leak.parameter for leak in leaks.leaks}


def test_a_failing_loop_leaves_no_hook_either(model):
    optimizer = torch.optim.Adam(model.parameters())

    def hooks():
        of_parameters = [
            (len(p._post_accumulate_grad_hooks or ()), len(p._backward_hooks or ()))
            for p in model.parameters()
        ]
        return (
            of_parameters,
            len(optimizer._optimizer_step_pre_hooks),
            len(optimizer._optimizer_step_post_hooks),
        )

    before = hooks()
    during = []

    def fail():
        with watch(model, optimizer, granularity="row"):
            during.append(hooks())
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert during != [before]
    assert hooks() == before
    with watch(model, optimizer) as leaks:
        pass
    assert hooks() == before
    assert leaks.held_bytes == 0
    assert leaks.summary() == "No step was taken; 4 parameters were watched."


def test_a_finished_watch_keeps_no_model_and_no_optimizer_alive():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer) as leaks:
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        optimizer.step()
    kept = [weakref.ref(each) for each in (model, optimizer, model.weight)]
    del model, optimizer
    gc.collect()
    assert [ref() for ref in kept] == [None, None, None]
    assert "2 of 2 parameters moved" in leaks.summary()


def test_hooks_of_ones_own_stay(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    seen = []
    model.first.weight.register_post_accumulate_grad_hook(lambda _: seen.append("grad"))
    optimizer.register_step_post_hook(lambda *_: seen.append("step"))
    with watch(model, optimizer):
        pass
    train(model, optimizer, 1)
    assert seen == ["grad", "step"]


def test_rehearsals_call_no_hook_and_no_scheduler_of_the_users(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    stepped = []
    handle = register_optimizer_step_pre_hook(lambda *_: stepped.append("step"))
    try:
        with watch(model, optimizer):
            train(model, optimizer, 4, to_none=False)
    finally:
        handle.remove()
    scheduler.step()
    assert stepped == ["step"] * 4


def test_a_model_under_watch_can_be_copied_and_saved(model):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer):
        copy.deepcopy(model)
        torch.save(model, io.BytesIO())
        torch.save(optimizer.state_dict(), io.BytesIO())


def test_no_more_is_held_than_sixteen_bytes_a_parameter_and_a_copy_of_what_leaks(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    first = sum(parameter.nbytes for parameter in model.first.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 1)
        train(model, optimizer, 1, detached=lambda _: True)
        assert leaks.held_bytes == 4 * 16
        train(model, optimizer, 2, to_none=False)
        assert leaks.held_bytes == 4 * 16 + first


def test_named_parameters_will_do_in_place_of_a_model(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    for named in (model.first.named_parameters(), dict(model.first.named_parameters())):
        with watch(named, optimizer) as leaks:
            train(model, optimizer, 4, to_none=False)
        assert leaking(leaks) == {"weight", "bias"}


def test_without_causes_leaks_are_found_all_the_same(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer, causes=False) as leaks:
        train(model, optimizer, to_none=False)
    assert leaking(leaks) == FIRST
    assert set(leaks.table().cause.dropna()) == {"unknown"}


def test_a_leak_fails_a_test_with_names_causes_and_the_remedy(model, train):
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    with pytest.raises(AssertionError, match="step\\(\\) moved 2 parameters") as raised:
        leaks.raise_if_any()
    assert isinstance(raised.value, LeakError)
    assert raised.value.parameters == ("first.weight", "first.bias")
    text = str(raised.value)
    assert "first.bias: 3 of 3 steps, first at step 1" in text
    assert "cause: decay, history" in text
    assert "optimizer.zero_grad(set_to_none=True)" in text


def misuse_no_optimizer(model):
    watch(model)


def misuse_foreign_optimizer(model):
    watch(model, torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0))


def misuse_no_object_of_torch(model):
    watch(model, object())


def misuse_tensors_without_names(model):
    watch(list(model.parameters()), torch.optim.SGD(model.parameters(), lr=1.0))


def misuse_nothing_to_watch(model):
    watch(3, torch.optim.SGD(model.parameters(), lr=1.0))


def misuse_nested(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with watch(model, optimizer), watch(model, optimizer):
        pass


def misuse_entered_twice(model):
    watching = watch(model, torch.optim.SGD(model.parameters(), lr=1.0))
    with watching:
        pass
    with watching:
        pass


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (misuse_no_optimizer, "watch needs the optimizers whose steps it is to look at"),
        (misuse_foreign_optimizer, "SGD holds none of the model's parameters.*Build it from"),
        (misuse_no_object_of_torch, "torch.optim.Optimizer, .* object is none"),
        (misuse_tensors_without_names, "named parameters.*Parameter has no names"),
        (misuse_nothing_to_watch, "int has no names"),
        (misuse_nested, "This SGD is being watched already"),
        (misuse_entered_twice, "A watch is entered once"),
    ],
)
def test_bad_use_is_told_clearly(model, misuse, message):
    with pytest.raises(MisuseError, match=message):
        misuse(model)


@pytest.mark.parametrize(
    ("frozen", "nearest"),
    [("frist", "first"), ("first.wieght", "first.weight")],
)
def test_frozen_names_that_the_model_lacks_are_answered_with_the_nearest(model, frozen, nearest):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    message = f"Unknown parameter or module '{frozen}'. Did you mean {nearest}"
    with pytest.raises(UnknownNameError, match=message):
        watch(model, optimizer, frozen=[frozen])


def test_an_unknown_granularity_is_answered_with_the_known_ones(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(UnknownNameError, match=r"Unknown granularity 'rows'. Did you mean row"):
        watch(model, optimizer, granularity="rows")


def test_sweep_gives_watch_and_workload_and_nothing_else():
    assert sweep.watch is watch
    assert sweep.Workload.__name__ == "Workload"
    with pytest.raises(AttributeError, match="no attribute 'wacth'"):
        _ = sweep.wacth
