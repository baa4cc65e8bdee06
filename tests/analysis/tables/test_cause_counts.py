from analysis.tables.cause_counts import causes

LEAK = {"verdict": "leaks"}
COUNTED = ["leaks", "by_history", "by_decay", "by_gradient", "unattributed"]


def test_leaks_are_counted_by_each_of_their_causes(trials):
    frame = trials(
        LEAK | {"by_history": True, "by_decay": True},
        LEAK | {"by_history": True, "by_decay": False, "seed": 1},
        LEAK | {"by_history": False, "seed": 2},
        {"seed": 3, "by_history": None},
    )
    table = causes(frame)
    assert table[COUNTED].to_numpy().tolist() == [[3, 2, 1, 0, 1]]
    assert table["finished"].tolist() == [4]


def test_settings_that_hold_and_push_nothing_aside_are_left_out(trials):
    frame = trials(
        {"lr": 1.0},
        {"lr": 2.0, "sideways": True},
        {"lr": 2.0, "seed": 1, "verdict": "failed", "sideways": None},
    )
    table = causes(frame)
    assert table[["lr", "leaks", "sideways", "finished"]].to_numpy().tolist() == [[2.0, 0, 1, 1]]


def test_an_axis_that_does_not_apply_does_not_drop_the_leak(trials):
    assert causes(trials(LEAK | {"momentum": None}))["leaks"].tolist() == [1]
