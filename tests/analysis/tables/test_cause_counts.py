from analysis.tables.cause_counts import causes

LEAK = {"verdict": "leaks"}
COUNTED = ["causes", "trials", "leaks", "despite_none", "sideways"]


def told(frame):
    table = causes(frame)[COUNTED]
    return table.astype(object).where(table.notna(), None).to_numpy().tolist()


def test_leaks_are_counted_by_their_smallest_sets_of_sources(trials):
    frame = trials(
        LEAK | {"causes": "decay, history"},
        LEAK | {"causes": "decay, history", "seed": 1, "despite_none": True},
        LEAK | {"causes": "history+decay", "seed": 2},
        {"seed": 3},
    )
    assert told(frame) == [["decay, history", 2, 2, 1, 0], ["history+decay", 1, 1, 0, 0]]


def test_causes_that_were_not_found_are_not_guessed(trials):
    assert told(trials(LEAK | {"unexplained": "a replay raised"})) == [["not known", 1, 1, 0, 0]]


def test_a_trial_from_before_there_were_sets_has_its_sources_alone(trials):
    old = LEAK | {"by_history": True, "by_decay": True, "by_gradient": False}
    assert told(trials(old)) == [["decay, history", 1, 1, 0, 0]]


def test_what_holds_and_pushes_nothing_aside_is_left_out(trials):
    frame = trials(
        {"lr": 1.0, "zero_grad": "none"},
        {"lr": 2.0, "sideways": True},
        {"lr": 2.0, "seed": 1, "verdict": "failed", "sideways": None},
    )
    assert told(frame) == [[None, 1, 0, 0, 1]]


def test_optimizers_and_ways_of_clearing_stay_apart(trials):
    adam = LEAK | {"optimizer": "Adam"}
    table = causes(trials(LEAK, adam, adam | {"zero_grad": "never"}))
    assert table[["optimizer", "zero_grad"]].to_numpy().tolist() == [
        ["Adam", "zero"],
        ["Adam", "never"],
        ["SGD", "zero"],
    ]
