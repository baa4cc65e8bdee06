"""Lightning's averaging of weights, with BatchNorm, ends with a step on stale grads."""

import re
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its import says is Lightning's affair
    pytest.importorskip("lightning.pytorch")
    from sweep.integrations.lightning import WatchLeaks

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning advises on workers and loggers
ROUNDING = 1e-6


@pytest.fixture
def example():
    from examples import swa_batchnorm

    return swa_batchnorm


def test_without_batch_norm_what_is_left_is_the_average(example):
    found = example.fit(batch_norm=False)
    assert (found.extra_steps, found.length) == (0, 0.0)
    assert found.off < ROUNDING


def test_with_batch_norm_one_more_step_moves_the_weights_off_the_average(example):
    found = example.fit(batch_norm=True)
    assert found.extra_steps == 1
    assert 0.5 < found.length < 3.0
    assert found.off > 1000 * ROUNDING
    assert found.loss != found.loss_of_average


def test_grads_set_to_none_as_each_epoch_begins_leave_the_average(example):
    found = example.fit(batch_norm=True, remedy=True)
    assert (found.extra_steps, found.length) == (1, 0.0)
    assert found.off < ROUNDING


def test_watch_shows_the_step_and_that_the_grads_were_stale(example):
    watching = WatchLeaks()
    example.train(example.Classifier(batch_norm=True), [example.averaging(), watching])
    table = watching.leaks.table()
    last = watching.leaks.findings.steps[0] - 1
    moved = {f"net.{layer}.{kind}" for layer in (0, 1, 3) for kind in ("weight", "bias")}
    of_rounding = {"net.0.bias"}  # BatchNorm takes it out again: its gradient is rounding alone
    assert set(table["parameter"]) | of_rounding == moved
    assert set(table["step"]) == {last}
    assert set(table["grad"]) == {"nonzero"}


def test_the_script_tells_all_three(example, capsys):
    example.main()
    printed = capsys.readouterr().out
    steps = re.findall(r"last epoch that trains: (\d), ", printed)
    assert steps == ["0", "1", "1"]
