"""The recipes of CONTRIBUTING.md, followed: what they list is what it takes.

In a copy of the repository a toy is added. It has to be in the files of the recipe alone, and the
tests that are there find it and pass.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# What is not made by building and testing.
NAMES = (
    "CONTRIBUTING.md", "README.md", "docs", "pyproject.toml", "setup.py", "tests", "tflite_ops",
    "tfmot_mltq", "tools",
)  # fmt: skip
MADE = shutil.ignore_patterns("__pycache__", "*.so")


def recipe(title, name="toy"):
    """The files of a recipe, each with who writes it."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"### {title}\n", 1)[1]
    section = section.split("\n### ")[0]
    rows = re.findall(r"^\| `(\S+)` \| .* \| (.+) \|$", section, re.MULTILINE)
    return {path.replace("<name>", name): writer.strip("`") for path, writer in rows}


def by_you(title, name="toy"):
    return {path for path, writer in recipe(title, name).items() if writer == "you"}


class Copy:
    """A copy of the repository."""

    def __init__(self, folder):
        self.root = folder / "copy"
        self.root.mkdir()
        for name in NAMES:
            source, copy = ROOT / name, self.root / name
            if source.is_dir():
                shutil.copytree(source, copy, ignore=MADE)
            else:
                shutil.copy(source, copy)

    def write(self, path, text):
        (self.root / path).write_text(text)

    def insert(self, path, before, text):
        """Puts text before a place that the file has once."""
        old = (self.root / path).read_text()
        assert old.count(before) == 1, f"{path}: {before}"
        self.write(path, old.replace(before, text + before))

    def run(self, *command):
        """Runs Python on the copy's package."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def build(self):
        self.run("setup.py", "-q", "build_ext", "--inplace")

    def test(self, *arguments):
        """Runs tests; returns how many passed."""
        printed = self.run(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *arguments
        )
        return int(re.search(r"^(\d+) passed", printed, re.MULTILINE)[1])

    def changed(self):
        """Files that differ from the repository's, new ones too."""
        return {
            str(path.relative_to(self.root))
            for name in NAMES
            for path in [self.root / name, *(self.root / name).rglob("*")]
            if path.is_file() and path.suffix != ".so" and differs(path, self.root)
        }


def differs(path, root):
    original = ROOT / path.relative_to(root)
    return not original.exists() or original.read_bytes() != path.read_bytes()


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


PAIRS_C = """\
#ifndef TFLITE_OPS_CORE_MLTQ_PAIRS_H_
#define TFLITE_OPS_CORE_MLTQ_PAIRS_H_

#include "mltq_reading.h"

#define MLTQ_ENCODING_PAIRS 1

static inline bool mltq_is_pairs(uint8_t encoding) { return encoding == MLTQ_ENCODING_PAIRS; }

static inline void mltq_pairs_begin_row(MltqPlaneReader* reader) { reader->left = 0; }

static inline bool mltq_pairs_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  while (reader->position < reader->row_size) {
    if (reader->left == 0) {
      reader->bits = mltq_take_machine_word(reader);
      reader->left = 16;
    }
    const uint32_t pair = reader->bits & 3u;
    reader->bits >>= 2;
    reader->left--;
    *index = reader->position++;
    *sign = pair == 1u ? 1 : -1;
    if (pair == 3u) reader->valid = false;
    if (!reader->valid) return false;
    if (pair != 0u) return true;
  }
  if (reader->left != 0 && reader->bits != 0) reader->valid = false;
  return false;
}

static inline void mltq_pairs_begin_sign(MltqCodeStream* stream) {
  stream->trits = stream->row;
  stream->trits_left = 0;
}

static inline uint32_t mltq_pairs_pass(MltqCodeStream* stream, uint32_t wanted) {
  for (uint32_t gap = 1;; gap++) {
    if (stream->trits_left == 0) {
      stream->trit_bits = *stream->trits++;
      stream->trits_left = 4;
    }
    const uint32_t pair = stream->trit_bits & 3u;
    stream->trit_bits = (uint8_t)(stream->trit_bits >> 2);
    stream->trits_left--;
    if (pair == wanted) return gap;
  }
}

static inline void mltq_pairs_count(MltqCodeStream* stream) {
  stream->row = stream->cursor;
  stream->positive = 0;
  stream->negative = 0;
  for (uint32_t i = 0; i < stream->row_size; i++) {
    const uint32_t pair = ((uint32_t)stream->row[i / 4u] >> (2u * (i % 4u))) & 3u;
    stream->positive += pair == 1u;
    stream->negative += pair == 2u;
  }
  stream->cursor += (size_t)(stream->row_size + 15u) / 16u * MLTQ_MACHINE_WORD_BYTES;
}

#define MLTQ_READ_PAIRS(take, more)                                         \\
  while (more) {                                                            \\
    table += mltq_pairs_pass(stream, stream->reading_negative ? 2u : 1u);   \\
    take;                                                                   \\
  }

#endif
"""

