"""`leaksweep why`: what it prints, and the code it ends with."""

import subprocess
import sys

import pytest

from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad

SMALL = ("--workload", "small", "--steps", "4")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with a trial of SGD that leaks, and one of a class that it names."""
    url = f"sqlite:///{tmp_path_factory.mktemp('why') / 'sweep.db'}"
    leaking = Setting("SGD", 0.1, 0.1, 0.9, zero_grad=ZeroGrad.ZERO)
    named = Setting("planted:Momentum", 0.1, 0.0, None, zero_grad=ZeroGrad.ZERO)
    trials = [PlannedTrial(setting, "small", 4) for setting in (leaking, named)]
    with Store.open(url) as store:
        sweep = store.record_sweep("recorded", "{}", len(trials))
        store.write(sweep.id, [run_trial(trial) for trial in trials])
    return url


def trial_id(database, optimizer):
    with run_query(database, f"SELECT id FROM trial WHERE optimizer = '{optimizer}'") as rows:
        return next(iter(rows))[0]


def test_a_leak_is_explained_from_the_setting_to_the_remedy(leaksweep):
    setting = "optimizer=Adam lr=1 weight_decay=0.5 momentum=0 zero_grad=zero"
    done = leaksweep("why", *setting.split(), *SMALL)
    assert (done.code, done.err.count("\n")) == (0, 1), done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0].startswith(setting)
    assert "workload small, 4 steps" in lines
    text = " ".join(lines)
    assert "leaks: layer1.weight moved on 2 of 2 frozen steps, first on step 1, where its" in text
    assert "Causes: decay." in text
    assert any(line.startswith("decay 1 ") for line in lines)
    assert "history 0 0%" in lines
    assert "all, with the grad set to None 0 0%" in lines
    assert "Weight decay alone moves it by up to 1 (" in text
    assert "Remedy: zero_grad=none," in text
    assert "or weight_decay=0. Each was run, and holds on every frozen step." in text


def test_a_setting_that_holds_says_what_keeps_it_still(leaksweep):
    done = leaksweep("why", "optimizer=SGD", "lr=1", "momentum=0.9", "zero_grad=none", *SMALL)
    text = " ".join(done.out.split())
    assert done.code == 0
    assert "holds: layer1.weight moved on none of 2 frozen steps." in text
    assert "Step 1, had the grad been zeros" in text
    assert "What keeps layer1.weight still is that its grad is None." in text


def test_a_setting_that_zeros_would_not_move_has_no_table(leaksweep):
    done = leaksweep("why", "optimizer=SGD", "lr=1", "momentum=0", "zero_grad=zero", *SMALL)
    assert "largest change" not in done.out
    assert "nothing else moves it" in " ".join(done.out.split())


def test_a_recorded_trial_is_explained_and_compared(leaksweep, database):
    done = leaksweep("why", trial_id(database, "SGD"), "--db", database)
    text = " ".join(done.out.split())
    assert done.code == 0
    assert "leaks: layer1.weight moved on 2 of 2 frozen steps" in text
    assert text.endswith(
        "Recorded: leaks from step 1 on. This run agrees; the environment is the same."
    )


def test_code_that_a_database_names_runs_only_when_allowed(leaksweep, database):
    named = trial_id(database, "planted:Momentum")
    refused = leaksweep("why", named, "--db", database)
    assert (refused.code, refused.out) == (2, "")
    assert f"Trial {named} has optimizer planted:Momentum" in refused.err
    assert "add --allow-import" in refused.err
    allowed = leaksweep("why", named, "--db", database, "--allow-import")
    assert allowed.code == 0
    assert "History alone moves it" in " ".join(allowed.out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("optimizer=SGD",), 2, "zero_grad could be none, zero, never"),
        (("optimizer=Adma", "zero_grad=zero"), 2, "Did you mean Adam"),
        (("optimzer=Adam",), 2, "Unknown axis 'optimzer'. Did you mean optimizer"),
        (("nonsense",), 2, "A setting needs at least optimizer=NAME"),
        (("1", "--steps", "5"), 2, "A recorded trial has its own workload and steps"),
        (("1", "--db", "sqlite:///nowhere/at-all.db"), 1, "nowhere/at-all.db"),
    ],
)
def test_a_mistake_has_one_message_and_no_traceback(leaksweep, arguments, code, message):
    done = leaksweep("why", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_typo_is_answered_before_torch_is_imported():
    code = """
import sys
from sweep.cli.app import main

sys.argv = ["leaksweep", "why", "optimizer=Adma", "zero_grad=zero"]
try:
    main()
finally:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "False\n")


def test_an_unknown_trial_is_not_there(leaksweep, database):
    done = leaksweep("why", "99", "--db", database)
    assert done.code == 1
    assert "There is no trial 99" in done.err
