"""The digits: split by the seed, batched by the step, scored on what was held out."""

import pytest
import torch
from torch.nn import functional

from sweep.workloads import digits
from sweep.workloads.built_in import SCORES, build_workload


def trained(workload, steps=150):
    optimizer = torch.optim.Adam(workload.model.parameters(), lr=0.01)
    for step in range(steps):
        workload.loss(workload.model, workload.data, step).backward()
        optimizer.step()
        optimizer.zero_grad()
    return workload


@torch.no_grad()
def score(workload):
    return workload.score(workload.model, workload.data)


@pytest.mark.parametrize("name", SCORES)
def test_a_seed_decides_split_batches_and_model(name):
    one, same, other = (build_workload(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.data.batch(7)[0], same.data.batch(7)[0])
    assert torch.equal(one.model.layer1.weight, same.model.layer1.weight)
    assert not torch.equal(one.data.held_out_x, other.data.held_out_x)
    assert not torch.equal(one.data.batch(7)[1], other.data.batch(7)[1])
    assert not torch.equal(one.model.layer1.weight, other.model.layer1.weight)


def test_no_digit_is_both_trained_on_and_held_out():
    data = digits.split(0, "cpu")
    assert len(data.x) + len(data.held_out_x) == 1797
    assert data.held_out_x.shape == (360, 64)
    assert data.x.min() == 0
    assert data.x.max() == 1
    whole = torch.cat([data.x, data.held_out_x]).sum(dim=0)
    other = digits.split(1, "cpu")
    assert torch.allclose(whole, torch.cat([other.x, other.held_out_x]).sum(dim=0))


def test_an_epoch_meets_each_digit_at_most_once_and_the_next_is_shuffled_anew():
    data = digits.split(0, "cpu")
    first = torch.cat([data.batch(step)[0] for step in range(11)])
    assert first.shape == (11 * 128, 64)
    assert len(first.unique(dim=0)) == 11 * 128
    assert not torch.equal(data.batch(0)[1], data.batch(11)[1])


def test_batches_do_not_touch_the_global_generator():
    before = torch.get_rng_state()
    digits.split(0, "cpu").batch(40)
    assert torch.equal(before, torch.get_rng_state())


def test_training_raises_the_held_out_accuracy():
    workload = build_workload("digits", seed=0)
    assert score(workload) < 0.3
    assert score(trained(workload)) > 0.9


def test_the_accuracy_is_the_share_of_held_out_digits_named_right():
    workload = trained(build_workload("digits", seed=0), steps=30)
    named = workload.model(workload.data.held_out_x).argmax(dim=1)
    right = int((named == workload.data.held_out_y).sum())
    assert score(workload) == right / 360


def test_a_model_that_became_nan_names_nothing():
    workload = build_workload("digits", seed=0)
    with torch.no_grad():
        workload.model.layer2.weight.fill_(float("nan"))
    assert score(workload) == 0.0


def test_a_pretrained_first_layer_is_the_teachers_and_the_second_is_new():
    workload, plain = build_workload("digits-pretrained", 0), build_workload("digits", 0)
    assert not torch.equal(workload.model.layer1.weight, plain.model.layer1.weight)
    assert torch.equal(workload.model.layer2.weight, plain.model.layer2.weight)


def test_kept_features_tell_the_old_classes_apart_and_erased_ones_do_not():
    workload = build_workload("digits-pretrained", seed=0)
    assert score(workload) > 0.95
    with torch.no_grad():
        workload.model.layer1.weight.zero_()
    counts = functional.one_hot(workload.data.held_out_y).sum(dim=0)[: digits.OLD_CLASSES]
    assert score(workload) <= float(counts.max() / counts.sum())


def test_features_that_are_not_finite_have_no_score():
    workload = build_workload("digits-pretrained", seed=0)
    with torch.no_grad():
        workload.model.layer1.weight[0, 0] = float("inf")
    assert score(workload) != score(workload)


def test_the_score_of_the_old_classes_does_not_ask_the_second_layer():
    workload = build_workload("digits-pretrained", seed=0)
    before = score(workload)
    with torch.no_grad():
        workload.model.layer2.weight.zero_()
    assert score(workload) == before
