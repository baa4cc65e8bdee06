"""What decides a trial, and the fingerprint of it."""

import hashlib
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.values.setting import PlannedTrial, Setting, canonical_json
from sweep.values.words import Freeze, ZeroGrad

SETTING = Setting("Adam", lr=1.0, weight_decay=0.5, momentum=0.9)
PLAN = PlannedTrial(SETTING, "article", 100)


@pytest.mark.parametrize(
    "changed",
    [
        replace(PLAN, setting=replace(SETTING, optimizer="AdamW")),
        replace(PLAN, setting=replace(SETTING, lr=0.1)),
        replace(PLAN, setting=replace(SETTING, weight_decay=None)),
        replace(PLAN, setting=replace(SETTING, momentum=0.0)),
        replace(PLAN, setting=replace(SETTING, zero_grad=ZeroGrad.NEVER)),
        replace(PLAN, setting=replace(SETTING, schedule="always")),
        replace(PLAN, setting=replace(SETTING, freeze=Freeze.NO_GRAD)),
        replace(PLAN, setting=replace(SETTING, seed=1)),
        replace(PLAN, workload="small"),
        replace(PLAN, steps=99),
        replace(PLAN, options='{"amsgrad":true}'),
    ],
)
def test_everything_that_decides_a_trial_is_in_its_fingerprint(changed):
    assert changed.fingerprint != PLAN.fingerprint


def test_a_fingerprint_is_the_same_in_every_release():
    """Recorded sweeps are resumed by it: a change here would run every trial again."""
    assert PLAN.fingerprint == "29d4f2336b15eb32e275ff0651a14e14"


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(
    setting=st.builds(
        Setting,
        optimizer=st.text(),
        lr=NUMBERS,
        weight_decay=NUMBERS,
        momentum=NUMBERS,
        zero_grad=st.sampled_from(ZeroGrad),
        schedule=st.text(),
        freeze=st.sampled_from(Freeze),
        seed=st.integers(min_value=0),
    ),
    workload=st.text(),
    steps=st.integers(),
)
def test_a_fingerprint_is_the_hash_of_canonical_json(setting, workload, steps):
    text = canonical_json(asdict(setting) | {"workload": workload, "steps": steps}) + '{"a":1}'
    expected = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert PlannedTrial(setting, workload, steps, '{"a":1}').fingerprint == expected


@pytest.mark.parametrize("lr", [float("nan"), float("inf")])
def test_what_json_lacks_has_no_fingerprint(lr):
    with pytest.raises(ValueError, match="not JSON compliant"):
        PlannedTrial(replace(SETTING, lr=lr), "article", 100)


def test_equal_plans_have_equal_fingerprints():
    again = PlannedTrial(Setting("Adam", lr=1.0, weight_decay=0.5, momentum=0.9), "article", 100)
    assert again == PLAN
    assert again.fingerprint == PLAN.fingerprint
    assert len(again.fingerprint) == 32


def test_options_come_back_as_constructor_arguments():
    plan = replace(PLAN, options='{"betas[1]":0.5,"foreach":false}')
    assert plan.constructor_options() == {"betas[1]": 0.5, "foreach": False}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        canonical_json({"lr": number})


@given(st.dictionaries(st.text(), st.integers() | st.booleans() | st.none()))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(list(value.items())))
    assert canonical_json(turned) == canonical_json(value)


def test_a_word_given_as_text_is_the_word_itself():
    setting = Setting("SGD", 0.1, 0.0, 0.0, zero_grad="none", freeze="grad_none")
    assert setting.zero_grad is ZeroGrad.NONE
    assert setting.freeze is Freeze.GRAD_NONE
    with pytest.raises(ValueError, match="'sometimes' is not a valid ZeroGrad"):
        Setting("SGD", 0.1, 0.0, 0.0, zero_grad="sometimes")
    with pytest.raises(ValueError, match="'ice' is not a valid Freeze"):
        Setting("SGD", 0.1, 0.0, 0.0, ZeroGrad.NONE, freeze="ice")
