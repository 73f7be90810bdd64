"""Writes golden_layers.h: packed layers, inputs and expected outputs from the NumPy twin.

    python tflite_ops/tests/generate_golden.py

tests/test_golden.py checks that running it again changes nothing.
"""

import dataclasses
import itertools
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from packed_layers import (  # noqa: E402
    random_bitwise_layer,
    random_input,
    random_layer,
    with_activation,
)

from tfmot_mltq.packing import packed_layer, plane_codec  # noqa: E402
from tfmot_mltq.packing.encodings import CODED, Planes  # noqa: E402
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES  # noqa: E402
from tfmot_mltq.packing.format import MAX_LEVELS, OperatorKind, Padding  # noqa: E402
from tfmot_mltq.packing.packed_layer import Geometry  # noqa: E402
from tfmot_mltq.reference import ops  # noqa: E402

HEADER = pathlib.Path(__file__).with_name("golden_layers.h")
LAYERS_PER_KIND = 9


def c_array(name, c_type, values):
    """A static const array with twenty values a line."""
    numbers = [str(int(value)) for value in values]
    lines = [", ".join(numbers[i : i + 20]) for i in range(0, len(numbers), 20)]
    body = ",\n    ".join(lines)
    return f"static const {c_type} {name}[{len(numbers)}] = {{\n    {body}}};\n"


def layers(rng):
    """Small layers of every kind with one to four levels, one that fills the tiles and whose
    rows have more entries than a 16-bit lane sums up, pointwise convolutions, and every encoding.
    """
    for kind in OperatorKind:
        for index in range(LAYERS_PER_KIND):
            density = (0.05, 0.3, 1.0)[index % 3]
            layer = random_layer(rng, kind, levels=1 + index % 4, density=density)
            encodings = [CODED[(index + level) % len(CODED)] for level in range(layer.levels)]
            yield (
                f"{kind.name.lower()}_{index}",
                layer,
                encodings,
                random_input(rng, layer.geometry),
            )
    geometry = Geometry(OperatorKind.CONV_2D, 36, 3, (3, 3), padding=Padding.SAME)
    layer = random_layer(rng, None, levels=2, density=0.95, geometry=geometry)
    x = rng.integers(-128, 128, (1, 5, 29, 36), dtype=np.int8)
    yield "conv_2d_large", layer, None, x
    geometry = Geometry(OperatorKind.CONV_2D, 21, 4)
    layer = random_layer(rng, None, levels=3, density=0.3, geometry=geometry)
    for height, width in ((5, 7), (1, 3)):
        x = rng.integers(-128, 128, (2, height, width, 21), dtype=np.int8)
        yield f"conv_2d_pointwise_{height}x{width}", layer, None, x
    for kind in OperatorKind:
        for levels in (1, 2, 4):
            layer = with_activation(rng, random_layer(rng, kind, density=0.4), levels)
            name = f"{kind.name.lower()}_{levels}_activation_levels"
            yield name, layer, None, random_input(rng, layer.geometry)
    geometry = Geometry(OperatorKind.CONV_2D, 21, 5, (2, 3), (2, 2), padding=Padding.SAME)
    layer = with_activation(rng, random_layer(rng, None, density=0.5, geometry=geometry), 3)
    x = rng.integers(-128, 128, (1, 9, 14, 21), dtype=np.int8)
    yield "conv_2d_activation_levels_strided", layer, None, x
    for size in (40, 38):
        # Nothing to add up: all lanes full, and one that ends before the others.
        layer = random_layer(
            rng, None, levels=2, density=0.0, geometry=Geometry(OperatorKind.CONV_2D, 1, 3)
        )
        layer = dataclasses.replace(layer, activation_min=-128, activation_max=127)
        x = rng.integers(-128, 128, (1, size, size + 1, 1), dtype=np.int8)
        yield f"conv_2d_without_entries_{size}", layer, None, x
    yield from bitwise_layers(rng)
    for kind in OperatorKind:
        layer = with_activation(rng, random_layer(rng, kind, density=0.4), 2)
        layer = dataclasses.replace(
            layer, output_activation_table=with_activation(rng, layer, 3).activation_table
        )
        yield f"{kind.name.lower()}_output_levels", layer, None, random_input(rng, layer.geometry)
    geometry = Geometry(OperatorKind.CONV_2D, 5, 3, (3, 3))
    for first in range(0, len(CODED), MAX_LEVELS):
        encodings = CODED[first : first + MAX_LEVELS]
        layer = random_layer(rng, None, levels=len(encodings), density=0.3, geometry=geometry)
        name = "_".join(map(str, encodings))
        yield f"conv_2d_encodings_{name}", layer, encodings, random_input(rng, geometry)
    for inputs, outputs, levels in ((30, 5, 3), (150, 4, 2), (128, 34, 1)):
        # Several blocks of entries, and more channels than are accumulated at once.
        geometry = Geometry(OperatorKind.FULLY_CONNECTED, inputs, outputs)
        layer = random_layer(rng, None, levels=levels, density=0.2, geometry=geometry)
        encodings = [BYTE_INDICES.code] * levels
        yield f"byte_indices_{inputs}", layer, encodings, random_input(rng, geometry)
    # More channels than Helium copies at once, of which several read one input.
    geometry = Geometry(
        OperatorKind.DEPTHWISE_CONV_2D, 9, 27, (3, 2), (1, 2), (2, 1), padding=Padding.SAME
    )
    layer = random_layer(rng, None, levels=2, density=0.3, geometry=geometry)
    x = rng.integers(-128, 128, (1, 6, 11, 9), dtype=np.int8)
    yield "depthwise_conv_2d_wide", layer, None, x
    yield "depthwise_conv_2d_wide_activation_levels", with_activation(rng, layer, 2), None, x


