"""What either kind of database gives back is what a replay is held against."""

from sweep.running.runner import Runner
from sweep.store.store import Store
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad
from sweep.verifying.rerun import replayed
from sweep.verifying.trial_sources import open_trials


def test_a_recorded_trial_agrees_bit_for_bit_and_step_for_step(database_url):
    planned = PlannedTrial(Setting("Adam", 0.1, 0.1, 0.9, ZeroGrad.ZERO), "small", 6)
    with Store.open(database_url) as store:
        sweep = store.record_sweep('it\'s "mine"', "{}", 1)
        store.write(sweep.id, [run_trial(planned, trace=True)])
    records = open_trials(database_url, sweep='it\'s "mine"')
    runner = Runner(1, trace=True)
    (comparison,) = replayed(records, records.numbers, runner)
    assert len(comparison.record.steps) == 6
    assert (comparison.bits, comparison.elsewhere, comparison.agrees) == ((), (), True)
