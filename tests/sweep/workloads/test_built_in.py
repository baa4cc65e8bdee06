"""The built-in workloads and the import of a user's own."""

import sys
import types

import pytest
import torch
from torch import nn

from sweep.errors import WorkloadError
from sweep.workloads.built_in import ArticleNet, build_workload
from sweep.workloads.sizes import default_steps
from sweep.workloads.workload import Workload


@pytest.fixture
def own_module(monkeypatch):
    """A module that a user might have, importable as ``own_work``."""
    module = types.ModuleType("own_work")
    monkeypatch.setitem(sys.modules, "own_work", module)
    return module


def nothing(model, data, step):
    return model(data).sum()


def test_the_article_is_the_articles_size():
    workload = build_workload("article", seed=0)
    x, y = workload.data
    assert x.shape == (5000, 196)
    assert x.dtype is torch.float32
    assert y.shape == (5000,)
    assert set(y.tolist()) == {0, 1, 2}
    shapes = {name: tuple(p.shape) for name, p in workload.model.named_parameters()}
    assert shapes == {"layer1.weight": (64, 196), "layer2.weight": (3, 64)}
    assert list(workload.frozen_parameters()) == ["layer1.weight"]
    assert list(workload.other_parameters()) == ["layer2.weight"]
    assert default_steps("article") == 100


def test_the_small_one_is_the_same_at_another_size():
    workload = build_workload("small", seed=0)
    assert workload.data[0].shape == (256, 16)
    assert workload.model.layer1.weight.shape == (8, 16)
    assert default_steps("small") == 20
    assert default_steps("own_work:build") == 100


@pytest.mark.parametrize("name", ["article", "small"])
def test_a_seed_decides_the_data_and_the_model(name):
    one, same, other = (build_workload(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.data[0], same.data[0])
    assert torch.equal(one.model.layer1.weight, same.model.layer1.weight)
    assert not torch.equal(one.data[0], other.data[0])
    assert not torch.equal(one.model.layer1.weight, other.model.layer1.weight)


def test_training_one_model_leaves_the_next_as_it_was():
    first = build_workload("small", seed=0)
    with torch.no_grad():
        first.model.layer1.weight.zero_()
    assert build_workload("small", seed=0).model.layer1.weight.any()


def test_detaching_layer1_lets_no_gradient_reach_it():
    model = ArticleNet(features=4, hidden=3)
    model(torch.ones(2, 4), detach_layer1=True).sum().backward()
    assert model.layer1.weight.grad is None
    assert model.layer2.weight.grad is not None
    model(torch.ones(2, 4)).sum().backward()
    assert model.layer1.weight.grad is not None


def test_a_users_own_function_is_called_with_the_seed(own_module):
    def build(seed):
        return Workload(nn.Linear(2, 1), torch.full((3, 2), float(seed)), nothing, ("weight",))

    own_module.build = build
    workload = build_workload("own_work:build", seed=5)
    assert workload.data[0, 0] == 5.0


def test_a_users_own_function_finds_the_generators_seeded(own_module):
    own_module.build = lambda seed: Workload(nn.Linear(2, 1), None, nothing, ("weight",))
    one, same = (build_workload("own_work:build", seed=2).model.weight for _ in range(2))
    assert torch.equal(one, same)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:build", "cannot be imported: No module named 'no_such_module'"),
        ("own_work:missing", "cannot be imported: module 'own_work' has no attribute 'missing'"),
        ("own_work:wrong", "returned NoneType; it takes a seed and returns a leaksweep.Workload"),
    ],
)
def test_a_function_that_is_no_workload_is_told_so(own_module, name, message):
    own_module.wrong = lambda seed: None
    with pytest.raises(WorkloadError, match=message):
        build_workload(name, seed=0)


def test_a_parameter_that_the_model_lacks_is_answered_with_the_nearest():
    with pytest.raises(WorkloadError, match=r"freezes 'wieght', which the model has not.*weight"):
        Workload(nn.Linear(2, 1), None, nothing, ("wieght",))


def test_a_workload_that_freezes_nothing_is_refused():
    with pytest.raises(WorkloadError, match="names at least one parameter to freeze; none came"):
        Workload(nn.Linear(2, 1), None, nothing, ())


def test_the_modules_that_own_frozen_parameters_come_once_each():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    workload = Workload(model, None, nothing, ("0.weight", "0.bias", "1.weight"))
    assert workload.frozen_modules() == [model[0], model[1]]
