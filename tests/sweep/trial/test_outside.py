"""What a class's code keeps outside of its instances is put back, whatever a step does to it."""

import random
from collections import deque

import numpy as np
import pytest
import torch

from sweep.errors import MisuseError
from sweep.trial.outside import surroundings_now, undisturbed
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad

_count = 0
_listed, _queue, _seen, _by_name = [1], deque([1]), {1}, {"a": 1}
_drawn, _numpys, _torchs = random.Random(1), np.random.default_rng(1), torch.Generator()


class _Holder:
    count = 0


_holder = _Holder()


def _touch():
    global _count
    _count += 1
    _listed.append(2)
    _queue.append(2)
    _seen.add(2)
    _by_name["b"] = 2
    _holder.count += 1
    _drawn.random()
    _numpys.random()
    torch.rand(1, generator=_torchs)


class Keeps:
    number, tensor = 0, torch.zeros(2)

    def step(self, memory=[]):  # noqa: B006  # one of the places
        _touch()
        memory.append(1)
        Keeps.number += 1
        Keeps.tensor.add_(1)
        return (lambda: len(memory))()

    @property
    def read(self):
        return Keeps.number

    @staticmethod
    def touch():
        _touch()


def now():
    return [
        *(_count, list(_listed), list(_queue), set(_seen), dict(_by_name), vars(_holder).copy()),
        *(_drawn.getstate(), _numpys.bit_generator.state, _torchs.get_state().tolist()),
        *(Keeps.number, Keeps.tensor.tolist(), list(Keeps.step.__defaults__[0])),
    ]


@pytest.mark.parametrize("times", [1, 2])
def test_what_a_step_did_around_it_is_undone(times):
    before, put_back = now(), surroundings_now(Keeps)
    for _ in range(times):
        Keeps().step()
        changed = now()
        assert all(one != other for one, other in zip(before, changed, strict=True))
        put_back()
        assert now() == before


def test_torch_and_python_have_nothing_to_put_back():
    put_back = surroundings_now(torch.optim.Adam, dict)
    Keeps().step()
    after = now()
    put_back()
    assert now() == after


def test_it_is_put_back_although_a_trial_raises():
    setting = Setting("planted:RaisesOnceCounted", 0.1, 0.0, None, ZeroGrad.ZERO)
    outcomes = [run_trial(PlannedTrial(setting, "small", 4)) for _ in range(2)]
    assert [outcome.error for outcome in outcomes] == ["ValueError: step 1"] * 2


def test_a_class_that_cannot_be_imported_is_named():
    with pytest.raises(MisuseError, match="nowhere is not installed"), undisturbed("nowhere:Lost"):
        pass
