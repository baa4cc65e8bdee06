"""What a watch says of ordinary loops, and that it leaves nothing behind."""

import copy
import io

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


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "SGD decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "AdamW amsgrad": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "Adam no momentum": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.99)),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
LEAKING_WITH_ZEROS = {
    "SGD momentum": "history",
    "SGD decay": "decay",
    "Adam": "history",
    "Adam foreach": "history",
    "Adam fused": "history",
    "AdamW": "history, decay",
    "AdamW amsgrad": "history, decay",
    "ASGD": "intrinsic",
    "NAdam": "history",
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_grads_of_none_nothing_leaks(model, train, name):
    optimizer = OPTIMIZERS[name](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer)
    assert leaks.leaks == ()
    leaks.raise_if_any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_grads_of_zeros_what_leaks_is_found_and_explained(model, train, name):
    optimizer = OPTIMIZERS[name](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    expected = LEAKING_WITH_ZEROS.get(name)
    assert leaking(leaks) == (FIRST if expected else set())
    assert {str(leak.explanation) for leak in leaks.leaks if leak.step == 1} == (
        {expected} if expected else set()
    )
    assert all(leak.step % 2 == 1 and leak.explanation is None for leak in leaks.leaks[1:3])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_training_under_watch_gives_the_same_bits(model, train, name, granularity):
    other = copy.deepcopy(model)
    bare, watched = (OPTIMIZERS[name](each.parameters()) for each in (model, other))
    start = torch.get_rng_state()
    train(model, bare, to_none=False)
    torch.set_rng_state(start)
    with watch(other, watched, granularity=granularity):
        train(other, watched, to_none=False)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    one, two = bare.state_dict(), watched.state_dict()
    assert one["param_groups"] == two["param_groups"]
    assert one["state"].keys() == two["state"].keys()
    for key, state in one["state"].items():
        for entry, value in state.items():
            same = two["state"][key][entry]
            assert torch.equal(value, same) if torch.is_tensor(value) else value == same


def test_a_layer_that_held_before_its_first_gradient_is_explained_when_it_leaks(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 6, detached=lambda step: step != 2, to_none=False)
    assert {leak.step for leak in leaks.leaks} == {3, 4, 5}
    assert {str(leak.explanation) for leak in leaks.leaks if leak.step == 3} == {"history"}


def test_a_stale_grad_is_found_as_the_cause(model, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step > 1).sum().backward()
            optimizer.step()
    assert leaking(leaks) == FIRST
    table = leaks.table()
    assert set(table.loc[table.step == 2, "cause"]) == {"gradient"}
    assert set(table.grad) == {"nonzero"}


def test_clipping_a_stale_grad_is_no_gradient(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step > 1).square().sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {2, 3}


@pytest.mark.parametrize("to_none", [True, False])
def test_clipping_a_fresh_gradient_is_no_leak(model, to_none):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(4):
            model(torch.randn(5, 4)).square().sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    assert leaks.leaks == ()


def test_a_gradient_from_any_of_several_backward_calls_counts(model):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for step in range(6):
            for part in range(3):
                detach = part != 0 or step >= 4
                (model(torch.randn(5, 4), detach=detach).sum() / 3).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert {leak.step for leak in leaks.leaks} == {4, 5}


def test_requires_grad_toggled_during_training_is_followed(model):
    optimizer = torch.optim.Adam(model.parameters())
    model.first.requires_grad_(False)
    with watch(model, optimizer) as leaks:
        for step in range(9):
            model.first.requires_grad_(step % 3 == 1)
            model(torch.randn(5, 4)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {2, 3, 5, 6, 8}
    assert model.first.weight.requires_grad is False


def test_parameters_added_later_are_watched_from_then_on(model, train):
    optimizer = torch.optim.SGD(model.second.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 3, to_none=False)
        optimizer.add_param_group({"params": model.first.parameters()})
        model.zero_grad(set_to_none=False)
        train(model, optimizer, 3, to_none=False)
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {4}


def test_a_layer_that_the_model_gains_later_is_watched_too(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    with watch(model, optimizer) as leaks:
        model.third = nn.Linear(2, 2)
        optimizer.add_param_group({"params": model.third.parameters()})
        for parameter in model.third.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for _ in range(2):
            model(torch.randn(5, 4)).sum().backward()
            optimizer.step()
    assert leaking(leaks) == {"third.weight", "third.bias"}


@pytest.mark.parametrize("to_none", [True, False])
def test_a_skipped_step_neither_hides_a_leak_nor_makes_one(model, to_none):
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            loss = model(torch.randn(5, 4), detach=step == 3).square().sum()
            scaler.scale(loss * float("inf") if step == 2 else loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=to_none)
    assert leaks.findings.steps == [3]
    assert leaking(leaks) == (set() if to_none else FIRST)
    assert {leak.step for leak in leaks.leaks} == (set() if to_none else {2})


def test_lbfgs_moves_a_layer_whose_grad_is_none_and_no_other_is_blamed(model):
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(5, 4)
    with watch(model, optimizer) as leaks:
        for step in range(4):

            def closure(step=step):
                optimizer.zero_grad()
                loss = model(x, detach=step == 3).square().sum()
                loss.backward()
                return loss

            optimizer.step(closure)
    assert leaking(leaks) == FIRST
    assert set(leaks.table().cause) == {"despite None"}
    assert set(leaks.table().step) == {3}


def test_two_optimizers_are_judged_by_their_own_steps(model):
    one = torch.optim.SGD(model.first.parameters(), lr=0.1, momentum=0.9)
    two = torch.optim.Adam(model.second.parameters())
    with watch(model, one, two) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step == 3).sum().backward()
            two.step()
            two.zero_grad()
            if step > 0:
                one.step()
                one.zero_grad(set_to_none=False)
    assert leaking(leaks) == FIRST
    assert leaks.findings.steps == [3, 4]
    assert {(leak.optimizer, leak.step) for leak in leaks.leaks} == {(0, 2)}


def test_a_tied_parameter_is_one_and_a_gradient_by_either_use_counts():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    optimizer = torch.optim.Adam(model.parameters())
    words = torch.tensor([1, 2])
    with watch(model, optimizer, frozen=None) as leaks:
        for step in range(3):
            hidden = model["embedding"](words)
            model["head"](hidden.detach() if step else hidden).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert leaks.leaks == ()
    with watch(model, optimizer, frozen=["head.weight"]) as leaks:
        model["head"](model["embedding"](words)).sum().backward()
        optimizer.step()
    assert leaking(leaks) == {"embedding.weight"}


def test_sparse_grads_are_gradients(model):
    embedding = nn.Embedding(6, 2, sparse=True)
    optimizer = torch.optim.SparseAdam(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer) as leaks:
        for step in range(4):
            if step < 2:
                embedding(torch.tensor([step])).sum().backward()
            optimizer.step()
            if step < 1:
                optimizer.zero_grad()
    assert [leak.step for leak in leaks.leaks] == [2, 3]  # its grad is stale
    assert str(leaks.leaks[0].explanation) == "gradient"


def test_experts_that_no_token_was_routed_to_are_quiet():
    experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
    optimizer = torch.optim.AdamW(experts.parameters(), lr=0.1)
    with watch(experts, optimizer) as leaks:
        for step in range(6):
            experts[step % 3](torch.randn(4, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    weights = {(leak.parameter, leak.step) for leak in leaks.leaks if "weight" in leak.parameter}
    unrouted = {"0.weight": (1, 2, 4, 5), "1.weight": (2, 3, 5), "2.weight": (3, 4)}
    assert weights == {(name, step) for name, steps in unrouted.items() for step in steps}


def test_a_grad_that_is_assigned_by_hand_is_a_gradient(model):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
    assert leaks.leaks == ()


def test_a_gradient_that_was_there_before_the_watch_counts_unless_it_is_zeros(model, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, 2, to_none=False)
    model(torch.randn(5, 4), detach=True).sum().backward()
    with watch(model, optimizer) as leaks:
        optimizer.step()
    assert leaking(leaks) == FIRST
    model(torch.randn(5, 4)).sum().backward()
    with watch(model, optimizer) as leaks:
        optimizer.step()
    assert leaks.leaks == ()


def test_zeros_that_arrive_count_unless_asked_otherwise(model):
    model.first.weight.register_hook(torch.zeros_like)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    found = []
    for zeros_count in (True, False):
        with watch(model, optimizer, zeros_count=zeros_count) as leaks:
            model(torch.randn(5, 4)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        found.append([(leak.parameter, str(leak.explanation)) for leak in leaks.leaks])
    assert found == [[], [("first.weight", "decay")]]


def test_frozen_parameters_must_not_move_even_if_a_gradient_reaches_them(model, train):
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer, frozen=["first"]) as leaks:
        train(model, optimizer, 2, detached=lambda _: False)
    assert leaking(leaks) == FIRST
    assert set(leaks.table().cause.dropna()) == {"decay, gradient"}


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


def test_no_more_is_held_than_a_copy_of_what_got_no_gradient(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    first = sum(parameter.nbytes for parameter in model.first.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 1)
        assert leaks.held_bytes == 0
        train(model, optimizer, 1, detached=lambda _: True)
        assert leaks.held_bytes == first


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
    assert "cause: history, decay" in text
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