PAIRS_PYTHON = '''\
import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes

DESCRIPTION = """**Pairs** (1): two bits an entry, 1 for +1, 2 for -1; rows end a machine word."""


class Pairs(Encoding):
    code = 1
    planes = Planes.CODED
    reads = ("pairs",)

    def encode(self, plane):
        pairs = np.pad(plane % 4 - (plane < 0), [(0, 0), (0, -plane.shape[1] % 16)])
        return (pairs.reshape(-1, 4) @ [1, 4, 16, 64]).astype(np.uint8).tobytes()

    def decode(self, data, offset, rows, size, count_bits):
        end = offset + rows * -(-size // 16) * 4
        if end > len(data):
            raise ValueError("Planes are truncated.")
        stored = np.frombuffer(data[offset:end], np.uint8)[:, None] >> [0, 2, 4, 6] & 3
        plane = np.array([0, 1, -1], np.int8)[stored].reshape(rows, -1)
        return plane[:, :size], end

    def size(self, plane):
        return len(self.encode(plane))

    def counts(self, plane):
        return {"pairs": plane.size}


ENCODINGS = (Pairs(),)
'''


def add_encoding(copy):
    """Two bits an entry."""
    copy.write("tflite_ops/core/mltq_pairs.h", PAIRS_C)
    header = "tflite_ops/core/mltq_encodings.h"
    for before, text in (
        ('#include "mltq_trits.h"', '#include "mltq_pairs.h"\n'),
        ("  return mltq_is_trits(encoding) ||", "  if (mltq_is_pairs(encoding)) return true;\n"),
        (
            "    if (mltq_is_trits(reader->encoding)) {",
            "    if (mltq_is_pairs(reader->encoding)) {\n      mltq_pairs_begin_row(reader);\n"
            "    } else\n",
        ),
        (
            "  return mltq_is_trits(reader->encoding) ?",
            "  if (mltq_is_pairs(reader->encoding)) return mltq_pairs_next(reader, index, sign);\n",
        ),
        (
            "  if (!mltq_is_trits(stream->encoding))",
            "  if (mltq_is_pairs(stream->encoding)) return;\n",
        ),
        (
            "  if (mltq_is_trits(stream->encoding)) mltq_trits_begin_sign",
            "  if (mltq_is_pairs(stream->encoding)) mltq_pairs_begin_sign(stream);\n",
        ),
        (
            "  if (mltq_is_trits(stream->encoding)) {",
            "  if (mltq_is_pairs(stream->encoding)) {\n    mltq_pairs_count(stream);\n"
            "    mltq_pairs_begin_sign(stream);\n  } else\n",
        ),
        (
            "    case MLTQ_ENCODING_TRITS:",
            "    case MLTQ_ENCODING_PAIRS: WITH(MLTQ_READ_PAIRS) break; \\\n",
        ),
    ):
        copy.insert(header, before, text)
    copy.write("tfmot_mltq/packing/encodings/pairs.py", PAIRS_PYTHON)
    encodings = "tfmot_mltq/packing/encodings/__init__.py"
    copy.insert(encodings, "_MODULES = (", "from tfmot_mltq.packing.encodings import pairs\n\n")
    copy.insert(encodings, "bits)\n", "pairs, ")
    description = re.search(r'DESCRIPTION = """(.*)"""', PAIRS_PYTHON)[1]
    copy.insert("docs/packed_format.md", "**Gap codes**, for", description + "\n\n")


KERNEL_C = """
#include "mltq_activation.h"
#include "mltq_kernel.h"
#include "mltq_plane_reader.h"

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  (void)shape;
  *bytes = 4;
  return layer->input_channels <= 8u ? MLTQ_OK : MLTQ_ERROR_KERNEL;
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  if (layer->input_channels > 8u) return MLTQ_ERROR_KERNEL;
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  int32_t* accumulator = scratch;
  for (int32_t batch = 0; batch < shape->batches; batch++, input += layer->input_channels) {
    MltqPlaneReader readers[MLTQ_MAX_LEVELS];
    mltq_plane_readers_init(layer, readers);
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      *accumulator = mltq_layer_bias(layer, channel);
      for (uint32_t level = 0; level < layer->levels; level++) {
        uint32_t index;
        int32_t sign;
        mltq_plane_reader_begin_row(&readers[level]);
        while (mltq_plane_reader_next(&readers[level], &index, &sign)) {
          *accumulator += mltq_layer_multiplier(layer, channel, level) * sign *
                          (map != NULL ? map[(uint8_t)input[index]]
                                       : input[index] - layer->input_zero_point);
        }
      }
      *output++ = mltq_layer_requantize(layer, channel, *accumulator);
    }
  }
  return MLTQ_OK;
}

const MltqKernel mltq_narrow = {
    .kinds = MLTQ_TAKES_FULLY_CONNECTED,
    .planes = MLTQ_PLANES_CODED,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
"""

