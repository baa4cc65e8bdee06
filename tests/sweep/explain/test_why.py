"""Explanations are readings of replays and of trials that were run, and say so in English."""

import json
import math
import sqlite3

import planted_workloads
import pytest

from sweep.errors import DatabaseError, MisuseError, NotThereError, SpecError
from sweep.explain.asked import asked_trial
from sweep.explain.derive import explain
from sweep.explain.prose import in_words
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.store.store import Store
from sweep.trial.trial import failed, run_trial
from sweep.values.setting import PlannedTrial
from sweep.values.words import Freeze, GradState, Source, Verdict, ZeroGrad
from sweep.verifying.comparison import Difference, compare
from sweep.verifying.recorded_trial import trial_again
from sweep.verifying.trial_sources import recorded_trial


def asked(text, workload="small", steps=6):
    return asked_trial(text.split(), workload=workload, steps=steps)


def explained(text):
    return explain(asked(text))


def words(text):
    return " ".join(in_words(explained(text)))


READS = [
    # a setting, and what its explanation says
    (
        "optimizer=Adam lr=1 weight_decay=0.5 zero_grad=zero",
        "On step 1 the grad of layer1.weight is a tensor of zeros, not None, so Adam updates it "
        "like any other. Weight decay alone moves it by up to 1 (",
        "Remedy: zero_grad=none, freeze=grad_none or freeze=own_optimizer. Each was run, and "
        "holds on every frozen step.",
        "Not a remedy: momentum=0 (weight decay moves it) and weight_decay=0 (history moves it).",
    ),
    (
        "optimizer=LBFGS zero_grad=none",
        "is None, and LBFGS moves it all the same. History alone moves it, by up to",
        "Remedy: freeze=own_optimizer. It was run, and holds on every frozen step.",
        "Not a remedy: freeze=grad_none (history moves it).",
    ),
    (
        "optimizer=LBFGS zero_grad=zero",
        "is a tensor of zeros",
        "Even with its grad set to None LBFGS would move it by up to",
    ),
    (
        "optimizer=SGD lr=1 momentum=0.9 zero_grad=none",
        "What keeps layer1.weight still is that its grad is None. Were it zeros on step 1, history "
        "alone would move it, by up to",
        "It would leak with zero_grad=zero (history moves it) or zero_grad=never (the gradient and "
        "history move it).",
    ),
    (
        "optimizer=ASGD zero_grad=zero",
        "With its history cleared and no weight decay it still moves, by up to",
        "the optimizer has a term of its own.",
    ),
    (
        "optimizer=ASGD zero_grad=none",
        "Were it zeros on step 1, with its history cleared and no weight decay it would still move",
    ),
    (
        "optimizer=SGD lr=1 momentum=0 zero_grad=never",
        "is stale, left by an earlier step, and SGD applies it once more. The gradient alone moves",
    ),
    (
        "optimizer=SGD lr=1 momentum=0 zero_grad=zero",
        "so SGD does update it. What keeps it still is that nothing else moves it: history does "
        "not, replayed alone, and there is no weight decay.",
        "It would leak with zero_grad=never (the gradient moves it).",
        "It also holds with zero_grad=none.",
    ),
    (
        "optimizer=SGD lr=1 momentum=0 zero_grad=none",
        "is None, so SGD leaves it alone. Zeros in its place would not move it either: history",
    ),
    (
        "optimizer=planted:Plain weight_decay=0.1 zero_grad=zero",
        "so Plain does update it. What keeps it still is that nothing else moves it: history does "
        "not, replayed alone, and weight decay has changed nothing so far.",
    ),
    (
        "optimizer=SGD weight_decay=0.1 zero_grad=none schedule=always",
        "Were it zeros on step 0, weight decay alone would move it, by up to",
    ),
    (
        "optimizer=SGD zero_grad=none freeze=own_optimizer",
        "is not zero. What keeps it still is freeze=own_optimizer: were the step attached, the "
        "layer would move by up to",
    ),
    (
        "optimizer=Rprop zero_grad=none freeze=lr_zero",
        "is a fresh one: freeze=lr_zero lets it through to Rprop. The gradient alone moves it by",
        "With every source on it moves by up to 0.012, more than that: one scales another.",
    ),
    (
        "optimizer=planted:MomentumTimesGrad zero_grad=never",
        "History and the gradient move it only together, by up to",
        "In a new optimizer, whose counters begin anew, the gradient moves nothing; nor does "
        "history without it.",
    ),
    (
        "optimizer=planted:SkipsItsFirst weight_decay=0.1 zero_grad=never",
        "begin anew, weight decay and the gradient move nothing; nor does history without them.",
    ),
    (
        "optimizer=planted:DecayTimesGrad weight_decay=0.1 zero_grad=never",
        "Neither weight decay nor the gradient moves it alone.",
    ),
    (
        "optimizer=planted:AllThreeTogether weight_decay=0.1 zero_grad=never",
        "History, weight decay and the gradient move it only together, by up to",
        "No two of them move it.",
    ),
    (
        "optimizer=pytorch_optimizer.ftrl zero_grad=never",
        " times the whole) and the gradient by up to",
    ),
    (
        "optimizer=planted:LateDecay weight_decay=0.1 zero_grad=zero schedule=after:3",
        "What moves it could not be found: weight decay cannot be switched off with the state",
        "Remedy: zero_grad=none, freeze=grad_none, freeze=own_optimizer or weight_decay=0.",
    ),
    (
        "optimizer=planted:NeedsDecay weight_decay=0.1 zero_grad=zero",
        "What moves it could not be found: a replay raised ValueError: weight_decay must be > 0.",
        "Not a remedy: weight_decay=0 (the trial fails).",
    ),
    (
        "optimizer=planted:Cancelling weight_decay=0.1 zero_grad=zero",
        "so Cancelling does update it. Its sources cancel. ",
    ),
    (
        "optimizer=pytorch_optimizer.adopt weight_decay=0.1 zero_grad=zero",
        "History and weight decay move it only together, by up to",
        "weight_decay=0 (history moves it, first on step 3)",
    ),
    (
        "optimizer=pytorch_optimizer.adahessian zero_grad=none",
        "so pytorch_optimizer.adahessian leaves it alone. What zeros in its place would do could "
        "not be found: a replay raised RuntimeError: ",
    ),
    (
        "optimizer=planted:DecayThatGrows weight_decay=0.1 zero_grad=zero",
        "History and weight decay move it only together, by up to",
        "In a new optimizer, whose counters begin anew, weight decay moves nothing; nor does "
        "history without it.",
        "Remedy: zero_grad=none, freeze=grad_none, freeze=own_optimizer or weight_decay=0.",
    ),
    (
        "optimizer=planted:SharedStep zero_grad=zero",
        "Sideways: the other parameters, too, move otherwise than they would had this grad been",
    ),
    ("optimizer=SGD lr=0 zero_grad=zero", "The layer never moved, not even on the steps that"),
    ("optimizer=SGD schedule=never zero_grad=zero", "No step is frozen, so nothing can leak."),
]


