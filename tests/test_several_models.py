"""Two exported models in one program: neither their operators nor their self-tests collide."""

import pathlib
import subprocess

import numpy as np
import pytest
from packed_layers import random_layer
from small_models import Builder, T, constant

from tfmot_mltq import Interpreter
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.export.tflm_project import plan_tflm_project
from tfmot_mltq.packing import packed_layer
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry

STUB = pathlib.Path(__file__).parent / "tflm_stub"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1"]
MAIN = """#include <stdio.h>
#include "conv.h"
#include "conv_self_test.h"
#include "dense.h"
#include "dense_self_test.h"
int main(void) {
  puts(conv_self_test());
  puts(dense_self_test());
  puts(mltq_status_message(MLTQ_OK));
  return 0;
}
"""


def model_of(rng, geometry, shape, output_shape, encoding):
    """A packed layer alone; its kernel, and the reader of its planes, are the only ones that the
    model has.
    """
    layer = random_layer(rng, geometry.kind, levels=2, density=0.3, geometry=geometry)
    builder = Builder()
    x, y = builder.tensor(T(shape)), builder.tensor(T(output_shape))
    packed = np.frombuffer(packed_layer.encode(layer, [encoding] * 2), np.uint8)
    planes = builder.tensor(constant(packed))
    builder.add(CUSTOM_OP_NAMES[geometry.kind], [x, planes], [y])
    return builder.finish([x], [y])


@pytest.fixture
def models(rng):
    conv = Geometry(OperatorKind.CONV_2D, 3, 4, (3, 3), padding=Padding.SAME)
    dense = Geometry(OperatorKind.FULLY_CONNECTED, 40, 6)
    return {
        "conv": model_of(rng, conv, (1, 7, 6, 3), (1, 7, 6, 4), 5),
        "dense": model_of(rng, dense, (1, 40), (1, 6), BYTE_INDICES.code),
    }


def write(models, project_format, folder, plan=plan_c_project):
    for name, tflite in models.items():
        golden = golden_outputs(Interpreter(tflite), random_inputs(tflite))
        PROJECT_FORMATS[project_format](plan(tflite, name=name), name).write(folder / name, golden)


def link_and_run(folder, sources, includes):
    main = folder / "main.c"
    main.write_text(MAIN)
    program = folder / "program"
    command = ["cc", *FLAGS, *(f"-I{path}" for path in includes), str(main), *map(str, sources)]
    subprocess.run([*command, "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\nok\nok\n"


def global_symbols(compiled):
    """Functions and data that a compiled file defines; but for weak ones, which may be there twice:
    those of templates in C++ headers.
    """
    command = ["nm", "-g", "--defined-only", str(compiled)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[2] for line in listed.splitlines() if line.split()[1] in "TDRBC"]


def test_folders_side_by_side(models, tmp_path):
    write(models, "c", tmp_path)
    sources = [p for p in tmp_path.rglob("*.c") if not p.name.endswith("_main.c")]
    kernels = [path for path in sources if path.name == "mltq_kernels.c"]
    tables = {path.relative_to(tmp_path).parts[0]: path.read_text() for path in kernels}
    assert "&mltq_conv_2d_s8," in tables["conv"]
    assert "&mltq_conv_2d_s8," not in tables["dense"]
    headers = {name: tmp_path / name / "mltq/core/mltq_planes_read.h" for name in models}
    assert "(MLTQ_PLANES_CODED)" in headers["conv"].read_text()
    assert "(MLTQ_PLANES_INDICES)" in headers["dense"].read_text()
    link_and_run(tmp_path, sources, [tmp_path / "conv", tmp_path / "dense"])


@pytest.mark.parametrize(
    ("project_format", "folder"),
    [("arduino", "{name}/src"), ("esp-idf", "{name}/components/{name}")],
    ids=["Arduino libraries", "ESP-IDF components"],
)
def test_libraries(project_format, folder, models, tmp_path):
    """Compiled one by one, and linked: as objects, as Arduino does, or as archives, as ESP-IDF."""
    write(models, project_format, tmp_path)
    folders = {name: tmp_path / folder.format(name=name) for name in models}
    linked = []
    for name, sources in folders.items():
        objects = []
        for path in sorted(sources.rglob("*.c")):
            made = path.with_suffix(".o")
            # All libraries are on the path, the other one first.
            paths = [f"-I{other}" for other in folders.values() if other != sources]
            command = ["cc", *FLAGS, *paths, f"-I{sources}", "-c", str(path), "-o", str(made)]
            subprocess.run(command, check=True)
            objects.append(made)
        defined = [symbol for made in objects for symbol in global_symbols(made)]
        assert defined
        assert all(symbol.startswith(f"{name}_") for symbol in defined)
        if project_format == "esp-idf":
            archive = tmp_path / f"lib{name}.a"
            subprocess.run(["ar", "rcs", str(archive), *map(str, objects)], check=True)
            objects = [archive]
        linked += objects
    link_and_run(tmp_path, linked, folders.values())


def test_adapters_of_the_interpreter(models, tmp_path):
    """For TensorFlow Lite Micro: no symbol of ours is defined twice."""
    write(models, "c", tmp_path, plan_tflm_project)
    defined = []
    for path in tmp_path.rglob("*.c*"):
        made = path.with_suffix(".o")
        folder = tmp_path / path.relative_to(tmp_path).parts[0]
        compiler = ["cc", "-std=c99"] if path.suffix == ".c" else ["c++", "-std=c++17"]
        command = [*compiler, f"-I{folder}", f"-I{STUB}", "-c", str(path), "-o", str(made)]
        subprocess.run(command, check=True)
        if not path.name.endswith("_main.c"):
            defined += global_symbols(made)
    assert "conv_mltq_tflm_conv_2d" in defined
    assert len(set(defined)) == len(defined)


def test_models_of_other_versions_are_not_mixed(models, tmp_path):
    write(models, "c", tmp_path)
    header = tmp_path / "dense" / "dense.h"
    lines = header.read_text().splitlines()
    number = next(line.split()[2] for line in lines if line.startswith("#define MLTQ_OPERATORS_ID"))
    header.write_text("\n".join(lines).replace(number, "0x1234") + "\n")
    both = tmp_path / "both.c"
    both.write_text('#include "conv/conv.h"\n#include "dense/dense.h"\n')
    done = subprocess.run(
        ["cc", "-fsyntax-only", str(both)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "another version of mltq" in done.stderr
