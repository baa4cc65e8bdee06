"""DDP over gloo with two real processes and parameters that not every one of them uses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed

SCRIPT = Path(__file__).with_name("ddp_process.py")

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By rank: what each combination found."""
    folder = tmp_path_factory.mktemp("ddp")
    outs = [folder / f"{rank}.json" for rank in range(2)]
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(folder / "meeting"), str(out)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    return [json.loads(out.read_text()) for out in outs]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("bucket_view", [False, True])
@pytest.mark.parametrize("zeros_count", [False, True])
def test_with_grads_of_none_nothing_leaks_on_any_rank(found, rank, bucket_view, zeros_count):
    assert found[rank][f"True {bucket_view} {zeros_count}"] == []


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("bucket_view", [False, True])
def test_with_grads_of_zeros_what_no_rank_uses_any_more_leaks(found, rank, bucket_view):
    leaks = found[rank][f"False {bucket_view} False"]
    assert leaks == [["early.weight", 2, "decay, history"], ["early.weight", 3, "None"]]


@pytest.mark.parametrize("rank", [0, 1])
def test_without_bucket_views_zeros_of_the_loop_itself_are_no_gradient(found, rank):
    leaks = found[rank]["False False True"]
    assert [leak[:2] for leak in leaks] == [["early.weight", 2], ["early.weight", 3]]