@pytest.mark.filterwarnings("ignore:Using backward")  # adahessian's
@pytest.mark.parametrize(("setting", "clauses"), [(s, c) for s, *c in READS])
def test_an_explanation_reads(setting, clauses):
    text = words(setting)
    for clause in clauses:
        assert clause in text


def test_a_trial_that_raises_is_explained_by_its_error():
    planned = PlannedTrial(asked("optimizer=SGD zero_grad=zero").setting, "no_such:thing", 4)
    explanation = explain(planned)
    assert explanation.outcome.verdict is Verdict.FAILED
    assert (
        "The trial raised, so it says nothing of leaks. WorkloadError" in in_words(explanation)[0]
    )


def test_several_frozen_parameters_are_named_by_their_number():
    planned = asked("optimizer=SGD momentum=0.9 zero_grad=zero", "planted_workloads:noisy")
    assert "the grad of the frozen layer (2 parameters) is" in in_words(explain(planned))[0]


@pytest.mark.parametrize("zero_grad", ["none", "zero", "never"])
def test_sparse_grads_are_explained_as_dense_ones_are(zero_grad):
    planned = asked(f"optimizer=SparseAdam zero_grad={zero_grad}", "planted_workloads:sparse")
    text = " ".join(in_words(explain(planned)))
    says = {
        "none": "SparseAdam does not support dense gradients",
        "zero": "is a tensor of zeros, so SparseAdam does update it",
        "never": "is stale, left by an earlier step, and SparseAdam applies it once more.",
    }
    assert says[zero_grad] in text


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "LBFGS"])
@pytest.mark.parametrize("zero_grad", ["none", "zero"])
def test_a_workload_that_is_never_the_same_is_explained_by_that(optimizer, zero_grad):
    planned = asked(f"optimizer={optimizer} zero_grad={zero_grad}", "planted_workloads:drifting")
    assert explain(planned).replayed.movements is None
    assert "the replay did not repeat the trial's own bits." in " ".join(in_words(explain(planned)))


