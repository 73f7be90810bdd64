"""The C core test on emulated microcontrollers: the same bytes as on the host, hostile bytes too.

A missing toolchain is a failure, not a skip: `make test` installs them.
"""

import dataclasses
import pathlib
import shutil
import subprocess

import pytest

TFLITE_OPS = pathlib.Path(__file__).parent.parent / "tflite_ops"
DEVICE = TFLITE_OPS / "tests" / "device"
SOURCES = [*sorted((TFLITE_OPS / "core").glob("*.c")), TFLITE_OPS / "tests" / "core_test.c"]
ARM_FLAGS = ["-mthumb", "--specs=rdimon.specs", "-T", str(DEVICE / "cortex_m.ld"),
             str(DEVICE / "cortex_m_vectors.c")]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Target:
    """Compiler and emulator of a microcontroller."""

    compiler: str
    flags: list[str]
    emulator: list[str]
    packages: str


TARGETS = {
    # Code for the Cortex-M0 on the board of the Cortex-M3, whose memory is large enough.
    "cortex-m0": Target(
        "arm-none-eabi-gcc", ["-mcpu=cortex-m0", *ARM_FLAGS],
        ["qemu-system-arm", "-M", "mps2-an385"],
        "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    ),
    "cortex-m4": Target(
        "arm-none-eabi-gcc", ["-mcpu=cortex-m4", *ARM_FLAGS],
        ["qemu-system-arm", "-M", "mps2-an386"],
        "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    ),
    "rv32imc": Target(
        "riscv64-unknown-elf-gcc",
        ["-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany", "--specs=picolibc.specs",
         "--oslib=semihost", "--crt0=hosted", "-T", "picolibc.ld",
         "-Wl,--defsym=__flash=0x80000000", "-Wl,--defsym=__flash_size=4M",
         "-Wl,--defsym=__ram=0x80400000", "-Wl,--defsym=__ram_size=4M"],
        ["qemu-system-riscv32", "-M", "virt", "-bios", "none"],
        "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_core_on_device(name, tmp_path):
    target = TARGETS[name]
    for tool in (target.compiler, target.emulator[0]):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is missing: apt-get install {target.packages}")
    program = tmp_path / f"{name}.elf"
    subprocess.run(
        [target.compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *target.flags,
         *map(str, SOURCES), "-o", str(program)],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [*target.emulator, "-nographic", "-semihosting", "-kernel", str(program)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert ", 0 failed" in done.stdout
