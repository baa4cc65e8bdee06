"""What a search may propose, optimizer by optimizer, and the way back from a recorded row."""

import json

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.errors import SpecError
from sweep.grid.spec_file import with_overrides
from sweep.searching.ranges import parse_ranges
from sweep.searching.space import Space
from sweep.searching.study import quiet_optuna
from sweep.values.words import ZeroGrad


@pytest.fixture
def space_of(spec_of):
    """Makes the space of a spec, changed by ``--set`` and explored by ``--range``."""

    def make(*ranges, values=(), apart=False, **spec):
        spec = with_overrides(spec_of(**spec), set=values)
        return Space(spec, parse_ranges(ranges), apart=apart)

    return make


def proposed(space, count=40):
    """That many settings drawn at random, each with the parameters it was drawn by."""
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        trials = [study.ask() for _ in range(count)]
        return [(space.suggest(trial), trial.params) for trial in trials]


def row_of(planned):
    """The columns of ``trial`` that a space reads."""
    setting = planned.setting
    axes = {name: getattr(setting, name) for name in setting.__slots__}
    return axes | {"options": planned.options}


def test_words_are_categories_and_ranges_are_numbers(space_of):
    space = space_of("lr=1e-4:1:log", "period=2:5")
    assert space.distributions == {
        "optimizer": CategoricalDistribution(["SGD", "Adam", "Adagrad"]),
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "zero_grad": CategoricalDistribution(["none", "zero"]),
        "period": IntDistribution(2, 5),
    }


def test_a_parameter_is_conditional_on_an_optimizer_that_has_it(space_of):
    space = space_of("momentum=0.1:0.9", "beta2=0.9:0.99", "lr_decay=0:0.1")
    names = {planned.setting.optimizer: set(params) for planned, params in proposed(space)}
    shared = {"optimizer", "zero_grad"}
    assert names == {
        "SGD": shared | {"momentum"},
        "Adam": shared | {"momentum", "beta2"},
        "Adagrad": shared | {"lr_decay"},
    }
    assert all(
        (planned.setting.momentum is None) == (planned.setting.optimizer == "Adagrad")
        for planned, _ in proposed(space)
    )


def test_arguments_of_a_constructor_are_options_of_the_trial(space_of):
    space = space_of("beta2=0.9:0.99", "eps", optimizers=["Adam"])
    ((planned, params),) = proposed(space, 1)
    assert json.loads(planned.options) == {"betas[1]": params["beta2"], "eps": params["eps"]}


def test_options_of_the_spec_stay_and_a_range_goes_before_them(space_of):
    space = space_of("eps", optimizers=["Adam"], extra="[options.Adam]\namsgrad = true\neps = 1.0")
    ((planned, params),) = proposed(space, 1)
    assert json.loads(planned.options) == {"amsgrad": True, "eps": params["eps"]}


def test_periods_are_schedules_by_their_one_name(space_of):
    found = {p.setting.schedule: params["period"] for p, params in proposed(space_of("period=2:4"))}
    assert found == {"alternate": 2, "every:3": 3, "every:4": 4}


def test_what_has_no_range_keeps_its_values(space_of):
    space = space_of("lr", values=["weight_decay=0.25", "seed=3,5"])
    assert {p.setting.weight_decay for p, _ in proposed(space)} == {0.25}
    assert {p.setting.seed for p, _ in proposed(space)} == {3, 5}


def test_optimizers_with_other_values_of_an_axis_have_a_parameter_of_their_own(space_of):
    space = space_of("weight_decay", values=["freeze=detach,lr_zero"], optimizers=["SGD", "LBFGS"])
    assert space.distributions["freeze"] == CategoricalDistribution(["detach", "lr_zero"])
    assert {p.setting.freeze for p, _ in proposed(space) if p.setting.optimizer == "LBFGS"} == {
        "detach"
    }
    own = space_of(
        "lr", optimizers=["SGD"], extra='\n[[grid]]\noptimizer = ["Adam"]\nseed = [1, 2]'
    )
    assert own.distributions["zero_grad"] == CategoricalDistribution(["none", "zero"])
    assert own.distributions["zero_grad of Adam"] == CategoricalDistribution(
        ["none", "zero", "never"]
    )


def test_numbers_can_be_kept_apart_by_optimizer(space_of):
    space = space_of("lr", apart=True, optimizers=["SGD", "Adam"])
    assert set(space.distributions) == {"optimizer", "lr of SGD", "lr of Adam", "zero_grad"}
    assert set(space_of("lr", apart=True, optimizers=["SGD"]).distributions) == {"lr", "zero_grad"}


def test_the_numbers_that_all_have_are_known(space_of):
    assert space_of("lr", "momentum", "eps").common == ("lr",)
    assert space_of("momentum").common == ()


def test_a_recorded_row_has_the_parameters_that_it_was_proposed_by(space_of):
    space = space_of("lr", "momentum", "beta2", "eps", "period", values=["freeze=detach,grad_none"])
    for planned, params in proposed(space):
        assert space.parameters(row_of(planned)) == params


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (["beta2"], r"No optimizer of the search \(SGD, Adagrad\) has a number 'beta2'"),
        (["ep=0:1"], "has a number 'ep'. Did you mean eps"),
        (["lrr=0:1"], "Did you mean lr"),
        (["seed=0:5"], "has a number 'seed'.* Valid: lr, weight_decay, momentum"),
        (["nesterov=0:1"], "has a number 'nesterov'"),
    ],
)
def test_a_range_that_nothing_has_is_told_with_those_that_are(space_of, ranges, message):
    with pytest.raises(SpecError, match=message):
        space_of(*ranges, optimizers=["SGD", "Adagrad"])


def test_beta1_must_stay_below_1(space_of):
    with pytest.raises(SpecError, match=r"Adam takes a momentum \(betas\[0\]\) below 1; .* at 1"):
        space_of("momentum=0:1")


def test_a_search_without_a_range_is_a_sweep(spec_of):
    with pytest.raises(SpecError, match=r"No range is left to search: .* `leaksweep run` runs all"):
        Space(spec_of(), {})


def test_a_search_without_a_setting_is_none(space_of):
    with pytest.raises(SpecError, match="No setting is left to search: LBFGS: takes no parameter"):
        space_of("lr", values=["optimizer=LBFGS", "freeze=lr_zero"])


def test_a_recorded_word_is_the_one_that_is_proposed(space_of):
    space = space_of("lr=0.1:1", optimizers=["SGD"])
    recorded = {"optimizer": "SGD", "lr": 0.5, "zero_grad": "zero", "options": "{}"}
    assert space.parameters(recorded)["zero_grad"] is ZeroGrad.ZERO
    with pytest.raises(ValueError, match="not in"):
        space.parameters(recorded | {"zero_grad": "sometimes"})
