"""The C core against its NumPy twin, and against hostile bytes."""

import dataclasses
import itertools
import struct

import numpy as np
import pytest
from packed_layers import (
    random_bitwise_layer,
    random_geometry,
    random_input,
    random_layer,
    with_activation,
)

from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing import packed_layer, plane_codec
from tfmot_mltq.packing.encodings import CODED, Planes
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES
from tfmot_mltq.packing.packed_layer import Geometry
from tfmot_mltq.reference import ops
from tfmot_mltq.runtime.operator_library import run_packed_layer


def check_same(layer, x, encodings=None):
    expected = ops.run_layer(layer, x)
    data = packed_layer.encode(layer, encodings)
    for reference in (False, True):
        actual = run_packed_layer(data, layer.geometry.kind, x, expected.shape, reference=reference)
        np.testing.assert_array_equal(actual, expected)
    return expected


@pytest.mark.parametrize("kind", fmt.OperatorKind)
def test_random_layers(kind, rng):
    distinct = set()
    for _ in range(150):
        layer = random_layer(rng, kind)
        encodings = [int(e) for e in rng.choice(CODED, layer.levels)]
        x = random_input(rng, layer.geometry)
        distinct.update(np.unique(check_same(layer, x, encodings)).tolist())
    assert len(distinct) > 200  # the outputs do use the int8 range


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("density", [0.1, 0.4, 1.0])
def test_layers_that_fill_the_tiles(levels, density, rng):
    """Widths around the sizes of the tiles, and rows with more entries than a lane may sum up."""
    for width, stride, padding in itertools.product((16, 37), (1, 2, 3), fmt.Padding):
        geometry = Geometry(fmt.OperatorKind.CONV_2D, 40, 5, (3, 3), (1, stride), (1, 1), padding)
        layer = random_layer(rng, None, levels=levels, density=density, geometry=geometry)
        check_same(layer, rng.integers(-128, 128, (1, 9, width, 40), dtype=np.int8))
        geometry = dataclasses.replace(
            geometry, kind=fmt.OperatorKind.DEPTHWISE_CONV_2D, input_channels=5, output_channels=10
        )
        layer = random_layer(rng, None, levels=levels, density=density, geometry=geometry)
        check_same(layer, rng.integers(-128, 128, (2, 11, width, 5), dtype=np.int8))


def test_pointwise_convolutions_of_every_size(rng):
    """Their positions are regrouped into rows, of which the last may be shorter."""
    for channels, sizes in ((3, range(1, 60)), (200, (1, 2, 7, 63, 64, 65)), (1100, (5, 9))):
        for size in sizes:
            geometry = Geometry(fmt.OperatorKind.CONV_2D, channels, 4)
            layer = random_layer(rng, None, levels=1 + size % 3, density=0.2, geometry=geometry)
            x = rng.integers(-128, 128, (2, size, 1 + size % 4, channels), dtype=np.int8)
            check_same(layer, x)


def test_a_band_that_is_too_large_runs_on_the_reference_kernel(rng):
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 1200, 2, (3, 3), padding=fmt.Padding.SAME)
    layer = random_layer(rng, None, levels=2, density=0.05, geometry=geometry)
    check_same(layer, rng.integers(-128, 128, (1, 4, 9, 1200), dtype=np.int8))


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("encoding", CODED)
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_every_encoding(levels, encoding, density, rng):
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 5, 3, (3, 3), (1, 1), (1, 1), fmt.Padding.SAME)
    layer = random_layer(rng, None, levels=levels, density=density, geometry=geometry)
    check_same(layer, random_input(rng, geometry), [encoding] * levels)


@pytest.mark.parametrize("kind", [fmt.OperatorKind.CONV_2D, fmt.OperatorKind.FULLY_CONNECTED])
@pytest.mark.parametrize("binary", list(itertools.product((False, True), repeat=2)))
def test_both_families_of_kernels(kind, binary, rng):
    """The bitwise kernel, the one that adds, the reference kernel and the NumPy twin."""
    distinct = set()
    for _ in range(60):
        layer = random_bitwise_layer(rng, kind, binary=binary)
        x = random_input(rng, layer.geometry)
        encodings = plane_codec.best_encodings(layer.planes, [Planes.BITS])
        check_same(layer, x, encodings)
        distinct.update(np.unique(check_same(layer, x)).tolist())
    assert len(distinct) > 100


