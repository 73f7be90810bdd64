"""The C test with its golden data: current, and clean under the sanitizers."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
C_TESTS = ROOT / "tflite_ops" / "tests"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]


def test_regenerating_the_golden_data_changes_nothing(tmp_path):
    copy = tmp_path / "tflite_ops" / "tests"
    copy.mkdir(parents=True)
    shutil.copy(C_TESTS / "generate_golden.py", copy)
    for name in ("tests", "tfmot_mltq"):
        (tmp_path / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, str(copy / "generate_golden.py")], check=True)
    assert (copy / "golden_layers.h").read_text() == (C_TESTS / "golden_layers.h").read_text()


@pytest.mark.parametrize(
    "extra",
    [
        ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        ["-O3"],
        ["-O3", "-mpopcnt"],
    ],
    ids=["sanitizers", "optimised", "counting_instruction"],
)
def test_core(extra, tmp_path, thorough):
    """Hostile bytes in all golden layers, or in every seventh."""
    program = tmp_path / "core_test"
    sources = [*sorted((ROOT / "tflite_ops/core").glob("*.c")), C_TESTS / "core_test.c"]
    flags = [*FLAGS, *extra, f"-DMLTQ_HOSTILE_STEP={1 if thorough else 7}"]
    subprocess.run(["cc", *flags, *map(str, sources), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout


def test_the_core_compiles_as_cpp():
    """Arduino and ESP-IDF projects include the headers from C++."""
    for header in ("core/mltq.h", "core/mltq_eval.h", "tflm/mltq_tflm.h"):
        code = f'#include "{ROOT / "tflite_ops" / header}"\nint main() {{ return 0; }}\n'
        subprocess.run(
            ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-"],
            input=code,
            text=True,
            check=True,
        )


def test_the_core_needs_no_library(tmp_path):
    """C99, no allocation, no C library but what the compiler itself may call."""
    objects = []
    for source in sorted((ROOT / "tflite_ops/core").glob("*.c")):
        objects.append(tmp_path / (source.stem + ".o"))
        # At a fixed address: elsewhere constants that hold addresses are written at the start.
        command = ["cc", *FLAGS, "-Os", "-ffreestanding", "-fno-pie", "-c", str(source)]
        subprocess.run([*command, "-o", str(objects[-1])], check=True)
    listing = subprocess.run(["nm", *map(str, objects)], capture_output=True, text=True, check=True)
    undefined = {
        line.split()[-1] for line in listing.stdout.splitlines() if line.strip().startswith("U ")
    }
    allowed = {"memcpy", "memset", "memmove", "memcmp", "_GLOBAL_OFFSET_TABLE_"}
    assert {name for name in undefined if not name.startswith("mltq_")} <= allowed
    # Nothing that changes at run time.
    kinds = {line.split()[-2] for line in listing.stdout.splitlines() if len(line.split()) > 1}
    assert not kinds & {"D", "d", "B", "b", "C"}
