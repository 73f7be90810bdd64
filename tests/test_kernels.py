"""The kernels of Python are the twins of those in C: the same facts, and the same scratch."""

import pathlib
import re

import numpy as np
import pytest
from packed_layers import random_layer, with_activation
from small_models import Builder, T, constant

from tfmot_mltq.cost_model import predict
from tfmot_mltq.cost_model.tflite_call import sized_call
from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.emulation.targets import CORE_SOURCES, TARGETS
from tfmot_mltq.export.needed_sources import model_sources, needed_core, needed_kernels
from tfmot_mltq.kernels import KERNELS, kernel_of
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.packing import packed_layer, plane_codec
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry

CORE = pathlib.Path(__file__).parent.parent / "tflite_ops" / "core"
PROGRAM = """#include <stdio.h>
#include "{core}/mltq.h"
typedef struct {{
  const uint8_t* packed;
  size_t bytes;
  uint8_t kind;
  int rank;
  int input[4];
  int output[4];
}} Case;
{arrays}
static const Case kCases[] = {{
{cases}
}};
int main(void) {{
  for (size_t i = 0; i < sizeof kCases / sizeof kCases[0]; i++) {{
    const Case* it = &kCases[i];
    MltqLayer layer;
    MltqShape shape;
    size_t scratch = 0;
    MltqStatus status = mltq_layer_parse(it->packed, it->bytes, it->kind, &layer);
    if (status == MLTQ_OK) {{
      status = mltq_layer_bind_shape(&layer, it->input, it->rank, it->output, it->rank, &shape);
    }}
    if (status == MLTQ_OK) status = mltq_layer_scratch_bytes(&layer, &shape, &scratch);
    if (status != MLTQ_OK) puts(mltq_status_message(status));
    printf("%lu\\n", (unsigned long)scratch);
  }}
  return 0;
}}
"""


def constants():
    """The initializers of the kernels in C, by name; several files may define one."""
    found = {}
    for path in sorted(CORE.glob("*.c")):
        for name, body in re.findall(
            r"^const MltqKernel (mltq_\w+) = \{(.*?)\};", path.read_text(), re.MULTILINE | re.DOTALL
        ):
            fields = dict(re.findall(r"\.(\w+) = ([^,]+),", body))
            found.setdefault(name, []).append((path.name, fields))
    return found


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_facts_are_those_of_c(kernel):
    in_c = constants()[kernel.name]
    assert {file for file, _ in in_c} == set(kernel.files)
    for _, fields in in_c:
        kinds = re.findall(r"MLTQ_TAKES_(\w+)", fields["kinds"])
        takes = set(OperatorKind) if kinds == ["ALL_KINDS"] else {OperatorKind[k] for k in kinds}
        assert takes == kernel.kinds
        planes = re.findall(r"MLTQ_PLANES_(\w+)", fields["planes"])
        assert sum(Planes[name] for name in planes) == kernel.planes


def test_the_table_has_all_kernels_in_order():
    table = (CORE / "mltq_kernels.c").read_text()
    listed = re.search(r"mltq_kernels\[\] = \{(.*?)\}", table, re.DOTALL).group(1)
    assert re.findall(r"&(\w+)", listed) == [kernel.name for kernel in KERNELS]
    assert set(constants()) == {kernel.name for kernel in KERNELS}


def test_predictions_are_for_the_c_code_of_the_targets():
    for target in predict.targets():
        assert predict.variant(target) == TARGETS[target].variant


def test_every_prediction_has_its_costs():
    names = {kernel.costs for kernel in KERNELS if kernel.title != "reference"}
    for target in predict.targets():
        assert set(predict._coefficients()[target]["costs"]) == names