def bitwise_layers(rng):
    """Layers for the bitwise kernel: machine words of both sides with and without zeros, rows that
    end within a machine word, and windows in the padding.
    """
    window = {"filter_size": (3, 2), "padding": Padding.SAME}
    geometries = {
        "conv_2d": Geometry(OperatorKind.CONV_2D, 20, 3, (2, 3)),
        "conv_2d_padded": Geometry(OperatorKind.CONV_2D, 36, 1, **window),
        "conv_2d_strided": Geometry(
            OperatorKind.CONV_2D, 32, 1, stride=(2, 1), dilation=(1, 2), **window
        ),
        "fully_connected": Geometry(OperatorKind.FULLY_CONNECTED, 77, 3),
        "fully_connected_long": Geometry(OperatorKind.FULLY_CONNECTED, 1056, 1),
    }
    for name, geometry in geometries.items():
        for binary in itertools.product((False, True), repeat=2):
            layer = random_bitwise_layer(
                rng, geometry.kind, binary=binary, geometry=geometry, levels=2
            )
            sides = "_".join("binary" if side else "ternary" for side in binary)
            encodings = plane_codec.best_encodings(layer.planes, [Planes.BITS])
            yield f"{name}_{sides}", layer, encodings, random_input(rng, geometry)


def padded_shape(shape):
    """A shape as four numbers; unused ones are 0."""
    return ", ".join(map(str, [*shape, *[0] * (4 - len(shape))]))


def main():
    """Generates the header."""
    rng = np.random.default_rng(20)
    arrays, rows = [], []
    for name, layer, encodings, x in layers(rng):
        expected = ops.run_layer(layer, x)
        packed = packed_layer.encode(layer, encodings)
        arrays += [
            c_array(f"k_{name}_packed", "uint8_t", packed),
            c_array(f"k_{name}_input", "int8_t", x.ravel()),
            c_array(f"k_{name}_output", "int8_t", expected.ravel()),
        ]
        rows.append(
            f'    {{"{name}", {int(layer.geometry.kind)}, k_{name}_packed, {len(packed)}, '
            f"k_{name}_input, {x.size}, {{{padded_shape(x.shape)}}}, {x.ndim}, "
            f"k_{name}_output, {expected.size}, {{{padded_shape(expected.shape)}}}, "
            f"{expected.ndim}}},\n"
        )
    text = (
        "/* Generated by generate_golden.py; do not edit. */\n"
        "#ifndef TFLITE_OPS_TESTS_GOLDEN_LAYERS_H_\n#define TFLITE_OPS_TESTS_GOLDEN_LAYERS_H_\n\n"
        "#include <stddef.h>\n#include <stdint.h>\n\n"
        "/* clang-format off */\n\n"
        "typedef struct {\n"
        "  const char* name;\n  uint8_t kind;\n  const uint8_t* packed;\n  size_t packed_bytes;\n"
        "  const int8_t* input;\n  size_t input_bytes;\n  int input_dims[4];\n  int input_rank;\n"
        "  const int8_t* output;\n  size_t output_bytes;\n"
        "  int output_dims[4];\n  int output_rank;\n"
        "} GoldenLayer;\n\n"
        + "\n".join(arrays)
        + "\nstatic const GoldenLayer kGoldenLayers[] = {\n"
        + "".join(rows)
        + "};\n\n#endif /* TFLITE_OPS_TESTS_GOLDEN_LAYERS_H_ */\n"
    )
    HEADER.write_text(text)


if __name__ == "__main__":
    main()
