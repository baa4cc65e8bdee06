"""What a process has once a row has asked for it."""

from __future__ import annotations

import pytest
import torch.distributed as dist

from sweep.optimizers import registry, surroundings


def test_a_lone_process_group_has_one_member_and_is_made_once():
    surroundings.lone_process_group()
    surroundings.lone_process_group()
    assert (dist.get_rank(), dist.get_world_size()) == (0, 1)


def test_a_row_of_heavyball_has_its_kernels_run_as_written():
    heavyball_utils = pytest.importorskip("heavyball.utils")
    registry.optimizer_class(registry.lookup("heavyball.AdamW"))
    assert heavyball_utils.compile_mode is None