def test_a_workload_that_can_be_built_but_once_is_explained_by_that():
    planted_workloads.BUILT_ONCE.clear()
    planned = asked("optimizer=SGD momentum=0.9 zero_grad=zero", "planted_workloads:only_once")
    explanation = explain(planned)
    assert explanation.outcome.verdict is Verdict.LEAKS
    said = "The step cannot be lived through again: a replay raised RuntimeError: built already."
    assert in_words(explanation)[0] == said


class TestShares:
    def shares(self, text):
        replayed = explained(text).replayed
        return replayed, {n: replayed.share(each) for n, each in replayed.by_themselves.items()}

    def test_a_lone_source_has_the_whole_movement(self):
        replayed, shares = self.shares("optimizer=planted:Momentum zero_grad=zero")
        assert shares["history"] == pytest.approx(1)
        alone = replayed.by_themselves["history"]
        assert alone == replayed.movements.whole == replayed.as_it_was
        assert list(shares) == ["history"]

    def test_a_share_is_the_l2_norm_alone_over_that_of_the_whole(self):
        replayed, shares = self.shares(
            "optimizer=planted:MomentumAndDecay weight_decay=0.1 zero_grad=zero"
        )
        moved = replayed.movements
        assert shares["decay"] == moved.alone[Source.DECAY].l2 / moved.whole.l2
        assert 0 < shares["decay"] < 1

    def test_sources_that_act_only_together_have_a_share_together(self):
        _, shares = self.shares("optimizer=planted:DecayThatGrows weight_decay=0.1 zero_grad=zero")
        assert shares == {
            "history+decay": pytest.approx(1),
            "history": 0,
            "decay": 0,
        }

    def test_the_largest_comes_first(self):
        replayed, _ = self.shares("optimizer=SGD momentum=0.9 weight_decay=0.5 zero_grad=never")
        sizes = [change.l2 for change in replayed.by_themselves.values()]
        assert sizes == sorted(sizes, reverse=True)

    def test_a_trial_that_holds_has_the_shares_of_what_zeros_would_do(self):
        replayed, shares = self.shares("optimizer=SGD momentum=0.9 zero_grad=none")
        assert not replayed.as_it_was.moved
        assert replayed.supposed
        assert shares["history"] == pytest.approx(1)

    def test_there_is_no_share_of_no_movement(self):
        replayed, shares = self.shares("optimizer=SGD momentum=0 zero_grad=zero")
        assert not replayed.whole.moved
        assert math.isnan(shares["history"])

    def test_the_grad_of_the_replayed_step_is_the_one_that_the_leak_met(self):
        replayed, _ = self.shares("optimizer=SGD zero_grad=never schedule=after:3")
        assert (replayed.step, replayed.grad) == (3, GradState.NONZERO)


MET = [
    (ZeroGrad.NONE, Freeze.DETACH, (GradState.NONE, True)),
    (ZeroGrad.ZERO, Freeze.DETACH, (GradState.ZERO, True)),
    (ZeroGrad.NEVER, Freeze.DETACH, (GradState.NONZERO, True)),
    (ZeroGrad.NEVER, Freeze.REQUIRES_GRAD, (GradState.NONZERO, True)),
    (ZeroGrad.NONE, Freeze.LR_ZERO, (GradState.NONZERO, False)),
    (ZeroGrad.NEVER, Freeze.LR_ZERO, (GradState.NONZERO, False)),
    (ZeroGrad.ZERO, Freeze.GRAD_NONE, (GradState.NONE, False)),
    (ZeroGrad.NONE, Freeze.GRAD_ZERO, (GradState.ZERO, False)),
]


@pytest.mark.parametrize(("zero_grad", "freeze", "met"), MET)
def test_the_grad_is_stale_where_an_earlier_step_left_it(zero_grad, freeze, met):
    step = explained(f"optimizer=SGD momentum=0.9 zero_grad={zero_grad} freeze={freeze}").replayed
    assert (step.grad, step.stale) == met


@pytest.mark.parametrize("freeze", [Freeze.LR_ZERO, Freeze.OWN_OPTIMIZER])
def test_an_attached_step_moves_the_layer_whatever_freezes_it(freeze):
    replayed = explained(f"optimizer=SGD momentum=0.9 zero_grad=none freeze={freeze}").replayed
    assert not replayed.as_it_was.moved
    assert replayed.attached.moved


