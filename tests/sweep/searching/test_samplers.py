"""Each sampler: what it proposes depends on the seed and the told trials, and on nothing else."""

import json

import optuna
import pytest

from sweep.errors import MisuseError
from sweep.searching.objective import Objective
from sweep.searching.ranges import parse_ranges
from sweep.searching.samplers import check_sampler, give_state, make_sampler
from sweep.searching.space import Space
from sweep.searching.study import Proposal, StudyInMemory, quiet_optuna
from sweep.values.words import Sampler

ONE = [Objective.DRIFT_RATIO]


@pytest.fixture
def space(spec_of):
    return Space(spec_of(), parse_ranges(["lr=1e-3:1:log", "momentum=0:0.9", "period=2:6"]))


def worth(planned):
    """A made-up objective with one best lr."""
    return -abs(planned.setting.lr - 0.3) - 0.1 * (planned.setting.optimizer == "SGD")


class Search:
    """A made-up search: proposes, tells, and keeps what would be recorded of each trial."""

    def __init__(self, sampler, space, kept=()):
        self.sampler, self.space, self.kept = sampler, space, list(kept)
        if sampler is Sampler.CMAES:
            first = make_sampler(sampler, space, seed=1, proposal=0)
            give_state([trial for trial, _ in self.kept], first, "maximize")
        with quiet_optuna():
            self.in_memory = StudyInMemory(["maximize"], self.kept)

    def go_on(self, until):
        """Proposes and tells until there are so many trials; returns all their parameters."""
        study = self.in_memory.study
        with quiet_optuna():
            for number in range(len(self.kept), until):
                study.sampler = make_sampler(self.sampler, self.space, seed=1, proposal=number)
                trial = study.ask()
                value = worth(self.space.suggest(trial))
                proposal = self.in_memory.proposal(trial.number)
                study.tell(trial, value)
                self.kept.append((recorded(trial, proposal, value), proposal))
        return [trial.params for trial, _ in self.kept]


def recorded(trial, proposal, value):
    """The trial as it comes from a database: with numbers for attributes, and nothing else."""
    found = optuna.trial.create_trial(
        params=trial.params, distributions=trial.distributions, value=value
    )
    proposal = Proposal.model_validate_json(proposal.model_dump_json())
    found.system_attrs = dict(proposal.trial)
    return found


@pytest.mark.parametrize("stops", [[15], [1], [7, 8, 21]], ids=str)
@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_rebuilt_study_goes_on_as_the_first_would_have(sampler, space, monkeypatch, stops):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 6)
    at_once = Search(sampler, space).go_on(24)
    part = Search(sampler, space)
    for stop in stops:
        part.go_on(stop)
        part = Search(sampler, space, part.kept)
    assert part.go_on(24) == at_once


def test_nothing_that_is_kept_is_a_pickle_or_a_text(space):
    search = Search(Sampler.CMAES, space)
    search.go_on(24)
    asked = search.in_memory.study.get_trials(deepcopy=False)
    assert any(name.startswith("cma:optimizer") for t in asked for name in t.system_attrs)
    assert {name for _, proposal in search.kept for name in proposal.trial} == {"cma:generation"}


@pytest.mark.parametrize("sampler", [Sampler.TPE, Sampler.CMAES, Sampler.NSGAII])
def test_what_learns_comes_nearer_to_the_best(sampler, spec_of, monkeypatch):
    space = Space(spec_of(optimizers=["Adam"]), parse_ranges(["lr=1e-3:1:log", "eps"]))
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 10)
    search = Search(sampler, space)
    search.go_on(90)
    values = [trial.value for trial, _ in search.kept]
    assert sum(values[-30:]) > 0.8 * sum(values[:30])


def test_qmc_spreads_words_and_numbers_evenly(space):
    drawn = Search(Sampler.QMC, space).go_on(32)
    periods = [params["period"] for params in drawn]
    assert {periods.count(each) for each in range(2, 7)} <= {6, 7}
    assert [params["zero_grad"] for params in drawn].count("none") == 16
    assert sum(params["lr"] < 10**-1.5 for params in drawn) == 16


def test_cmaes_takes_one_objective(space):
    with pytest.raises(MisuseError, match="cmaes takes one objective; drift_ratio, final_loss"):
        check_sampler(Sampler.CMAES, [*ONE, Objective.FINAL_LOSS], space)


def test_cmaes_needs_a_number_that_every_optimizer_has(spec_of):
    words = Space(spec_of(), parse_ranges(["momentum"]))
    with pytest.raises(MisuseError, match="needs a range of numbers that every optimizer"):
        check_sampler(Sampler.CMAES, ONE, words)
    check_sampler(Sampler.TPE, [*ONE, Objective.FINAL_LOSS], words)


def test_every_optimizer_has_its_turn_with_tpe(space):
    chosen = [params["optimizer"] for params in Search(Sampler.TPE, space).go_on(24)]
    assert chosen[::2] == ["SGD", "Adam", "Adagrad"] * 4


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"number": -1}, "greater than or equal to 0"),
        ({"number": 5, "trial": {"a": 6}}, "a number is larger than that of the trial"),
        ({"number": 5, "study": {"a": [1, 9]}}, "a number is larger than that of the trial"),
        ({"number": 5, "trial": {"cma:optimizer:0": "8004"}}, "valid integer"),
        ({"number": 5, "trial": {"a": {"b": 1}}}, "valid integer"),
        ({"number": 5, "trial": {str(n): 1 for n in range(101)}}, "at most 100 items"),
        ({"number": "5"}, "valid integer"),
        ({"number": 5, "pickle": 1}, "Extra inputs"),
        ([], "should be an object"),
    ],
    ids=str,
)
def test_what_no_sampler_keeps_is_refused(kept, message):
    with pytest.raises(ValueError, match=message):
        Proposal.model_validate_json(json.dumps(kept))


def test_a_number_that_no_search_comes_to_is_refused():
    trial = optuna.trial.create_trial(value=1.0)
    with pytest.raises(ValueError, match="2 trials, and one of them is number 400"):
        StudyInMemory(["maximize"], [(trial, Proposal(number=0)), (trial, Proposal(number=400))])


def test_trials_without_proposals_come_first_and_known_settings_leave_a_gap():
    values = [3.0, 1.0, 2.0]
    trials = [optuna.trial.create_trial(value=value) for value in values]
    proposals = [Proposal(number=3), None, Proposal(number=1)]
    study = StudyInMemory(["maximize"], zip(trials, proposals, strict=True)).study
    assert [trial.value for trial in study.trials] == [1.0, 2.0, None, 3.0]
    assert study.trials[2].state is optuna.trial.TrialState.FAIL
