"""The C core test on emulated microcontrollers: the same bytes as on the host, hostile bytes too.

A missing toolchain is a failure, not a skip: `make test` installs them.
"""

import shutil
import subprocess

import pytest

from tfmot_mltq.emulation.targets import CORE_SOURCES, DEVICE, TARGETS

SOURCES = [*CORE_SOURCES, DEVICE.parent / "tests" / "core_test.c"]


@pytest.mark.parametrize("name", TARGETS)
def test_core_on_device(name, tmp_path, thorough):
    """Hostile bytes in all golden layers, or in every seventh."""
    program = tmp_path / f"{name}.elf"
    TARGETS[name].build(SOURCES, program, ["-O2", f"-DMLTQ_HOSTILE_STEP={1 if thorough else 7}"])
    assert ", 0 failed" in TARGETS[name].run(program)


def test_core_without_optimisation(tmp_path):
    """Debug builds keep a frame pointer, which inline assembly may not use then."""
    for name in ("cortex-m0", "cortex-m4"):
        program = tmp_path / f"{name}.elf"
        TARGETS[name].build(SOURCES, program, ["-O0", "-DMLTQ_HOSTILE_STEP=8"])
        assert ", 0 failed" in TARGETS[name].run(program)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_clang_compiles_the_core(core, tmp_path):
    assert shutil.which("clang"), "apt-get install clang"
    for source in CORE_SOURCES:
        command = [
            "clang", "--target=arm-none-eabi", f"-mcpu={core}", "-mthumb", "-mfloat-abi=hard",
            "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-isystem", "/usr/include/newlib",
            "-c", str(source), "-o", str(tmp_path / "core.o"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
