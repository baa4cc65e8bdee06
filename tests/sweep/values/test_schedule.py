import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.errors import UnknownNameError
from sweep.values.schedule import parse

PATTERNS = [
    ("alternate", "afafafaf"),
    ("always", "ffffffff"),
    ("never", "aaaaaaaa"),
    ("every:1", "aaaaaaaa"),
    ("every:3", "affaffaf"),
    ("after:0", "ffffffff"),
    ("after:3", "aaafffff"),
    ("after:99", "aaaaaaaa"),
]


@pytest.mark.parametrize(("text", "pattern"), PATTERNS)
def test_each_schedule_freezes_the_steps_it_says(text, pattern):
    schedule = parse(text)
    assert "".join("f" if schedule.frozen(step) else "a" for step in range(8)) == pattern


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("every:1", "never"),
        ("every:2", "alternate"),
        ("every:02", "alternate"),
        ("after:0", "always"),
        ("after:007", "after:7"),
        ("every:3", "every:3"),
        ("alternate", "alternate"),
        ("always", "always"),
        ("never", "never"),
    ],
)
def test_equal_schedules_share_one_name(text, canonical):
    assert str(parse(text)) == canonical
    assert parse(text) == parse(canonical)


SCHEDULES = st.one_of(
    st.sampled_from(["alternate", "always", "never"]),
    st.integers(1, 60).map("every:{}".format),
    st.integers(0, 60).map("after:{}".format),
)


@given(SCHEDULES, st.integers(0, 50))
def test_counted_steps_are_those_a_loop_counts(text, steps):
    schedule = parse(text)
    frozen = sum(schedule.frozen(step) for step in range(steps))
    assert schedule.frozen_steps(steps) == frozen
    assert schedule.attached_steps(steps) == steps - frozen


@given(SCHEDULES, SCHEDULES)
def test_schedules_are_equal_exactly_when_they_freeze_the_same_steps(one, other):
    steps = range(60 * 60)
    same = all(parse(one).frozen(step) == parse(other).frozen(step) for step in steps)
    assert (parse(one) == parse(other)) == same


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("altrenate", "Unknown schedule 'altrenate'. Did you mean alternate"),
        ("every=3", "Unknown schedule 'every=3'. Did you mean every:N"),
        ("after:-1", "Unknown schedule 'after:-1'. Did you mean after:K"),
        ("every:two", "Unknown schedule 'every:two'. Did you mean every:N"),
        ("every:0", "divisible by N >= 1"),
        ("every:", "Did you mean every:N"),
        ("after:1.5", "Did you mean after:K"),
        ("after: 3", "Did you mean after:K"),
        ("after:٣", "Did you mean after:K"),
        ("after:9999999999", "frozen from step K on"),
        ("", "Valid: alternate, always, never, every:N, after:K"),
    ],
)
def test_a_misspelt_schedule_is_answered_with_the_nearest_form(text, message):
    with pytest.raises(UnknownNameError) as raised:
        parse(text)
    assert message in str(raised.value)
