"""Names to rows, options to complaints, and what a row of an absent library says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.errors import MisuseError, UnknownNameError
from sweep.optimizers import registry
from sweep.optimizers.entry import OptimizerEntry

HERE = Path(__file__).parent


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return lambda name: registry.lookup(f"planted_optimizers:{name}")


def test_every_name_looks_up_its_own_row():
    assert [registry.lookup(name).name for name in registry.names()] == list(registry.names())


def test_a_name_is_given_to_one_row_only():
    rows = [row for rows in registry._COLLECTIONS for row in rows]
    assert len(rows) == len(registry.names())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Adma", r"Unknown optimizer 'Adma'. Did you mean Adam"),
        ("heavyball.Moun", r"Did you mean heavyball\.Muon"),
        ("zzz", r"`leaksweep show optimizers` lists all; your own is `package\.module:Class`"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(UnknownNameError, match=message):
        registry.lookup(name)


@pytest.mark.parametrize(
    ("optimizer", "option", "message"),
    [
        ("SGD", "momentum", "momentum of SGD is the axis momentum; set it in the grid"),
        ("Adam", "betas[0]", r"betas\[0\] of Adam is the axis momentum; set it in the grid"),
        ("Adam", "betas", r'the axis momentum; set the others one by one, such as "betas\[1\]"'),
        ("Adam", "amsgard", "Adam takes no argument 'amsgard'. Did you mean amsgrad"),
        ("SGD", "qqqq", "SGD takes no argument 'qqqq'. It takes: dampening, nesterov"),
    ],
)
def test_an_option_that_cannot_be_is_refused(optimizer, option, message):
    with pytest.raises(MisuseError, match=message):
        registry.check_options(registry.lookup(optimizer), {option: 1})


@pytest.mark.parametrize("option", ["betas[1]", "amsgrad", "eps"])
def test_an_option_that_the_constructor_takes_is_let_through(option):
    registry.check_options(registry.lookup("Adam"), {option: 1})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Adam", {"lr": 0.001, "weight_decay": 0.0, "momentum": 0.9}),
        ("Adagrad", {"lr": 0.01, "weight_decay": 0.0, "momentum": None}),
        ("LBFGS", {"lr": 1.0, "weight_decay": None, "momentum": None}),
    ],
)
def test_defaults_are_those_of_the_constructor(name, expected):
    entry = registry.lookup(name)
    assert {axis: registry.default(entry, axis) for axis in expected} == expected


def test_a_rows_own_value_goes_before_that_of_the_constructor():
    entry = replace(registry.lookup("Adam"), axis_defaults={"lr": 0.5})
    assert [registry.default(entry, axis) for axis in ("lr", "momentum")] == [0.5, 0.9]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OnlyLr", {"lr": "lr", "weight_decay": None, "momentum": None}),
        ("WithBetas", {"weight_decay": "weight_decay", "momentum": "betas[0]"}),
        ("WithBeta1", {"lr": None, "momentum": "beta1", "momentum_below": 1.0}),
        ("WithMomentumAndBetas", {"momentum": "momentum", "momentum_below": None}),
        ("OnlyLr", {"needs_closure": False, "train_mode": False}),
        ("NeedsClosure", {"needs_closure": True}),
        ("WithTrain", {"train_mode": True}),
    ],
)
def test_a_users_own_class_gets_a_row_from_its_constructor(planted, name, expected):
    entry = planted(name)
    assert {key: getattr(entry, key) for key in expected} == expected


def test_a_class_without_step_is_refused(planted):
    with pytest.raises(MisuseError, match="NoOptimizer is no optimizer: it has no method `step`"):
        planted("NoOptimizer")


def test_a_class_that_a_module_lacks_is_answered_with_the_nearest(planted):
    with pytest.raises(UnknownNameError, match=r"name in planted_optimizers 'OnlyLR'.*OnlyLr"):
        planted("OnlyLR")


def test_a_module_that_is_not_there_is_named_without_a_hint():
    with pytest.raises(MisuseError, match=r"no_such_module is not installed$"):
        registry.lookup("no_such_module:Adam")


def _row_in(module: str, **declared) -> OptimizerEntry:
    return OptimizerEntry(
        name="x", target=f"{module}:X", collection="x", distribution="", **declared
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_thing", "does not import: No module named 'no_such_thing'"),
        ("raise RuntimeError('operator does not exist\\nmore')", "operator does not exist$"),
        ("raise RuntimeError", "does not import: RuntimeError$"),
    ],
)
def test_a_module_that_fails_to_import_says_why(tmp_path, monkeypatch, source, message):
    (tmp_path / "broken_library.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MisuseError, match=message):
        registry.optimizer_class(_row_in("broken_library"))


def test_a_row_of_an_absent_library_says_how_to_install_it():
    row = _row_in("no_such_library", install="leaksweep[atlas]")
    assert registry.unavailable(row) == (
        "no_such_library is not installed; pip install 'leaksweep[atlas]'"
    )


def test_a_row_that_cannot_be_built_gives_its_reason_without_an_import():
    assert registry.unavailable(_row_in("no_such_library", cannot="wraps another")) == (
        "wraps another"
    )


def test_a_row_that_can_be_built_is_available():
    assert registry.unavailable(registry.lookup("Adam")) is None


def test_the_package_version_is_named_and_none_for_a_class_of_no_distribution(planted):
    assert registry.package_version(registry.lookup("Adam")).startswith("torch ")
    assert registry.package_version(planted("OnlyLr")) is None


def test_naming_every_optimizer_imports_none_of_their_libraries():
    code = (
        "import sys; from sweep.optimizers import registry; registry.names();"
        "libraries = {'torch', 'pytorch_optimizer', 'heavyball', 'torch_optimizer', 'timm'};"
        "print(libraries & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