def test_byte_indices(rng):
    """Rows of one and of several blocks, of which the last may be shorter, and more output channels
    than are accumulated at once.
    """
    distinct = set()
    sizes = [(1, 1), (8, 128), (127, 33), (128, 32), (129, 7), (300, 70), (640, 20)]
    for inputs, outputs in sizes:
        for density in (0.0, 0.02, 0.1, 0.4, 1.0):
            geometry = Geometry(fmt.OperatorKind.FULLY_CONNECTED, inputs, outputs)
            layer = random_layer(rng, None, density=density, geometry=geometry)
            if rng.random() < 0.3:
                layer = with_activation(rng, layer, int(rng.integers(1, 5)))
            encodings = [BYTE_INDICES.code] * layer.levels
            expected = check_same(layer, random_input(rng, geometry), encodings)
            distinct.update(np.unique(expected).tolist())
            decoded = packed_layer.decode(packed_layer.encode(layer, encodings))
            for field in dataclasses.fields(layer):
                if field.name != "activation_table":
                    np.testing.assert_array_equal(
                        getattr(decoded, field.name), getattr(layer, field.name)
                    )
    assert len(distinct) > 200


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ([2, 3, 133, 1, 1, 0, 0, 0], None),
        ([2, 3, 3, 0], "planes do not decode"),
        ([2, 133, 3, 0], "planes do not decode"),
        ([0, 1, 2, 0], "planes do not decode"),
        ([0, 1, 130, 0], "planes do not decode"),
        ([0, 3, 0, 1], "planes do not decode"),
        ([3, 1, 2, 3], "planes do not decode"),
        ([0, 0, 0, 0, 0, 0, 0, 0], "planes do not decode"),
        ([0, 255, *range(255), 0, 0, 0], "planes do not decode"),
    ],
)
def test_hostile_indices_are_refused(level, message, rng):
    """A row of 130 entries has a block of 128 and one of 2."""
    geometry = Geometry(fmt.OperatorKind.FULLY_CONNECTED, 130, 1)
    layer = random_layer(rng, None, levels=1, density=0.0, geometry=geometry)
    data = packed_layer.encode(layer, [BYTE_INDICES.code])
    data = patched(data[:-4] + bytes(level), "total_bytes", len(data) - 4 + len(level))
    x = random_input(rng, geometry)
    for reference in (False, True):
        if message is None:
            run_packed_layer(data, geometry.kind, x, (len(x), 1), reference=reference)
        else:
            with pytest.raises(ValueError, match=message):
                run_packed_layer(data, geometry.kind, x, (len(x), 1), reference=reference)


@pytest.mark.parametrize("kind", fmt.OperatorKind)
def test_outputs_with_levels(kind, rng):
    """What a reader would look up, in the place of the int8 output; also behind a cut input."""
    for _ in range(30):
        layer = random_layer(rng, kind)
        if rng.random() < 0.5:
            layer = with_activation(rng, layer, 2)
        table = with_activation(rng, layer, int(rng.integers(1, 5))).activation_table
        x = random_input(rng, layer.geometry)
        plain = check_same(layer, x)
        levels = dataclasses.replace(layer, output_activation_table=table)
        np.testing.assert_array_equal(check_same(levels, x), table.values[plain.astype(int) + 128])
        decoded = packed_layer.decode(packed_layer.encode(levels))
        np.testing.assert_array_equal(decoded.output_activation_table.planes, table.planes)
        np.testing.assert_array_equal(decoded.output_activation_table.scales, table.scales)


@pytest.mark.parametrize("binary", [(False, False), (True, False), (True, True)])
def test_machine_words_of_long_rows(binary, rng):
    """More machine words than are counted before their bytes are full; sums of one sign only."""
    for entries in (31, 32, 33, 96, 32 * 30, 32 * 31 + 5, 32 * 60, 3000):
        geometry = Geometry(fmt.OperatorKind.FULLY_CONNECTED, entries, 3)
        layer = random_bitwise_layer(rng, None, binary=binary, geometry=geometry, levels=1)
        for sign in (None, 1, -1):
            if sign is not None:
                planes = np.full_like(layer.planes, sign)
                table = packed_layer.ActivationTable(
                    np.array([1], np.int8), np.full((1, 256), sign, np.int8)
                )
                layer = dataclasses.replace(layer, planes=planes, activation_table=table)
            encodings = plane_codec.best_encodings(layer.planes, [Planes.BITS])
            check_same(layer, random_input(rng, geometry), encodings)


