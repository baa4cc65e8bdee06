"""What decides a trial's bits besides its setting: the row of ``environment`` that it gets.

Only what has been seen to change bits, or picks the instructions that do: two machines that
give the same bits should not differ by a kernel's build.
"""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from sweep.values.outcome import Environment

CPU_INFO = Path("/proc/cpuinfo")
MODES = (
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "OPENBLAS_CORETYPE"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
)
"""Variables by which a user chooses the instructions of matrix libraries."""

_MKL = re.compile(r"Math Kernel Library Version ([\d.]+)")
_BLAS = re.compile(r"BLAS_INFO=(\w+)")


@cache
def environment(device: str) -> Environment:
    """The machine and libraries of this process, for a trial of one thread on ``device``."""
    return Environment(
        torch=torch.__version__,
        python=platform.python_version(),
        leaksweep=version("leaksweep"),
        system=_system(),
        machine=platform.machine(),
        cpu=_cpu() or platform.processor() or platform.machine(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        blas=_blas(torch.__config__.show()),
        blas_mode=_blas_mode(),
        device=f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device,
        threads=1,
    )


def _system() -> str:
    """The operating system with the version of its C library, which has the scalar functions."""
    if platform.mac_ver()[0]:
        return f"macOS {platform.mac_ver()[0]}"
    if platform.system() == "Windows":
        return f"Windows {platform.release()}"
    return " ".join(filter(None, (platform.system(), *platform.libc_ver())))


def _cpu() -> str | None:
    """The processor's model; with family and number, as virtual machines shorten names."""
    try:
        lines = CPU_INFO.read_text(errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return None
    said = {key.strip(): value.strip() for key, _, value in (each.partition(":") for each in lines)}
    name = said.get("model name")
    if name is None or "cpu family" not in said:
        return name or said.get("CPU part")
    return f"{name} (family {said['cpu family']}, model {said.get('model')})"


def _blas(built_with: str) -> str:
    """The library of matrix products, from torch's own account of how it was built."""
    mkl, named = _MKL.search(built_with), _BLAS.search(built_with)
    if mkl is not None:
        return f"MKL {mkl[1]}"
    return named[1] if named is not None else "unknown"


def _blas_mode() -> str:
    chosen = [f"{name}={os.environ[name]}" for name in MODES if os.environ.get(name)]
    return " ".join(chosen) or "default"
