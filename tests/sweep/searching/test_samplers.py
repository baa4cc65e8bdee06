"""Each sampler: what it proposes depends on the seed and the told trials, and on nothing else."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.errors import MisuseError
from sweep.searching.objective import Objective
from sweep.searching.own_samplers import Generations, place_of, value_at
from sweep.searching.ranges import parse_ranges
from sweep.searching.samplers import Sampler, check_sampler, make_sampler
from sweep.searching.space import Space
from sweep.searching.study import quiet_optuna

ONE = [Objective.DRIFT_RATIO]


@pytest.fixture
def space(spec_of):
    return Space(spec_of(), parse_ranges(["lr=1e-3:1:log", "momentum=0:0.9", "period=2:6"]))


def worth(planned):
    """A made-up objective with one best lr."""
    return -abs(planned.setting.lr - 0.3) - 0.1 * (planned.setting.optimizer == "SGD")


def went_on(sampler, space, study, until):
    """Proposes and tells until the study has so many trials; returns all their parameters."""
    with quiet_optuna():
        for number in range(len(study.trials), until):
            study.sampler = make_sampler(sampler, space, seed=1, proposal=number)
            trial = study.ask()
            study.tell(trial, worth(space.suggest(trial)))
    return [trial.params for trial in study.trials]


def copied(study):
    """A study of the same trials with nothing else, as it is when it comes from a database."""
    copy = optuna.create_study(direction="maximize")
    for trial in study.trials:
        copy.add_trial(
            optuna.trial.create_trial(
                params=trial.params, distributions=trial.distributions, value=trial.value
            )
        )
    return copy


@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_rebuilt_study_goes_on_as_the_first_would_have(sampler, space, monkeypatch):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 6)
    with quiet_optuna():
        whole, part = (optuna.create_study(direction="maximize") for _ in range(2))
    at_once = went_on(sampler, space, whole, 24)
    went_on(sampler, space, part, 15)
    assert went_on(sampler, space, copied(part), 24) == at_once


@pytest.mark.parametrize("sampler", [Sampler.TPE, Sampler.CMAES, Sampler.NSGAII])
def test_what_learns_comes_nearer_to_the_best(sampler, spec_of, monkeypatch):
    space = Space(spec_of(optimizers=["Adam"]), parse_ranges(["lr=1e-3:1:log", "eps"]))
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 10)
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")
    went_on(sampler, space, study, 90)
    values = [trial.value for trial in study.trials]
    assert sum(values[-30:]) > 0.8 * sum(values[:30])


def test_qmc_spreads_words_and_numbers_evenly(space):
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")
    drawn = went_on(Sampler.QMC, space, study, 32)
    periods = [params["period"] for params in drawn]
    assert {periods.count(each) for each in range(2, 7)} <= {6, 7}
    assert [params["zero_grad"] for params in drawn].count("none") == 16
    assert sum(params["lr"] < 10**-1.5 for params in drawn) == 16


def test_a_generation_is_so_many_trials_in_their_order():
    study = optuna.create_study()
    study.add_trials(optuna.trial.create_trial(value=float(value)) for value in range(7))
    sampler = Generations(population_size=3)
    found = [[t.value for t in sampler.get_population(study, g)] for g in range(3)]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert sampler.get_trial_generation(study, study.trials[0]) == 2


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(0.0, 2.0), [0.0, 0.5, 2.0]),
        (FloatDistribution(1e-4, 1.0, log=True), [1e-4, 0.01, 1.0]),
        (IntDistribution(2, 5), [2, 4, 5]),
    ],
    ids=str,
)
def test_places_and_values_are_each_others_way_back(distribution, values):
    for value in values:
        place = place_of(distribution, value)
        assert 0 <= place <= 1
        assert value_at(distribution, place) == pytest.approx(value)


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_the_ends_are_values(place):
    for kind in (
        FloatDistribution(1e-4, 0.3, log=True),
        IntDistribution(2, 5),
        CategoricalDistribution(["a", "b"]),
    ):
        assert kind._contains(kind.to_internal_repr(value_at(kind, place)))


def test_what_is_no_distribution_of_a_space_has_no_place():
    with pytest.raises(TypeError, match="CategoricalDistribution"):
        place_of(CategoricalDistribution(["a"]), 1.0)
    with pytest.raises(TypeError, match="object"):
        value_at(object(), 0.0)


def test_cmaes_takes_one_objective(space):
    with pytest.raises(MisuseError, match="cmaes takes one objective; drift_ratio, final_loss"):
        check_sampler(Sampler.CMAES, [*ONE, Objective.FINAL_LOSS], space)


def test_cmaes_needs_a_number_that_every_optimizer_has(spec_of):
    words = Space(spec_of(), parse_ranges(["momentum"]))
    with pytest.raises(MisuseError, match="needs a range of numbers that every optimizer"):
        check_sampler(Sampler.CMAES, ONE, words)
    check_sampler(Sampler.TPE, [*ONE, Objective.FINAL_LOSS], words)


def test_every_optimizer_has_its_turn_with_tpe(space):
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")
    chosen = [params["optimizer"] for params in went_on(Sampler.TPE, space, study, 24)]
    assert chosen[::2] == ["SGD", "Adam", "Adagrad"] * 4


def test_tpe_proposes_what_optunas_own_does(space, monkeypatch):
    with quiet_optuna():
        ours, theirs = (optuna.create_study(direction="maximize") for _ in range(2))
    found = went_on(Sampler.TPE, space, ours, 30)
    monkeypatch.setattr("sweep.searching.own_samplers.Tpe", optuna.samplers.TPESampler)
    assert went_on(Sampler.TPE, space, theirs, 30) == found