def test_every_small_window(rng):
    """All strides, dilations and paddings against sizes where the window just fits or does not."""
    for padding in fmt.Padding:
        for size in (1, 2, 3, 4, 5, 6):
            for filter_size in (1, 2, 3):
                for stride in (1, 2, 3):
                    for dilation in (1, 2):
                        extent = (filter_size - 1) * dilation + 1
                        if padding == fmt.Padding.VALID and extent > size:
                            continue
                        geometry = Geometry(
                            fmt.OperatorKind.CONV_2D, 2, 2, (filter_size, 1), (stride, 1),
                            (dilation, 1), padding,
                        )  # fmt: skip
                        layer = random_layer(rng, None, levels=1, density=0.8, geometry=geometry)
                        x = rng.integers(-128, 128, (1, size, 1, 2), dtype=np.int8)
                        check_same(layer, x)


def test_extreme_values(rng):
    """The largest sums that the accumulator bound allows."""
    for zero_point in (-128, 0, 127):
        for value in (-128, 127):
            layer = random_layer(
                rng,
                None,
                levels=4,
                density=1.0,
                geometry=Geometry(fmt.OperatorKind.FULLY_CONNECTED, 3000, 4),
            )
            planes = np.ones_like(layer.planes)
            planes[:, 1] = -1
            layer = dataclasses.replace(
                layer,
                planes=planes,
                input_zero_point=zero_point,
                multipliers=np.full_like(layer.multipliers, 600),
                biases=np.full_like(layer.biases, 2**28),
                shifts=np.full_like(layer.shifts, 16),
                activation_min=-128,
                activation_max=127,
            )
            x = np.full((1, 3000), value, np.int8)
            check_same(layer, x)
            check_same(layer, x, [BYTE_INDICES.code] * 4)


def test_fully_connected_takes_any_rank(rng):
    layer = random_layer(rng, None, geometry=Geometry(fmt.OperatorKind.FULLY_CONNECTED, 6, 3))
    x = rng.integers(-128, 128, (2, 5, 6), dtype=np.int8)
    data = packed_layer.encode(layer)
    actual = run_packed_layer(data, fmt.OperatorKind.FULLY_CONNECTED, x, (2, 5, 3))
    np.testing.assert_array_equal(actual.reshape(10, 3), ops.run_layer(layer, x.reshape(10, 6)))


def patched(data, field, value):
    """The packed bytes with one header field changed."""
    names = [name for name, _ in fmt.HEADER_FIELDS]
    values = list(struct.unpack_from(fmt.HEADER_STRUCT, data))
    values[names.index(field)] = value
    return struct.pack(fmt.HEADER_STRUCT, *values) + data[struct.calcsize(fmt.HEADER_STRUCT) :]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("magic", b"MLTX", "magic"),
        ("version", 1, "version"),
        ("kind", 1, "kind"),
        ("levels", 0, "levels"),
        ("levels", 5, "levels"),
        ("activation_levels", 1, "activation_levels"),
        ("encoding", bytes([9, 0, 0, 0]), "encoding"),
        ("encoding", bytes([0xC4, 0, 0, 0]), "encoding"),
        ("encoding", bytes([63, 63, 0, 0]), "encoding is bits"),
        ("encoding", bytes([61, 61, 0, 0]), "encoding is byte indices"),
        ("level_offsets", bytes(16), "level_offsets"),
        ("total_bytes", 7, "total_bytes"),
        ("input_channels", 0, "input_channels"),
        ("output_channels", 2**31, "output_channels"),
        ("output_channels", 2**20, "shorter"),
        ("filter_h", 0, "filter_h"),
        ("filter_w", 0, "filter_w"),
        ("input_channels", 2**24, "filter_w"),
        ("stride_h", 0, "stride_h"),
        ("dilation_w", 0, "dilation_w"),
        ("padding", 2, "padding"),
        ("activation_min", 127, "activation_min"),
    ],
)
def test_each_broken_field_is_named(field, value, message, rng):
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 4, 3, (3, 3), (1, 1), (1, 1), fmt.Padding.SAME)
    layer = random_layer(rng, None, levels=2, density=0.3, geometry=geometry)
    layer = dataclasses.replace(layer, activation_min=-128, activation_max=100)
    data = patched(packed_layer.encode(layer), field, value)
    x = random_input(rng, geometry)
    with pytest.raises(ValueError, match=message):
        run_packed_layer(data, fmt.OperatorKind.CONV_2D, x, (*x.shape[:3], 3))


def test_overflowing_tables_are_refused(rng):
    layer = random_layer(
        rng,
        None,
        levels=1,
        density=1.0,
        geometry=Geometry(fmt.OperatorKind.FULLY_CONNECTED, 3000, 1),
    )
    layer = dataclasses.replace(layer, multipliers=np.full((1, 1), 32767, np.int16))
    for encoding in (0, BYTE_INDICES.code):
        data = packed_layer.encode(layer, [encoding])
        with pytest.raises(ValueError, match="overflow 32 bits"):
            run_packed_layer(
                data, fmt.OperatorKind.FULLY_CONNECTED, np.zeros((1, 3000), np.int8), (1, 1)
            )


