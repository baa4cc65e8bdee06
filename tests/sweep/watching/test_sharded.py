"""FSDP2 and tensor parallel over gloo: each rank is right about its own shard, watched or not.

One process, and two of which the first alone watches, or both; a watch makes no collective call,
so none waits for another.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed

SCRIPT = Path(__file__).with_name("sharded_process.py")
HOW = ("FSDP2", "tensor parallel")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]


def run(folder, ranks):
    """What each rank wrote."""
    outs = [folder / f"{rank}.json" for rank in range(ranks)]
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(ranks), str(folder / "meet"), str(out)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank, out in enumerate(outs)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    return [json.loads(out.read_text()) for out in outs]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return run(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one"), 1)


def all_of(one, two):
    return [found for group in (one, two) for found in group]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("who", ["one", "all"])
def test_with_grads_of_zeros_each_rank_tells_what_moved_of_its_own_shard(one, two, how, who):
    for found in all_of(one, two):
        result = found[f"{how}, zeros, {who}, parameter"]
        assert "error" not in result, result
        assert result["true"]
        if result["told"] is not None:
            assert result["told"] == result["true"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("who", ["one", "all"])
def test_with_grads_of_none_nothing_leaks(one, two, how, who):
    for found in all_of(one, two):
        result = found[f"{how}, None, {who}, parameter"]
        assert "error" not in result, result
        assert result["true"] == []
        assert result["told"] in ([], None)


@pytest.mark.parametrize("how", HOW)
def test_the_first_rank_watches_alone_and_the_second_does_not_wait(two, how):
    told = [found[f"{how}, zeros, one, parameter"]["told"] for found in two]
    assert told[0]
    assert told[1] is None


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("grads", ["None", "zeros"])
def test_the_training_has_the_same_bits_whoever_watches(one, two, how, grads):
    for found in all_of(one, two):
        bare = found[f"{how}, {grads}, none, parameter"]["bits"]
        for watched in ("one, parameter", "all, parameter", "all, row"):
            assert found[f"{how}, {grads}, {watched}"]["bits"] == bare


@pytest.mark.parametrize("how", HOW)
def test_by_row_each_rank_tells_of_the_rows_of_its_own_shard(one, two, how):
    for found in all_of(one, two):
        result = found[f"{how}, zeros, all, row"]
        assert "error" not in result, result
        assert result["true"]
        assert sorted(set(map(tuple, result["told"]))) == list(map(tuple, result["true"]))


@pytest.mark.parametrize("how", HOW)
def test_the_causes_are_those_of_the_rank_s_own_shard(one, two, how):
    for found in all_of(one, two):
        assert found[f"{how}, zeros, all, parameter"]["causes"] == ["decay, history"]


@pytest.mark.parametrize("how", HOW)
def test_every_rank_can_ask_for_what_all_found(two, how):
    results = [found[f"{how}, zeros, all, parameter"] for found in two]
    names = [sorted({name for name, _ in result["true"]}) for result in results]
    true = [[rank, name, 2] for rank, found in enumerate(names) for name in found]
    assert [result["gathered"] for result in results] == [true, true]
