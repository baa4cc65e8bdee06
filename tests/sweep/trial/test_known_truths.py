"""The table of what is known to be true, through a real sweep and a real database.

The truths are stated in the design and were measured with torch 2.13 on the CPU. The
workload is `small`; the schedule alternates, the layer is frozen by detaching its output.
"""

import pytest
from sqlalchemy import create_engine, text

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store

SPEC = """
workload = "small"

[[grid]]
optimizer = ["SGD", "RMSprop", "Muon", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"]
momentum = [0.0, 0.9]
weight_decay = [0.0, 0.1]
lr = [0.05]
schedule = ["alternate", "always"]

[[grid]]
optimizer = ["Adagrad", "Adadelta", "Adafactor", "Rprop", "ASGD", "LBFGS"]
weight_decay = [0.0, 0.1]
schedule = ["alternate", "always"]
"""

HOLDS_ON_ZEROS = {"none": "holds", "zero": "holds", "never": "leaks"}
LEAKS_ON_ZEROS = {"none": "holds", "zero": "leaks", "never": "leaks"}
LEAKS_ALWAYS = {"none": "leaks", "zero": "leaks", "never": "leaks"}

# optimizer, momentum, weight decay (None: the optimizer has none), what is known
TRUTHS = [
    ("SGD", 0.0, 0.0, HOLDS_ON_ZEROS),
    ("SGD", 0.9, 0.0, LEAKS_ON_ZEROS),
    ("SGD", 0.0, 0.1, LEAKS_ON_ZEROS),
    ("SGD", 0.9, 0.1, LEAKS_ON_ZEROS),
    *((name, 0.9, 0.0, LEAKS_ON_ZEROS) for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")),
    *((name, 0.9, 0.1, LEAKS_ON_ZEROS) for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")),
    ("Adam", 0.0, 0.0, HOLDS_ON_ZEROS),
    ("Adam", 0.0, 0.1, LEAKS_ON_ZEROS),
    ("RMSprop", 0.0, 0.0, HOLDS_ON_ZEROS),
    ("RMSprop", 0.9, 0.0, LEAKS_ON_ZEROS),
    *((name, None, 0.0, HOLDS_ON_ZEROS) for name in ("Adagrad", "Adadelta", "Adafactor")),
    ("Rprop", None, None, HOLDS_ON_ZEROS),
    ("ASGD", None, 0.0, LEAKS_ON_ZEROS),
    ("Muon", 0.9, 0.0, LEAKS_ON_ZEROS),
    ("LBFGS", None, None, LEAKS_ALWAYS),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('truths') / 'sweep.db'}"
    grid = Grid(from_toml(SPEC, source="the test", name="truths"))
    with Store.open(url) as store:
        run_sweep(store, grid, Runner(jobs=2))
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def verdicts(database, **setting):
    """The verdict by zero_grad; a setting's null is asked for with None."""
    conditions = [
        f"{axis} IS NULL" if value is None else f"{axis} = :{axis}"
        for axis, value in setting.items()
    ]
    query = text(f"SELECT zero_grad, verdict FROM trial WHERE {' AND '.join(conditions)}")
    return dict(database.execute(query, setting).all())


@pytest.mark.parametrize(("optimizer", "momentum", "weight_decay", "known"), TRUTHS)
def test_a_layer_detached_on_odd_steps_does_what_is_known(
    database, optimizer, momentum, weight_decay, known
):
    found = verdicts(
        database,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule="alternate",
    )
    assert found == known


def test_a_layer_detached_on_every_step_holds_whatever_the_setting(database):
    rows = database.execute(
        text("SELECT verdict, count(*) FROM trial WHERE schedule = 'always' GROUP BY verdict")
    ).all()
    assert [verdict for verdict, _ in rows] == ["holds"]


def test_no_trial_of_the_table_failed_or_was_inert(database):
    rows = database.execute(text("SELECT DISTINCT verdict FROM trial")).scalars()
    assert set(rows) == {"leaks", "holds"}


def test_muon_on_zeros_moves_the_frozen_layer_nearly_as_far_as_training_does(database):
    ratio = database.execute(
        text(
            "SELECT drift_ratio FROM trial WHERE optimizer = 'Muon' AND momentum = 0.9 AND "
            "weight_decay = 0 AND zero_grad = 'zero' AND schedule = 'alternate'"
        )
    ).scalar_one()
    assert 0.8 < ratio < 1.2


@pytest.mark.parametrize(
    ("condition", "causes"),
    [
        ("optimizer = 'SGD' AND momentum = 0.9 AND weight_decay = 0", (1, 0, 0, 0, 0)),
        ("optimizer = 'SGD' AND momentum = 0 AND weight_decay = 0.1", (0, 1, 0, 0, 0)),
        ("optimizer = 'SGD' AND momentum = 0.9 AND weight_decay = 0.1", (1, 1, 0, 0, 0)),
        ("optimizer = 'Adam' AND momentum = 0.9 AND weight_decay = 0", (1, 0, 0, 0, 0)),
        ("optimizer = 'ASGD' AND weight_decay = 0", (0, 0, 0, 1, 0)),
        ("optimizer = 'LBFGS'", (1, 0, 0, 0, 1)),
    ],
)
def test_a_leak_on_zeros_has_the_causes_that_are_known(database, condition, causes):
    row = database.execute(
        text(
            "SELECT by_history, by_decay, by_gradient, by_intrinsic, despite_none FROM trial "
            f"WHERE zero_grad = 'zero' AND schedule = 'alternate' AND {condition}"
        )
    ).one()
    assert tuple(row) == causes


def test_a_stale_gradient_is_a_cause_wherever_grads_are_never_cleared(database):
    rows = database.execute(
        text(
            "SELECT DISTINCT by_gradient FROM trial "
            "WHERE zero_grad = 'never' AND schedule = 'alternate'"
        )
    ).scalars()
    assert set(rows) == {1}
