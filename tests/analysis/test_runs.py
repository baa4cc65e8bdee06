from analysis.runs import load_runs
from analysis.schema import COUNT


def test_what_trials_ran_with_is_a_row_with_their_number_and_time(database):
    url = database(other=[{"seed": 9}], s=[{}, {"seed": 1}, {"seed": 2}])
    (run,) = load_runs(url, "s").to_dict("records")
    assert (run["torch"], run["device"], run[COUNT]) == ("2.13.0", "cpu", 3)
    assert run["optimizer_package"] == "torch 2.13.0"
    assert run["train_seconds"] > 0
    assert f"{run['finished_at']:%z}" == "+0000"


def test_a_sweep_without_trials_ran_with_nothing(database):
    assert load_runs(database(s=[]), "s").empty