def test_ways_to_store_planes_do_not_mix(rng):
    layer = random_layer(rng, fmt.OperatorKind.FULLY_CONNECTED, levels=2, density=0.3)
    data = packed_layer.encode(layer, [BYTE_INDICES.code] * 2)
    x = random_input(rng, layer.geometry)
    outputs = (len(x), layer.geometry.output_channels)
    for encodings in ([61, 5], [5, 61], [63, 61]):
        changed = patched(data, "encoding", bytes([*encodings, 0, 0]))
        with pytest.raises(ValueError, match="encoding is bits"):
            run_packed_layer(changed, fmt.OperatorKind.FULLY_CONNECTED, x, outputs)


@pytest.mark.parametrize(
    ("input_shape", "output_shape", "message"),
    [
        ((1, 5, 5, 3), (1, 5, 5, 3), "input tensor"),
        ((1, 5, 5), (1, 5, 5, 3), "input tensor"),
        ((1, 5, 5, 4), (1, 5, 4, 3), "output tensor"),
        ((1, 5, 5, 4), (2, 5, 5, 3), "output tensor"),
        ((1, 5, 5, 4), (1, 5, 5, 4), "output tensor"),
    ],
)
def test_wrong_shapes_are_refused(input_shape, output_shape, message, rng):
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 4, 3, (3, 3), (1, 1), (1, 1), fmt.Padding.SAME)
    data = packed_layer.encode(random_layer(rng, None, geometry=geometry))
    with pytest.raises(ValueError, match=message):
        run_packed_layer(
            data, fmt.OperatorKind.CONV_2D, np.zeros(input_shape, np.int8), output_shape
        )


def test_a_filter_larger_than_the_input_is_refused(rng):
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 1, 1, (4, 4))
    data = packed_layer.encode(random_layer(rng, None, geometry=geometry))
    with pytest.raises(ValueError, match="input tensor"):
        run_packed_layer(
            data, fmt.OperatorKind.CONV_2D, np.zeros((1, 3, 3, 1), np.int8), (1, 0, 0, 1)
        )


@pytest.mark.parametrize("kind", fmt.OperatorKind)
def test_any_changed_byte_is_refused_or_harmless(kind, rng):
    """Out-of-bounds accesses are caught by the sanitizer build of the same test, in C."""
    refused = accepted = 0
    for _ in range(3):
        layer = random_layer(rng, kind, density=0.4, geometry=random_geometry(rng, kind))
        data = packed_layer.encode(layer)
        x = random_input(rng, layer.geometry)
        shape = ops.run_layer(layer, x).shape
        for position in range(len(data)):
            for value in {0, 255, data[position] ^ 1, data[position] ^ 128} - {data[position]}:
                changed = bytearray(data)
                changed[position] = value
                try:
                    run_packed_layer(bytes(changed), kind, x, shape)
                    accepted += 1
                except ValueError:
                    refused += 1
    assert refused > 0
    assert accepted > 0


def test_entries_of_both_signs_are_refused(rng):
    """The counts and the codes are consistent; only the row cannot hold so many entries."""
    geometry = Geometry(fmt.OperatorKind.CONV_2D, 10, 1)
    layer = random_layer(rng, None, levels=1, density=1.0, geometry=geometry)
    layer = dataclasses.replace(layer, planes=np.ones_like(layer.planes))
    data = bytearray(packed_layer.encode(layer, [32]))
    x = rng.integers(-128, 128, (1, 3, 3, 10), dtype=np.int8)
    run_packed_layer(bytes(data), geometry.kind, x, (1, 3, 3, 1))
    level = int.from_bytes(data[40:44], "little")
    assert (data[level], data[level + 4 :]) == (10, (2**10 - 1).to_bytes(4, "little"))
    data[level] = 10 | 10 << 4
    data[level + 4 :] = (2**20 - 1).to_bytes(4, "little")
    with pytest.raises(ValueError, match="planes do not decode"):
        run_packed_layer(bytes(data), geometry.kind, x, (1, 3, 3, 1))


def test_truncations_are_refused(rng):
    layer = random_layer(rng, fmt.OperatorKind.CONV_2D, density=0.4)
    data = packed_layer.encode(layer)
    x = random_input(rng, layer.geometry)
    shape = ops.run_layer(layer, x).shape
    for length in range(len(data)):
        with pytest.raises(ValueError, match="packed tensor"):
            run_packed_layer(data[:length], fmt.OperatorKind.CONV_2D, x, shape)
