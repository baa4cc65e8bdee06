import pytest

from analysis.terminal import MOST_ROWS, WIDTH, summary

LEAK = {"verdict": "leaks"}


def test_a_small_sweep_has_a_row_for_each_setting_and_only_axes_that_vary(trials):
    frame = trials(
        LEAK | {"momentum": 0.9},
        {"momentum": 0.9, "zero_grad": "none"},
        {"optimizer": "Adagrad", "momentum": None},
    )
    table = summary(frame)
    assert table.columns == ("optimizer", "momentum", "none", "zero")
    assert table.rows == (("Adagrad", "", "", "holds"), ("SGD", "0.9", "holds", "leaks"))
    assert "zero_grad" in table.title


@pytest.mark.parametrize(
    ("verdicts", "cell"),
    [
        (["leaks", "leaks"], "leaks"),
        (["leaks", "holds", "leaks"], "leaks 2/3"),
        (["holds", "failed"], "holds 1/2"),
        (["inert", "inert"], "inert"),
        (["failed"], "failed"),
    ],
)
def test_a_cell_folds_seeds_and_hides_no_disagreement(trials, verdicts, cell):
    frame = trials(*({"verdict": v, "seed": seed} for seed, v in enumerate(verdicts)))
    assert summary(frame).rows == (("SGD", cell),)


def test_a_large_sweep_has_a_row_for_each_optimizer_with_counts(trials):
    many = [LEAK | {"lr": float(lr)} for lr in range(MOST_ROWS + 1)]
    frame = trials(*many, {"verdict": "failed", "lr": 0.5}, {"verdict": "inert", "lr": 0.7})
    table = summary(frame)
    assert table.columns == ("optimizer", "zero")
    assert table.rows == (("SGD", "41/41 +1 inert +1 failed"),)


def test_what_would_be_wider_than_the_terminal_is_folded_by_optimizer(trials):
    wide = {"optimizer": "package.of.somebody.else:OptimizerWithALongName"}
    frame = trials(*(wide | {"schedule": f"every:{n}", "lr": 1 / n} for n in (2, 3, 7)))
    assert summary(frame).columns == ("optimizer", "zero")


def test_titles_fit_the_terminal(trials):
    small, large = trials({}), trials(*({"lr": float(lr)} for lr in range(MOST_ROWS + 1)))
    assert max(len(summary(small).title), len(summary(large).title)) <= WIDTH
