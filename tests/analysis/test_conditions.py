import pytest

from analysis.conditions import Between, OneOf, Rule

ZERO = OneOf("zero_grad", ("zero",))
NEVER = OneOf("zero_grad", ("never",))
FAST = Between("momentum", 0.0, None)
DECAYS = Between("weight_decay", 0.0, None)


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (ZERO, "zero_grad = zero"),
        (OneOf("zero_grad", ("zero", "never"), ("none",)), "zero_grad in {zero, never}"),
        (OneOf("freeze", ("a", "b", "c"), ("grad_none",)), "freeze is not grad_none"),
        (OneOf("freeze", ("a", "b", "c", "d"), ("e", "f")), "freeze not in {e, f}"),
        (OneOf("momentum", (None,)), "momentum is null"),
        (OneOf("momentum", (0.9, None)), "momentum in {0.9, null}"),
        (FAST, "momentum > 0"),
        (Between("momentum", None, 0.0), "momentum = 0"),
        (Between("lr", None, 0.01), "lr <= 0.01"),
        (Between("lr", 0.001, 0.1), "0.001 < lr <= 0.1"),
    ],
)
def test_a_literal_reads_as_it_is_meant(literal, text):
    assert str(literal) == text


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ((), "never leaks"),
        (((),), "always leaks"),
        (((ZERO,),), "leaks when zero_grad = zero"),
        (((FAST,), (DECAYS,)), "leaks when momentum > 0 or weight_decay > 0"),
        (
            ((ZERO, FAST), (ZERO, DECAYS), (NEVER,)),
            "leaks when zero_grad = zero and (momentum > 0 or weight_decay > 0), "
            "or zero_grad = never",
        ),
        (
            ((ZERO, FAST), (NEVER, DECAYS)),
            "leaks when zero_grad = zero and momentum > 0, "
            "or zero_grad = never and weight_decay > 0",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(terms, text):
    assert str(Rule(terms)) == text


@pytest.mark.parametrize(
    ("terms", "leaks"),
    [
        ((), [False, False, False, False]),
        (((),), [True, True, True, True]),
        (((ZERO, FAST), (NEVER,)), [False, True, True, False]),
        (((Between("momentum", None, 0.0),),), [True, False, False, False]),
        (((OneOf("momentum", (None,)),),), [False, False, False, True]),
        (((OneOf("momentum", (0.9,)),),), [False, True, False, False]),
        (((Between("momentum", 0.0, 0.5),),), [False, False, True, False]),
    ],
)
def test_a_rule_is_evaluated_row_by_row(trials, terms, leaks):
    frame = trials(
        {"zero_grad": "zero", "momentum": 0.0},
        {"zero_grad": "zero", "momentum": 0.9},
        {"zero_grad": "never", "momentum": 0.5},
        {"zero_grad": "none", "momentum": None},
    )
    assert Rule(terms).evaluate(frame).tolist() == leaks


def test_a_rule_knows_the_axes_it_looks_at():
    assert Rule(((ZERO, FAST), (NEVER,))).axes == ("zero_grad", "momentum")
