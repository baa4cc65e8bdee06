import pytest

from analysis.conditions import NULL, Between, OneOf, Rule

ZERO = OneOf("zero_grad", ("zero",))
NEVER = OneOf("zero_grad", ("never",))
DETACHED = OneOf("freeze", ("detach",))
FAST = Between("momentum", 0.0, None)
DECAYS = Between("weight_decay", 0.0, None)


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (ZERO, "zero_grad = zero"),
        (OneOf("freeze", ("a", "b", "c"), ("grad_none",)), "freeze is not grad_none"),
        (OneOf("freeze", ("a", "b", "c", "d"), ("e", "f")), "freeze not in {e, f}"),
        (OneOf("zero_grad", ("zero", "never"), ("none",)), "zero_grad in {zero, never}"),
        (Between("momentum", None, NULL), "momentum is null"),
        (Between("momentum", NULL, None), "momentum is not null"),
        (Between("momentum", NULL, 0.5), "momentum <= 0.5"),
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
        (
            ((ZERO, DETACHED, FAST), (ZERO, DETACHED, DECAYS)),
            "leaks when zero_grad = zero and freeze = detach and "
            "(momentum > 0 or weight_decay > 0)",
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
        (((Between("momentum", NULL, 0.0),),), [True, False, False, False]),
        (((Between("momentum", None, 0.0),),), [True, False, False, True]),
        (((Between("momentum", None, NULL),),), [False, False, False, True]),
        (((Between("momentum", NULL, None),),), [True, True, True, False]),
        (((OneOf("zero_grad", ("none", "never")),),), [False, False, True, True]),
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
