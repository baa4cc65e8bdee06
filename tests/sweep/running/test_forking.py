"""What a worker frees stays with it: the system does not clear the same pages step after step."""

import platform
import subprocess
import sys

import pytest

TEN_STEPS = """
import resource, sys
from sweep.running.forking import keep_freed_memory

def step():
    tensors = [bytearray(8 * 2**20) for _ in range(3)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "kept":
    keep_freed_memory()
step()
step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""
PAGES_OF_A_STEP = 3 * 8 * 2**20 // 4096


def page_faults(how):
    return int(subprocess.check_output([sys.executable, "-c", TEN_STEPS, how], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_taken_again_without_page_faults():
    assert page_faults("as usual") > 3 * PAGES_OF_A_STEP
    assert page_faults("kept") < PAGES_OF_A_STEP / 10
