"""The callback for Hugging Face's Trainer, in that trainer, on a tiny random model."""

import logging

import pytest
import torch
from torch.utils.data import Dataset

from sweep.errors import LeakError, MisuseError

pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")
from sweep.integrations.transformers import WatchLeaks  # noqa: E402  # needs the line above

pytestmark = pytest.mark.filterwarnings("ignore")  # what it deprecates is its own affair

EMBEDDING = "bert.embeddings.position_embeddings.weight"


class Sentences(Dataset):
    """Eight sentences of six words, of two classes; the seventh fails if asked to."""

    def __init__(self, *, fails=False):
        generator = torch.Generator().manual_seed(0)
        self.words = torch.randint(30, (24, 6), generator=generator)
        self.fails = fails

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        if self.fails and index == 14:
            raise RuntimeError("the data ran dry")
        return {"input_ids": self.words[index], "labels": torch.tensor(index % 2)}


@pytest.fixture
def model():
    """A classifier with one layer and random weights."""
    config = transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config)


@pytest.fixture
def masked(model):
    """The model with its position embedding masked by a hook that zeroes the gradient."""
    model.get_parameter(EMBEDDING).register_hook(torch.zeros_like)
    return model


@pytest.fixture
def trainer_of(tmp_path):
    """A trainer of six steps with weight decay on everything."""

    def make(model, *callbacks, fails=False):
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=6,
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
        return transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=Sentences(fails=fails),
            callbacks=list(callbacks),
            optimizers=(optimizer, None),
        )

    return make


def test_a_masked_parameter_that_decays_is_caught(masked, trainer_of):
    callback = WatchLeaks(zeros_count=False)
    trainer_of(masked, callback).train()
    table = callback.leaks.table()
    assert set(table["parameter"]) == {EMBEDDING}
    assert list(table["step"]) == list(range(6))
    assert set(table["cause"].dropna()) == {"decay"}


def test_an_ordinary_training_holds(model, trainer_of):
    callback = WatchLeaks(raises=True)
    trainer_of(model, callback).train()
    assert callback.leaks.leaks == ()
    assert callback.leaks.findings.steps == [6]


def test_train_ends_with_the_leak_if_asked_to(masked, trainer_of, hooks_on):
    trainer = trainer_of(masked, WatchLeaks(zeros_count=False, raises=True))
    with pytest.raises(LeakError, match="position_embeddings"):
        trainer.train()
    assert hooks_on(trainer.optimizer.optimizer) == 0


def test_train_ends_with_a_warning_in_the_log_if_not(masked, trainer_of, caplog):
    with caplog.at_level(logging.WARNING, logger="sweep"):
        trainer_of(masked, WatchLeaks(zeros_count=False)).train()
    assert "moved when they should have kept still" in caplog.text


def test_no_hook_stays_behind(model, trainer_of, hooks_on):
    trainer = trainer_of(model, WatchLeaks())
    trainer.train()
    assert hooks_on(trainer.optimizer.optimizer) == 0


def test_no_hook_stays_behind_an_exception_where_the_callback_is_entered(
    masked, trainer_of, hooks_on
):
    callback = WatchLeaks(zeros_count=False)
    trainer = trainer_of(masked, callback, fails=True)
    with pytest.raises(RuntimeError, match="the data ran dry"), callback:
        trainer.train()
    assert hooks_on(trainer.optimizer.optimizer) == 0
    assert callback.leaks.leaks


def test_training_again_after_an_exception_watches_anew(masked, trainer_of, hooks_on):
    callback = WatchLeaks(zeros_count=False)
    broken_off = trainer_of(masked, callback, fails=True)
    with pytest.raises(RuntimeError, match="the data ran dry"):
        broken_off.train()
    trainer_of(masked, callback).train()
    assert callback.leaks.findings.steps == [6]
    assert hooks_on(broken_off.optimizer.optimizer) == 0


def test_a_callback_that_saw_no_training_says_so():
    with pytest.raises(MisuseError, match="has watched no training yet: hand it to a trainer"):
        _ = WatchLeaks().leaks


def test_the_page_s_example_prints_what_leaks(masked, trainer_of, documented, capsys):
    arguments = trainer_of(masked).args
    arguments.weight_decay = 0.1
    given = {"model": masked, "arguments": arguments, "data": Sentences()}
    exec(documented("transformers"), given)
    assert f"{EMBEDDING}: 6 of 6 steps" in capsys.readouterr().out


def test_what_was_to_train_and_did_not_is_told_and_a_mask_will_do(masked, trainer_of, caplog):
    masked.classifier.requires_grad_(False)
    rows = {EMBEDDING: range(2)}
    callback = WatchLeaks(trainable=["classifier"], frozen=rows, causes=True)
    with caplog.at_level(logging.WARNING, logger="sweep"):
        trainer_of(masked, callback).train()
    assert "2 parameters should train and did not, as no gradient reached them" in caplog.text
    remedy = callback.leaks.account().set_index("parameter").loc[EMBEDDING, "remedy"]
    assert "TrainingArguments(weight_decay=0)" in remedy
    assert "in a callback's on_optimizer_step" in remedy


def test_the_advice_is_what_a_trainer_lets_one_do(masked, trainer_of):
    callback = WatchLeaks(zeros_count=False)
    trainer_of(masked, callback).train()
    remedy = callback.leaks.account().set_index("parameter").loc[EMBEDDING, "remedy"]
    assert "in a callback's on_pre_optimizer_step" in remedy
    assert "the Trainer's optimizer leaves it out" in remedy
