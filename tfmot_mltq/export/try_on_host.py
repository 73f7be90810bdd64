"""Compiles exported C code with this machine's compiler and runs its self-test."""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

from tfmot_mltq.errors import ConversionError, RuntimeUnavailableError

_COMPILERS = ("cc", "gcc", "clang")
_LONGEST_OUTPUT = 2000
_MAIN = """#include <stdio.h>
#include "{name}_self_test.h"
int main(void) {{ return puts({name}_self_test()) < 0; }}
"""


def find_compiler() -> list[str]:
    """The command of the C compiler: what the environment variable CC says, or the first of the
    usual ones.

    Raises:
      RuntimeUnavailableError: There is none.
    """
    chosen = os.environ.get("CC")
    for command in [shlex.split(chosen)] if chosen else [[name] for name in _COMPILERS]:
        if command and shutil.which(command[0]):
            return command
    named = f"{chosen!r}, which CC names," if chosen else f"({', '.join(_COMPILERS)})"
    raise RuntimeUnavailableError(
        f"mltq export compiles and runs its code, but the C compiler {named} is missing. Install "
        "one (Debian, Ubuntu: apt-get install build-essential; macOS: xcode-select --install), or "
        "skip the test with --no-self_test."
    )


def try_on_host(folder: pathlib.Path, name: str) -> None:
    """Compiles the C code in a folder and runs its self-test.

    Args:
      folder: Of the exported code.
      name: Of the model.

    Raises:
      RuntimeUnavailableError: There is no C compiler.
      ConversionError: The code does not compile, or its output is not that of TensorFlow Lite
        Micro; with what the compiler or the program said.
    """
    compiler = find_compiler()
    with tempfile.TemporaryDirectory() as work:
        main, program = pathlib.Path(work, "main.c"), pathlib.Path(work, "self_test")
        main.write_text(_MAIN.format(name=name))
        sources = [path for path in sorted(folder.rglob("*.c")) if path.name != f"{name}_main.c"]
        command = [*compiler, "-std=c99", "-O1", f"-I{folder}", *map(str, [main, *sources])]
        done = _run([*command, "-o", str(program)])
        if done.returncode != 0:
            raise _failure(f"does not compile with {shlex.join(compiler)}", done)
        done = _run([str(program)])
        if done.returncode != 0 or done.stdout.strip() != "ok":
            raise _failure("fails its self-test on this machine", done)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _failure(what: str, done: subprocess.CompletedProcess[str]) -> ConversionError:
    said = f"{done.stdout}{done.stderr}".strip()[-_LONGEST_OUTPUT:]
    return ConversionError(
        f"The exported code {what}, so nothing was written: {said or f'exit {done.returncode}'}\n"
        "This is a bug in mltq export; please report it. --no-self_test writes the code anyway; "
        "--runtime=tflm does without it."
    )
