"""The row of an environment holds what decides bits, and nothing else of the machine."""

import platform
import subprocess
import sys

import pytest
import torch

from sweep.trial import machine

KEYS = ("system", "machine", "cpu", "cpu_capability", "blas", "blas_mode")
EPYC = "processor : 0\nmodel name\t: AMD EPYC\ncpu family\t: 25\nmodel : 17\n\nmodel name : x"


@pytest.fixture(autouse=True)
def asked_anew():
    machine.environment.cache_clear()
    yield
    machine.environment.cache_clear()


def test_nothing_is_left_out_and_nothing_tells_the_kernels_build():
    here = machine.environment("cpu")
    assert all(getattr(here, key) for key in KEYS)
    assert platform.release() not in repr(here)
    assert here.cpu_capability == torch.backends.cpu.get_cpu_capability()
    assert here.machine == platform.machine()


def test_the_mode_of_the_matrix_library_makes_another_environment(monkeypatch):
    for name in machine.MODES:
        monkeypatch.delenv(name, raising=False)
    assert machine.environment("cpu").blas_mode == "default"
    machine.environment.cache_clear()
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert machine.environment("cpu").blas_mode == "MKL_CBWR=COMPATIBLE"


def test_the_mode_changes_bits_where_the_library_is_mkl():
    if not torch.backends.mkl.is_available() or platform.machine() != "x86_64":
        pytest.skip("no MKL on x86-64 here")
    program = (
        "import torch; torch.set_num_threads(1); g = torch.Generator().manual_seed(0);"
        "one, two = (torch.randn(256, 256, generator=g) for _ in range(2));"
        "print((one @ two).double().sum().item())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"MKL_CBWR": mode},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for mode in ("AUTO", "COMPATIBLE")
    }
    assert len(found) == 2


@pytest.mark.parametrize(
    ("told", "cpu"),
    [
        (EPYC, "AMD EPYC (family 25, model 17)"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "0xd0c"),
        ("\n", None),
    ],
)
def test_the_processor_is_known_by_its_model(tmp_path, monkeypatch, told, cpu):
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert machine.environment("cpu").cpu == (cpu or platform.processor() or platform.machine())


def test_where_nothing_tells_the_processor_it_is_the_architecture(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", str)
    assert machine.environment("cpu").cpu == platform.machine()


@pytest.mark.parametrize(
    ("built_with", "blas"),
    [
        ("- Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 2", "MKL 2024.2"),
        ("Build settings: BLAS_INFO=accelerate, X=1", "accelerate"),
        ("", "unknown"),
    ],
)
def test_the_matrix_library_is_what_torch_was_built_with(monkeypatch, built_with, blas):
    monkeypatch.setattr(torch.__config__, "show", lambda: built_with)
    assert machine.environment("cpu").blas == blas


@pytest.mark.parametrize(
    ("mac", "name", "system"),
    [
        ("14.5", "Darwin", "macOS 14.5"),
        ("", "Windows", "Windows 11"),
        ("", "Linux", "Linux musl 1"),
    ],
)
def test_the_system_is_named_with_what_its_scalar_functions_come_with(
    monkeypatch, mac, name, system
):
    monkeypatch.setattr(platform, "mac_ver", lambda: (mac, ("", "", ""), ""))
    monkeypatch.setattr(platform, "system", lambda: name)
    monkeypatch.setattr(platform, "release", lambda: "11")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1"))
    assert machine.environment("cpu").system == system
