"""Fuzzes the C core with libFuzzer: hostile bytes, and optimised against reference kernels.

    python tools/fuzz_core.py [--seconds=600]

Builds tflite_ops/tests/fuzz_core.c with the address and undefined-behaviour sanitizers, starts from
packed layers of all kinds and encodings, and fails with the input that broke it. What it learns is
kept in --corpus for the next run.
"""

import itertools
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from absl import app, flags

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from packed_layers import random_bitwise_layer, random_layer, with_activation  # noqa: E402

from tfmot_mltq.packing import packed_layer  # noqa: E402
from tfmot_mltq.packing.encodings import CODED  # noqa: E402
from tfmot_mltq.packing.encodings.bits import BIT_PLANES, SIGN_BITS  # noqa: E402
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES  # noqa: E402
from tfmot_mltq.packing.format import OperatorKind  # noqa: E402
from tfmot_mltq.packing.packed_layer import Geometry, PackedLayer  # noqa: E402

SOURCES = [
    *sorted((ROOT / "tflite_ops" / "core").glob("*.c")),
    ROOT / "tflite_ops" / "tests" / "fuzz_core.c",
]
PACKAGES = "clang libclang-rt-dev"
LONGEST_INPUT = 4096
DENSITIES = (0.1, 0.0, 0.6)

FLAGS = flags.FLAGS
flags.DEFINE_integer("seconds", 600, "How long to fuzz.", lower_bound=1)
flags.DEFINE_string("corpus", "build/fuzz", "Folder for the inputs and the program.")


class FuzzError(RuntimeError):
    """A tool is missing, or an input broke the core."""


def write_seeds(folder: pathlib.Path) -> None:
    """Packed layers of every kind and encoding, some with activation levels, each behind four bytes
    of sizes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for kind in OperatorKind:
        for encoding in CODED:
            for density in DENSITIES:
                layer = random_layer(rng, kind, density=density)
                if density == DENSITIES[0]:
                    layer = with_activation(rng, layer, int(rng.integers(1, 5)))
                write_seed(
                    folder, f"{kind.name.lower()}_{encoding}_{density}", layer, encoding, rng
                )
    for inputs, density in itertools.product((5, 128, 300), DENSITIES):
        geometry = Geometry(OperatorKind.FULLY_CONNECTED, inputs, 5)
        layer = random_layer(rng, None, density=density, geometry=geometry)
        write_seed(folder, f"indices_{inputs}_{density}", layer, BYTE_INDICES.code, rng)
    for kind in (OperatorKind.CONV_2D, OperatorKind.FULLY_CONNECTED):
        for binary in itertools.product((False, True), repeat=2):
            layer = random_bitwise_layer(rng, kind, binary=binary)
            encoding = (SIGN_BITS if SIGN_BITS.holds(layer.planes) else BIT_PLANES).code
            write_seed(folder, f"{kind.name.lower()}_{encoding}_{binary}", layer, encoding, rng)


def write_seed(
    folder: pathlib.Path, name: str, layer: PackedLayer, encoding: int, rng: np.random.Generator
) -> None:
    """One file with a layer, all planes in one encoding."""
    data = packed_layer.encode(layer, [encoding] * layer.levels)
    sizes = bytes(rng.integers(0, 256, 4, dtype=np.uint8))
    (folder / f"seed_{name}").write_bytes(sizes + data)


def fuzz(seconds: int, folder: pathlib.Path) -> str:
    """Builds and runs the fuzzer; returns its last line.

    Raises:
      FuzzError: Clang is missing, or an input broke the core: where it was written, and why.
    """
    if shutil.which("clang") is None:
        raise FuzzError(f"clang is missing: apt-get install {PACKAGES}")
    folder = folder.absolute()
    write_seeds(folder / "corpus")
    program = folder / "fuzz_core"
    build = [
        "clang", "-std=c99", "-g", "-O1", "-fsanitize=fuzzer,address,undefined",
        "-fno-sanitize-recover=all", *map(str, SOURCES), "-o", str(program),
    ]  # fmt: skip
    done = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise FuzzError(f"The fuzzer was not built (apt-get install {PACKAGES}):\n{done.stdout}")
    run = [
        str(program), f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=20",
        f"-artifact_prefix={folder}/broken-", str(folder / "corpus"),
    ]  # fmt: skip
    done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise FuzzError(done.stdout[-6000:])
    return done.stdout.strip().splitlines()[-1]


def main(_):
    """Fuzzes."""
    try:
        print(fuzz(FLAGS.seconds, pathlib.Path(FLAGS.corpus)))
    except FuzzError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
