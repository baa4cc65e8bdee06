"""The callback for Lightning, in Lightning's own trainer."""

import logging
import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from sweep.errors import LeakError, MisuseError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its import says is Lightning's affair
    lightning = pytest.importorskip("lightning.pytorch")
    from sweep.integrations.lightning import WatchLeaks

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning advises on workers and loggers


class Module(lightning.LightningModule):
    """Freezes the body on odd batches; clears grads to zeros unless told otherwise."""

    def __init__(self, net, *, manual, set_to_none, fails_at=None):
        super().__init__()
        self.net = net
        self.automatic_optimization = not manual
        self.set_to_none = set_to_none
        self.fails_at = fails_at

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad(set_to_none=self.set_to_none)

    def training_step(self, batch, batch_idx):
        if batch_idx == self.fails_at:
            raise RuntimeError("the data ran dry")
        loss = self.net(batch, detach_body=batch_idx % 2 == 1).square().mean()
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad(set_to_none=self.set_to_none)
            self.manual_backward(loss)
            optimizer.step()
        return loss


@pytest.fixture
def fit(tmp_path):
    """Fits a module with these callbacks and returns the trainer's optimizer."""

    def run(module, *callbacks):
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            callbacks=list(callbacks),
        )
        try:
            trainer.fit(module, DataLoader(torch.randn(24, 4), batch_size=4))
        finally:
            run.optimizers = trainer.optimizers
        return trainer.optimizers[0]

    return run


@pytest.mark.parametrize("manual", [True, False])
def test_a_detached_layer_that_moves_on_zeros_is_caught(net, fit, manual):
    callback = WatchLeaks()
    fit(Module(net, manual=manual, set_to_none=False), callback)
    table = callback.leaks.table()
    assert set(table["parameter"]) == {"net.body.weight", "net.body.bias"}
    assert set(table["step"]) == {1, 3, 5}
    assert set(table["grad"]) == {"zero"}
    assert set(table["cause"].dropna()) == {"decay, history"}


@pytest.mark.parametrize("manual", [True, False])
def test_grads_set_to_none_hold(net, fit, manual):
    callback = WatchLeaks(raises=True)
    fit(Module(net, manual=manual, set_to_none=True), callback)
    assert callback.leaks.leaks == ()
    assert callback.leaks.findings.steps == [6]


def test_the_options_reach_the_watch(net, fit):
    callback = WatchLeaks(frozen=["net.head"])
    fit(Module(net, manual=True, set_to_none=True), callback)
    assert set(callback.leaks.table()["parameter"]) == {"net.head.weight", "net.head.bias"}


def test_fit_ends_with_what_was_to_train_and_did_not(net, fit):
    net.body.requires_grad_(False)
    with pytest.raises(LeakError, match=r"should train and did not.*net\.body"):
        fit(Module(net, manual=True, set_to_none=True), WatchLeaks(trainable=net.body, raises=True))


def test_the_advice_is_what_lightning_lets_one_do(net, fit):
    callback = WatchLeaks()
    fit(Module(net, manual=False, set_to_none=False), callback)
    assert "do not override optimizer_zero_grad" in callback.leaks.summary()


def test_fit_ends_with_the_leak_if_asked_to(net, fit, hooks_on):
    with pytest.raises(LeakError, match=r"net\.body\.weight"):
        fit(Module(net, manual=True, set_to_none=False), WatchLeaks(raises=True))
    assert [hooks_on(optimizer) for optimizer in fit.optimizers] == [0]


def test_fit_ends_with_a_warning_in_the_log_if_not(net, fit, caplog):
    with caplog.at_level(logging.WARNING, logger="sweep"):
        fit(Module(net, manual=True, set_to_none=False), WatchLeaks())
    assert "2 of 4 parameters moved when they should have kept still" in caplog.text


def test_no_hook_stays_behind(net, fit, hooks_on):
    assert hooks_on(fit(Module(net, manual=True, set_to_none=False), WatchLeaks())) == 0


def test_no_hook_stays_behind_an_exception_and_what_was_found_is_there(net, fit, hooks_on):
    callback = WatchLeaks()
    with pytest.raises(RuntimeError, match="the data ran dry"):
        fit(Module(net, manual=True, set_to_none=False, fails_at=2), callback)
    assert [hooks_on(optimizer) for optimizer in fit.optimizers] == [0]
    assert set(callback.leaks.table()["step"]) == {1}


def test_a_callback_that_saw_no_training_says_so():
    with pytest.raises(MisuseError, match="has watched no training yet: hand it to a trainer"):
        _ = WatchLeaks().leaks


def test_the_page_s_example_prints_what_leaks(net, documented, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # Lightning logs there
    module = Module(net, manual=False, set_to_none=False)
    data = DataLoader(torch.randn(24, 4), batch_size=4)
    exec(documented("lightning"), {"module": module, "data": data})
    assert "2 of 4 parameters moved when they should have kept still" in capsys.readouterr().out