KERNEL_PYTHON = """
from tfmot_mltq.kernels.fully_connected import FullyConnected


class Narrow(FullyConnected):
    name = "mltq_narrow"
    files = ("mltq_narrow.c",)

    def scratch_bytes(self, call, counts, variant):
        return 4 if call.geometry.input_channels <= 8 else None


NARROW = Narrow()
"""


def add_kernel(copy):
    """For fully connected layers of few inputs."""
    copy.write("tflite_ops/core/mltq_narrow.c", KERNEL_C)
    table = "tflite_ops/core/mltq_kernels.c"
    declaration = "extern const MltqKernel mltq_fully_connected_s8;"
    copy.insert(table, declaration, "extern const MltqKernel mltq_narrow;\n")
    copy.insert(table, "    &mltq_fully_connected_s8,", "    &mltq_narrow,\n")
    copy.write("tfmot_mltq/kernels/narrow.py", KERNEL_PYTHON)
    kernels = "tfmot_mltq/kernels/__init__.py"
    copy.insert(
        kernels,
        "from tfmot_mltq.kernels.plane_counts",
        "from tfmot_mltq.kernels.narrow import NARROW\n",
    )
    copy.insert(kernels, "    FULLY_CONNECTED,\n", "    NARROW,\n")


def add_target(copy):
    """Another core on a board that is there."""
    copy.insert(
        "tfmot_mltq/emulation/targets.py",
        '    "cortex-m3": ',
        '    "cortex-m0plus": _cortex_m("cortex-m0plus", "mps2-an385"),\n',
    )


@pytest.mark.parametrize(
    ("title", "name", "add", "files"),
    [
        ("Add an encoding", "pairs", add_encoding, 5),
        ("Add a kernel", "narrow", add_kernel, 4),
        ("Add a target", "", add_target, 1),
    ],
)
def test_a_recipe_lists_the_files(title, name, add, files, copy):
    add(copy)
    assert copy.changed() == by_you(title, name)
    assert len(copy.changed()) == files


@pytest.mark.parametrize(
    ("title", "example"),
    [("Add a layer kind", "DepthwiseConv1D"), ("Add an export format", "esp-idf")],
)
def test_a_recipe_lists_the_modules_that_name_an_example(title, example):
    naming = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tfmot_mltq").rglob("*.py")
        if example in path.read_text()
    }
    assert naming == {path for path in by_you(title) if re.fullmatch(r"tfmot_mltq/.*\.py", path)}


@pytest.mark.slow
def test_an_encoding_works(copy):
    """Planes round trip in Python, and layers run on the core: on this machine, bit by bit as in
    the NumPy twin, and under QEMU.
    """
    add_encoding(copy)
    copy.build()
    copy.run("tflite_ops/tests/generate_golden.py")
    assert copy.changed() == set(recipe("Add an encoding", "pairs"))
    levels_and_densities = 4 * 3
    assert copy.test("tests/test_c_core.py", "-k", "test_every_encoding and -1-") == (
        levels_and_densities
    )
    copy.test(
        "tests/test_c_core.py", "tests/test_packing.py", "tests/test_format_constants.py",
        "tests/test_cost_model.py", "tests/test_core_structure.py",
        "tests/test_golden.py::test_core", "tests/test_device.py::test_core_on_device[cortex-m3]",
    )  # fmt: skip


@pytest.mark.slow
def test_a_kernel_works(copy):
    """Layers run on it, in C as in Python."""
    add_kernel(copy)
    copy.build()
    copy.test(
        "tests/test_kernels.py", "tests/test_core_structure.py", "tests/test_cost_model.py",
        "-k", "not cortex-m55 and not cortex-m0",
    )  # fmt: skip
    copy.test("tests/test_c_core.py", "-k", "random_layers or families or any_rank")


@pytest.mark.slow
def test_a_target_works(copy):
    """Layers are counted on it, with the outputs of the NumPy twin."""
    add_target(copy)
    files, entry = recipe("Add a target"), "autoencoder/m2/d0.10"
    (command,) = set(files.values()) - {"you"}
    flags = ["--targets=cortex-m0plus", f"--entries={entry}", f"--output={copy.root / 'build'}"]
    assert "cortex-m0plus" in copy.run(*command.split(), *flags)
    assert copy.changed() == set(files)
    baseline = json.loads((copy.root / "tflite_ops/device/baseline.json").read_text())
    # It has the instructions of the Cortex-M0.
    count = baseline["cortex-m0plus"][entry]
    assert count == pytest.approx(baseline["cortex-m0"][entry], rel=0.02)
    assert copy.test("tests/test_device.py", "-k", "core_on_device and m0plus") == 1