class TestVariants:
    @pytest.mark.parametrize("text", [setting for setting, *_ in READS[:5]])
    def test_each_variant_is_the_verdict_of_a_trial_of_its_own(self, text):
        explanation = explained(text)
        assert explanation.variants
        for variant in explanation.variants:
            changed = dict(word.split("=") for word in text.split())
            changed |= dict(change.split("=") for change in variant.changes)
            again = run_trial(asked(" ".join(f"{k}={v}" for k, v in changed.items())))
            assert variant.outcome.verdict is again.verdict

    def test_combinations_are_run_only_where_no_single_remedy_holds(self):
        single = explained("optimizer=Adam weight_decay=0.5 zero_grad=zero").variants
        assert all(len(variant.changes) == 1 for variant in single)

    def test_where_no_remedy_holds_alone_two_are_combined(self, monkeypatch):
        from sweep.explain import variants
        from sweep.values.words import Axis

        only = ((Axis.MOMENTUM, 0.0), (Axis.WEIGHT_DECAY, 0.0))
        monkeypatch.setattr(variants, "AGAINST_A_LEAK", only)
        text = words("optimizer=SGD momentum=0.9 weight_decay=0.5 zero_grad=zero")
        assert "Remedy: momentum=0 with weight_decay=0. It was run" in text

    def test_where_nothing_that_was_run_holds_it_says_so(self, monkeypatch):
        from sweep.explain import variants
        from sweep.values.words import Axis

        monkeypatch.setattr(variants, "AGAINST_A_LEAK", ((Axis.MOMENTUM, 0.0),))
        text = words("optimizer=SGD momentum=0.9 weight_decay=0.5 zero_grad=zero")
        assert "Of the remedies that were run, none holds." in text
        assert "Not a remedy: momentum=0 (weight decay moves it)." in text


class TestAsked:
    def test_axes_left_out_have_their_defaults(self):
        planned = asked_trial(["optimizer=Adam", "zero_grad=zero"])
        assert (planned.workload, planned.steps) == ("article", 100)
        assert (planned.setting.lr, planned.setting.momentum) == (0.001, 0.9)
        assert planned.setting.freeze is Freeze.DETACH

    def test_it_is_the_trial_that_a_sweep_would_run(self):
        spec = {"name": "t", "grid": [{"optimizer": ["LBFGS"], "zero_grad": ["none"]}]}
        (planned,) = Grid(Spec.checked(spec, "t"))
        assert asked_trial(["optimizer=LBFGS", "zero_grad=none"]) == planned

    @pytest.mark.parametrize(
        ("words", "error", "message"),
        [
            ("lr=1", MisuseError, "at least optimizer=NAME; 'lr=1' came. Such as: leaksweep why"),
            ("optimizer=SGD", MisuseError, "zero_grad could be none, zero, never. Name one, such"),
            ("optimizer=SGD,Adam zero_grad=zero", MisuseError, "optimizer could be SGD, Adam"),
            ("optimizer=SGD zero_grad=zero lr=-1", SpecError, "^why, lr: .* -1.0 is below 0"),
            ("optimizer=SGD zero_grad=zero colour=red", SpecError, "^why: Unknown axis 'colour'"),
            ("optimizer=Adma zero_grad=zero", SpecError, "^why, optimizer: .*Did you mean Adam"),
            ("optimizer=SGD zero_grad=zero lonely", SpecError, "^why: needs AXIS=.* 'lonely' came"),
        ],
    )
    def test_a_setting_that_is_none_or_several_is_refused(self, words, error, message):
        with pytest.raises(error, match=message):
            asked_trial(words.split())


@pytest.fixture
def database(tmp_path):
    """A function that records trials and returns the database's URL."""

    def record(*planned):
        url = f"sqlite:///{tmp_path / 'sweep.db'}"
        with Store.open(url) as store:
            sweep = store.record_sweep("recorded", "{}", len(planned))
            store.write(sweep.id, [run_trial(trial) for trial in planned])
        return url

    return record


