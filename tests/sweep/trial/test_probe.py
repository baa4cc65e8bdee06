"""What counts as movement, bit by bit."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweep.trial.probe import STILL, Change, Probe, change_between, moved_elements, together

NAN, INF = math.nan, math.inf


def nan_with_payload(bits: int) -> torch.Tensor:
    return torch.tensor([bits], dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize(
    ("before", "after", "moved", "largest"),
    [
        ([1.0, 2.0], [1.0, 2.0], False, 0.0),
        ([1.0, 2.0], [1.0, 2.5], True, 0.5),
        ([1.0, 2.0], [4.0, 2.0], True, 3.0),
        ([0.0], [-0.0], True, 0.0),  # equal as values, not as bits
        ([NAN], [NAN], False, 0.0),
        ([NAN, 1.0], [NAN, 3.0], True, 2.0),
        ([INF], [INF], False, 0.0),
        ([INF, 1.0], [INF, 1.5], True, 0.5),
        ([1.0], [INF], True, INF),
        ([1.0], [NAN], True, NAN),
        ([NAN], [1.0], True, NAN),
        ([1.0], [1.0 + 2**-23], True, 2**-23),  # one unit in the last place
    ],
)
def test_movement_is_a_difference_of_bits(before, after, moved, largest):
    change = change_between(torch.tensor(before), torch.tensor(after))
    assert change.moved is moved
    assert change.max_change == pytest.approx(largest, nan_ok=True, abs=0)


def test_a_nan_with_another_payload_has_not_moved():
    before, after = nan_with_payload(0x7FC00000), nan_with_payload(-0x00400000 + 1)
    assert torch.isnan(before).all()
    assert torch.isnan(after).all()
    assert change_between(before, after) == STILL


@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.int64],
)
def test_one_changed_element_is_seen_in_every_type(dtype):
    before = torch.arange(6).to(dtype).reshape(2, 3)
    after = before.clone()
    after[1, 2] += 1
    assert change_between(before, before.clone()) == STILL
    assert change_between(before, after) == Change(moved=True, max_change=1.0, l2=1.0)
    assert moved_elements(before, after).tolist() == [[False] * 3, [False, False, True]]


def test_a_scalar_and_a_transposed_parameter_are_compared_too():
    scalar = torch.tensor(2.0)
    assert change_between(scalar, scalar + 1).max_change == 1.0
    matrix = torch.arange(6.0).reshape(2, 3).T
    assert change_between(matrix, matrix + 1).l2 == pytest.approx(math.sqrt(6))


def test_an_empty_parameter_never_moves():
    assert change_between(torch.empty(0), torch.empty(0)) == STILL


def test_the_change_of_large_half_floats_does_not_overflow():
    before = torch.full((4,), -60000.0, dtype=torch.float16)
    assert change_between(before, -before).max_change == 120000.0


def test_the_probe_names_what_moved_since_the_last_before_step():
    moving, still = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.ones(2))
    probe = Probe({"moving": moving, "still": still})
    for distance in (1.0, 0.25):
        probe.before_step()
        with torch.no_grad():
            moving[0] += distance
        changes = probe.after_step()
        assert changes == {"moving": Change(True, distance, distance), "still": STILL}


def test_the_probe_sees_a_parameter_whose_data_was_replaced():
    parameter = torch.nn.Parameter(torch.zeros(2))
    probe = Probe({"p": parameter})
    probe.before_step()
    parameter.data = torch.tensor([0.0, 2.0])
    assert probe.after_step()["p"].max_change == 2.0


def test_changes_together_keep_the_largest_and_add_up_in_the_norm():
    assert together([]) == STILL
    assert together([STILL, STILL]) == STILL
    assert together([Change(True, 3.0, 3.0), STILL, Change(True, 4.0, 4.0)]) == Change(
        True, 4.0, 5.0
    )
    assert math.isnan(together([Change(True, NAN, NAN), Change(True, 4.0, 4.0)]).max_change)


@given(st.lists(st.floats(width=32), min_size=1), st.lists(st.floats(width=32), min_size=1))
def test_it_agrees_with_python_on_any_floats(before, after):
    size = min(len(before), len(after))
    one, other = torch.tensor(before[:size]), torch.tensor(after[:size])
    expected = [
        math.copysign(1, a) != math.copysign(1, b) or a != b
        if not (math.isnan(a) or math.isnan(b))
        else math.isnan(a) != math.isnan(b)
        for a, b in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert change_between(one, other).moved is any(expected)