def output_size(size, extent, stride, padding):
    return -(-size // stride) if padding == Padding.SAME else (size - extent) // stride + 1


def random_case(rng, kind):
    """A layer without entries, small or about as large as the kernels allow: with its encodings and
    the shapes of its input and output.
    """

    def number(most):
        return int(np.exp(rng.uniform(0, np.log(most))))

    bits = kind != OperatorKind.DEPTHWISE_CONV_2D and rng.random() < 0.3
    if kind == OperatorKind.FULLY_CONNECTED:
        geometry = Geometry(kind, number(8_000_000 if bits else 40_000), number(3))
        rows = number(3)
        shapes = (rows, geometry.input_channels), (rows, geometry.output_channels)
    else:
        geometry, shapes = random_convolution(rng, kind, number, 40_000 if not bits else 2_000_000)
    layer = random_layer(rng, None, levels=number(3), density=0.0, geometry=geometry)
    if bits or rng.random() < 0.3:
        layer = with_activation(rng, layer, number(4))
    indices = kind == OperatorKind.FULLY_CONNECTED and not bits and rng.random() < 0.5
    way = Planes.BITS if bits else Planes.INDICES if indices else Planes.CODED
    return layer, plane_codec.best_encodings(layer.planes, [way]), shapes


def random_convolution(rng, kind, number, widest):
    padding = Padding(int(rng.integers(0, 2)))
    if rng.random() < 0.3:
        windows = [(1, 1, 1), (1, 1, 1)]
    else:  # Filter, stride and dilation of an axis.
        windows = [(number(6), number(5), number(4)) for _ in range(2)]
    outputs = number(4)
    depthwise = kind == OperatorKind.DEPTHWISE_CONV_2D
    inputs = outputs if depthwise else number(4000)
    widest = 8_000_000 if depthwise else widest
    geometry = Geometry(kind, inputs, outputs, *zip(*windows, strict=True), padding)
    size, out = [], []
    for (filter_size, stride, dilation), most in zip(windows, (60, widest), strict=True):
        extent = (filter_size - 1) * dilation + 1
        size.append(extent - 1 + number(most))
        out.append(output_size(size[-1], extent, stride, padding))
    return geometry, ((1, *size, inputs), (1, *out, outputs))


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_layers_of_every_size_run_on_the_same_kernel(target, tmp_path, rng):
    """Also those that are too large for one: the exporter relies on it."""
    arrays, cases, expected, chosen = [], [], [], set()
    for index in range(300):
        layer, encodings, shapes = random_case(rng, OperatorKind(index % 3))
        data = packed_layer.encode(layer, encodings)
        body = ",".join(map(str, data))
        arrays.append(f"static const uint8_t k{index}[] __attribute__((aligned(4))) = {{{body}}};")
        dims = [", ".join(map(str, shape)) for shape in shapes]
        cases.append(
            f"  {{k{index}, {len(data)}, {int(layer.geometry.kind)}, {len(shapes[0])}, "
            f"{{{dims[0]}}}, {{{dims[1]}}}}},"
        )
        call = sized_call(layer.geometry, *shapes).reading(layer.activation_table)
        counts = count_planes(layer.planes, encodings)
        expected.append(predict.scratch_bytes(call, counts, target))
        chosen.add(kernel_of(call, counts, predict.variant(target)).name)
    source, program = tmp_path / "scratch.c", tmp_path / "scratch.elf"
    source.write_text(PROGRAM.format(core=CORE, arrays="\n".join(arrays), cases="\n".join(cases)))
    TARGETS[target].build([*CORE_SOURCES, source], program, ["-O2"])
    assert TARGETS[target].run(program).split() == [str(size) for size in expected]
    assert chosen == {kernel.name for kernel in KERNELS}


def model_of(rng, geometry, shape, output_shape):
    layer = random_layer(rng, geometry.kind, levels=1, density=0.01, geometry=geometry)
    builder = Builder()
    x, y = builder.tensor(T(shape)), builder.tensor(T(output_shape))
    planes = builder.tensor(constant(np.frombuffer(packed_layer.encode(layer), np.uint8)))
    builder.add(CUSTOM_OP_NAMES[geometry.kind], [x, planes], [y])
    return builder.finish([x], [y])


def test_a_model_gets_the_kernels_that_it_runs_on(rng):
    small = Geometry(OperatorKind.CONV_2D, 3, 2, (3, 3), padding=Padding.SAME)
    large = Geometry(OperatorKind.CONV_2D, 2500, 2, (3, 3), padding=Padding.SAME)
    # The vectors of Helium take bytes where lanes take machine words.
    between = Geometry(OperatorKind.CONV_2D, 600, 2, (3, 3), padding=Padding.SAME)
    for geometry, names in (
        (small, ["mltq_conv_2d_s8"]),
        (between, ["mltq_conv_2d_s8", "mltq_conv_2d_reference"]),
        (large, ["mltq_conv_2d_reference"]),
    ):
        shape = (1, 4, 9, geometry.input_channels)
        operators = read_operators(model_of(rng, geometry, shape, (1, 4, 9, 2)))
        assert [kernel.name for kernel in needed_kernels(operators)] == names
        written = model_sources(operators)
        assert re.findall(r"&(\w+)", written["core/mltq_kernels.c"]) == names
        assert "MLTQ_PLANES_READ (MLTQ_PLANES_CODED)\n" in written["core/mltq_planes_read.h"]
        files = {path.name for path in needed_core(operators)}
        for kernel in KERNELS:
            assert (kernel.name in names) == (set(kernel.files) <= files)
