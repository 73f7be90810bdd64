"""The emulated microcontrollers: how to build a C program for one and run it under QEMU."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from tfmot_mltq.helpers.c_sources import c_folder

DEVICE = c_folder("device")
CORE_SOURCES = sorted(c_folder("core").glob("*.c"))
_ARM_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_RISCV_PACKAGES = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
_XTENSA_PACKAGES = "gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-system-misc"


class DeviceError(RuntimeError):
    """A tool is missing, or a program did not run to its end."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A core, and the board that emulates it.

    Attributes:
      tools: Prefix of the cross compiler and its tools.
      core_flags: Compiler flags that choose the core, and a definition that names the board.
      flags: Other compiler and linker flags, for a whole program.
      emulator: QEMU's command line, without the program.
      packages: Debian packages that have all of it.
      variant: Which C code of the kernels it has: one of ``kernels.kernel.VARIANTS``.
      icount_shift: With instructions counted, each takes 2 to the power of it in nanoseconds; the
        ratio in instruction_counter.h follows from it and the clock of the board.
    """

    tools: str
    core_flags: tuple[str, ...]
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    packages: str
    variant: str = "portable"
    icount_shift: int = 8

    def missing_tools(self) -> list[str]:
        """Programs that are not installed."""
        return [
            tool for tool in (f"{self.tools}gcc", self.emulator[0]) if shutil.which(tool) is None
        ]

    def build(
        self, sources: Sequence[pathlib.Path], program: pathlib.Path, flags: Sequence[str]
    ) -> None:
        """Compiles and links ``sources``; warnings are errors.

        Raises:
          DeviceError: The compiler is missing, or refused the sources.
        """
        command = [f"{self.tools}gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        command += [*self.core_flags, *self.flags, *flags, *map(str, sources), "-o", str(program)]
        self._run(command, timeout=300)

    def compile(self, source: pathlib.Path, compiled: pathlib.Path, flags: Sequence[str]) -> None:
        """Compiles a file of C, or of C++ (.cc, .cpp) without exceptions and types at run time.

        Raises:
          DeviceError: The compiler is missing, or refused the source.
        """
        command = [f"{self.tools}gcc", "-std=gnu11"]
        if source.suffix in (".cc", ".cpp"):
            command = [f"{self.tools}g++", "-std=gnu++17", "-fno-rtti", "-fno-exceptions"]
        command += [*self.core_flags, *flags, "-c", str(source), "-o", str(compiled)]
        self._run(command, timeout=300)

    def link(
        self, compiled: Sequence[pathlib.Path], program: pathlib.Path, flags: Sequence[str]
    ) -> None:
        """Links files of C and C++; unused functions are left out.

        Raises:
          DeviceError: The linker is missing, or something is undefined.
        """
        command = [f"{self.tools}gcc", *self.core_flags, *self.flags, *flags, "-Wl,--gc-sections"]
        command += [*map(str, compiled), "-lstdc++", "-lm", "-o", str(program)]
        self._run(command, timeout=300)

    def flash_bytes(self, program: pathlib.Path) -> int:
        """Code, constants and initial values of a linked program.

        Raises:
          DeviceError: The tools are missing.
        """
        text, data = self._run([f"{self.tools}size", str(program)], 60).splitlines()[1].split()[:2]
        return int(text) + int(data)

    def text_bytes(self, sources: Sequence[pathlib.Path], flags: Sequence[str]) -> int:
        """Bytes of code, .text, of ``sources`` compiled one by one.

        Raises:
          DeviceError: The compiler is missing, or refused the sources.
        """
        return self._section_bytes(sources, flags, (".text",))

    def object_bytes(self, sources: Sequence[pathlib.Path], flags: Sequence[str]) -> int:
        """As ``text_bytes``, with constants.

        Raises:
          DeviceError: The compiler is missing, or refused the sources.
        """
        return self._section_bytes(sources, flags, (".text", ".rodata", ".data", ".srodata"))

    def _section_bytes(
        self, sources: Sequence[pathlib.Path], flags: Sequence[str], sections: tuple[str, ...]
    ) -> int:
        total = 0
        with tempfile.TemporaryDirectory() as folder:
            for source in sources:
                compiled = pathlib.Path(folder) / f"{source.stem}.o"
                self.compile(source, compiled, flags)
                sizes = self._run([f"{self.tools}size", "-A", str(compiled)], 60)
                total += sum(
                    int(line.split()[1]) for line in sizes.splitlines() if line.startswith(sections)
                )
        return total

    def run(self, program: pathlib.Path, *, count: bool = False, timeout: float = 300) -> str:
        """What a program prints until it ends.

        Args:
          program: The ELF file.
          count: Lets the board's timers advance with the instructions.
          timeout: Seconds.

        Raises:
          DeviceError: The emulator is missing, or the program failed.
        """
        counting = ["-icount", f"shift={self.icount_shift}"] if count else []
        command = [*self.emulator, *counting, "-nographic", "-semihosting", "-kernel", str(program)]
        return self._run(command, timeout=timeout)

    def _run(self, command: list[str], timeout: float) -> str:
        if shutil.which(command[0]) is None:
            raise DeviceError(f"{command[0]} is missing: apt-get install {self.packages}")
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"{command[0]} did not finish within {timeout} s.") from error
        if done.returncode != 0:
            raise DeviceError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
        return done.stdout


def _cortex_m(
    core: str,
    board: str,
    code: tuple[int, str] = (0, "1M"),
    rodata: tuple[int, str] = (0x100000, "3M"),
    ram: tuple[int, str] = (0x20000000, "4M"),
    flags: tuple[str, ...] = (),
    variant: str = "portable",
    icount_shift: int = 8,
) -> Target:
    memories = {
        "CODE_ORIGIN": hex(code[0]),
        "CODE_LENGTH": code[1],
        "RODATA_ORIGIN": hex(rodata[0]),
        "RODATA_LENGTH": rodata[1],
        "RAM_ORIGIN": hex(ram[0]),
        "RAM_LENGTH": ram[1],
    }
    define = f"-DMLTQ_BOARD_{board.upper().replace('-', '_')}"
    linker = [f"-Wl,--defsym={name}={value}" for name, value in memories.items()]
    return Target(
        "arm-none-eabi-",
        (f"-mcpu={core}", "-mthumb", define, *flags),
        ("--specs=rdimon.specs", *linker,
         "-T", str(DEVICE / "cortex_m.ld"), str(DEVICE / "cortex_m_start.c")),
        ("qemu-system-arm", "-M", board),
        _ARM_PACKAGES,
        variant,
        icount_shift,
    )  # fmt: skip


TARGETS = {
    # Code for the Cortex-M0 on the board of the Cortex-M3, whose memory is large enough.
    "cortex-m0": _cortex_m("cortex-m0", "mps2-an385"),
    "cortex-m3": _cortex_m("cortex-m3", "mps2-an385"),
    "cortex-m4": _cortex_m("cortex-m4", "mps2-an386", variant="dsp"),
    "cortex-m7": _cortex_m("cortex-m7", "mps2-an500", variant="dsp"),
    "cortex-m33": _cortex_m(
        "cortex-m33", "mps2-an505", code=(0x10000000, "1M"), rodata=(0x10100000, "3M"),
        ram=(0x38000000, "2M"), variant="dsp",
    ),
    "cortex-m55": _cortex_m(
        "cortex-m55", "mps3-an547", code=(0, "512K"), rodata=(0x21000000, "4M"),
        ram=(0x20000000, "512K"),
        flags=("-mfloat-abi=hard",), variant="helium", icount_shift=5,
    ),
    "rv32imc": Target(
        "riscv64-unknown-elf-",
        ("-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany", "--specs=picolibc.specs"),
        ("--oslib=semihost", "--crt0=hosted", "-T", "picolibc.ld",
         "-Wl,--defsym=__flash=0x80000000", "-Wl,--defsym=__flash_size=4M",
         "-Wl,--defsym=__ram=0x80400000", "-Wl,--defsym=__ram_size=4M"),
        ("qemu-system-riscv32", "-M", "virt", "-bios", "none"),
        _RISCV_PACKAGES,
        icount_shift=0,
    ),
    # The LX106 of the ESP8266: the only Xtensa that Debian has a compiler for.
    "xtensa": Target(
        "xtensa-lx106-elf-",
        ("-mlongcalls", "-mtext-section-literals",
         "--specs=/usr/lib/xtensa-lx106-elf/picolibc.specs"),
        ("-nostartfiles", "-Wl,--no-warn-rwx-segments",
         "-T", str(DEVICE / "xtensa.ld"), str(DEVICE / "xtensa_start.c")),
        ("qemu-system-xtensa", "-M", "sim", "-cpu", "lx106", "-m", "8M", "-monitor", "none"),
        _XTENSA_PACKAGES,
    ),
}  # fmt: skip
