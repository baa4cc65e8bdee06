import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from sweep.errors import SpecError
from sweep.searching.ranges import USUAL, parse_ranges, range_text


def test_the_axes_with_numbers_are_explored_where_nothing_is_asked():
    assert list(parse_ranges([])) == ["lr", "weight_decay", "momentum"]


def test_an_axis_whose_values_are_set_is_not_explored_unasked():
    assert list(parse_ranges([], pinned=["lr", "seed"])) == [
        "weight_decay",
        "momentum",
    ]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("lr=1e-4:1:log", "lr", FloatDistribution(1e-4, 1.0, log=True)),
        (" weight_decay = 0:0.5", "weight_decay", FloatDistribution(0.0, 0.5)),
        ("momentum=-0.0:1", "momentum", FloatDistribution(0.0, 1.0)),
        ("period=2:5", "period", IntDistribution(2, 5)),
        ("betas[1]=0.5:0.999", "betas[1]", FloatDistribution(0.5, 0.999)),
        ("eps", "eps", USUAL["eps"]),
    ],
)
def test_a_range_is_read_as_it_is_written(text, name, expected):
    (found,) = parse_ranges([text]).values()
    assert parse_ranges([text]) == {name: expected}
    assert str(found.low) == str(expected.low)  # no -0.0


@pytest.mark.parametrize("text", ["lr=0.001:1.0:log", "period=2:5", "betas[1]=0.5:0.999"])
def test_a_range_is_written_as_it_is_read(text):
    (found,) = parse_ranges([text]).items()
    assert range_text(*found) == text


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lr=1:0.1"], "--range, lr: goes from 1 to 0.1; the first must be less"),
        (["lr=1:1"], r"One value alone is --set lr=1\."),
        (["lr=0:1:log"], r"has no logarithm at 0; begin above it, such as 0\.0001"),
        (["lr=-1:1"], "needs finite numbers >= 0; '-1' came"),
        (["lr=0:nan"], "needs finite numbers >= 0; 'nan' came"),
        (["lr=0:inf"], "needs finite numbers >= 0; 'inf' came"),
        (["lr=a:1"], "needs LO:HI, two numbers, and maybe :log; 'a' came for one"),
        (["lr=0.1"], "needs LO:HI, two numbers, and maybe :log; '' came for one"),
        (["lr=0:1:lin"], "ends in 'lin'; what may stand there is log"),
        (["period=2.5:4"], "needs LO:HI, two whole numbers"),
        (["period=1:4"], r"needs periods from 2 .* every:1 never freezes"),
        (["beta2=0.5:1"], r"must end below 1, not at 1, such as 0\.9999"),
        (["rho"], "needs NAME=LO:HI or NAME=LO:HI:log; 'rho' came. Only lr, weight_decay"),
        (["lr", "lr=0:1"], "--range, lr: is given twice"),
        (["seed=0:1", "lr\x1b=2:1"], r"\\x1b"),
    ],
)
def test_what_is_no_range_is_told_with_what_would_be(texts, message):
    with pytest.raises(SpecError, match=message):
        parse_ranges(texts)


def test_an_axis_has_values_or_a_range():
    with pytest.raises(SpecError, match=r"has values from --set lr=\.\.\., too"):
        parse_ranges(["lr"], pinned=["lr"])