def altered(url, **columns):
    """The database after somebody set those columns of every trial."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for column, value in columns.items():
            connection.execute(f"UPDATE trial SET {column} = ?", (value,))
    return url


MARKER = "import_marker"


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A module that leaves a file behind when it is imported."""
    (tmp_path / f"{MARKER}.py").write_text(
        "from pathlib import Path\nfrom planted import Plain\n"
        "Path(__file__).with_suffix('.imported').touch()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / f"{MARKER}.imported"


class TestRecorded:
    @pytest.mark.parametrize(
        "text",
        [
            "optimizer=Adam zero_grad=zero seed=3",
            "optimizer=LBFGS zero_grad=none",
            "optimizer=Adagrad zero_grad=never schedule=after:2 freeze=no_grad",
        ],
    )
    def test_a_trial_comes_back_as_it_was_run(self, database, text):
        planned = asked(text)
        recorded = recorded_trial(database(planned), 1)
        assert trial_again(recorded) == planned
        assert recorded.columns["verdict"] == run_trial(planned).verdict

    def test_every_optimizer_that_can_be_built_comes_back(self, tmp_path):
        axes = {"optimizer": ["*"], "zero_grad": ["none"]}
        grid = Grid(Spec.checked({"name": "t", "workload": "small", "grid": [axes]}, "t"))
        url = f"sqlite:///{tmp_path / 'sweep.db'}"
        with Store.open(url) as store:
            sweep = store.record_sweep("all", grid.canonical(), grid.size)
            store.write(sweep.id, [failed(planned, ValueError(), seconds=0.0) for planned in grid])
        found = {trial_again(recorded_trial(url, number + 1)) for number in range(grid.size)}
        assert found == set(grid)

    def test_nothing_differs_in_the_same_environment(self, database):
        planned = asked("optimizer=SGD zero_grad=zero")
        assert compare(recorded_trial(database(planned), 1), run_trial(planned)).elsewhere == ()

    def test_another_version_of_the_library_is_named(self, database):
        planned = asked("optimizer=SGD zero_grad=zero")
        url = altered(database(planned), optimizer_package="torch 2.9.0")
        (found,) = compare(recorded_trial(url, 1), run_trial(planned)).elsewhere
        assert found == Difference("optimizer_package", "torch 2.9.0", "torch 2.13.0")

    def test_a_trial_that_is_not_there_is_not_there(self, database):
        url = database(asked("optimizer=SGD zero_grad=zero"))
        with pytest.raises(NotThereError, match=r"There is no trial 7 in sqlite.*`leaksweep sql`"):
            recorded_trial(url, 7)

    @pytest.mark.parametrize("column", ["optimizer", "workload"])
    def test_code_that_the_database_names_is_not_imported(self, database, marker, column):
        url = altered(
            database(asked("optimizer=SGD zero_grad=zero")), **{column: f"{MARKER}:Plain"}
        )
        message = f"Trial 1 has {column} {MARKER}:Plain, .* If you trust it, add --allow-import"
        with pytest.raises(MisuseError, match=message):
            trial_again(recorded_trial(url, 1))
        assert not marker.exists()

    def test_it_is_imported_where_that_is_allowed(self, database, marker):
        url = database(asked(f"optimizer={MARKER}:Plain zero_grad=zero"))
        marker.unlink()
        planned = trial_again(recorded_trial(url, 1), allow_import=True)
        assert run_trial(planned).verdict == "holds"

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"lr": -1.0}, "cannot be run again here: trial 1, .*lr.* -1.0 is below 0"),
            ({"lr": "much"}, "cannot be run again here: trial 1, .*lr"),
            ({"zero_grad": "sometimes"}, "cannot be run again here: trial 1, .*zero_grad"),
            ({"steps": 10**9}, "cannot be run again here: trial 1, steps"),
            ({"options": "{not json"}, "cannot be run again here: Expecting property name"),
            ({"options": json.dumps({"evil": 1})}, "takes no argument 'evil'"),
            ({"optimizer": "Adma"}, "cannot be run again here: .*Did you mean Adam"),
            ({"optimizer": "*"}, r"cannot be run again here: Unknown optimizer '\*'"),
            ({"seed": 9}, "Trial 1 in sqlite.* has a fingerprint of another setting"),
        ],
    )
    def test_a_row_that_no_sweep_wrote_is_refused(self, database, columns, message):
        url = altered(database(asked("optimizer=SGD zero_grad=zero")), **columns)
        with pytest.raises(DatabaseError, match=message):
            trial_again(recorded_trial(url, 1))

    def test_zero_grad_survives_as_the_word_it_is(self, database):
        recorded = recorded_trial(database(asked("optimizer=SGD zero_grad=never")), 1)
        assert trial_again(recorded).setting.zero_grad is ZeroGrad.NEVER
