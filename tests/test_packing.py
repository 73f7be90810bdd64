import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_layers import random_geometry, random_layer, random_planes, with_activation

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.mathematics.decomposition import decompose
from tfmot_mltq.packing import fixed_point, packed_layer, plane_codec
from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing.encodings import CODED, ENCODINGS, Planes
from tfmot_mltq.packing.encodings.bits import BIT_PLANES, SIGN_BITS
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES
from tfmot_mltq.packing.encodings.machine_words import count_bits


@given(
    rows=st.integers(1, 6),
    size=st.integers(1, 400),
    density=st.floats(0, 1),
    encoding=st.sampled_from(CODED),
    seed=st.integers(0, 2**32 - 1),
)
def test_decode_inverts_encode_at_every_density(rows, size, density, encoding, seed):
    plane = random_planes(np.random.default_rng(seed), (rows, size), density)
    data = b"word" + plane_codec.encode_plane(plane, encoding) + b"tail"
    byte = plane_codec.encoding_byte(plane, encoding)
    decoded, end = plane_codec.decode_plane(data, 4, rows, size, byte)
    np.testing.assert_array_equal(decoded, plane)
    assert end == len(data) - 4


@given(
    rows=st.integers(1, 6),
    size=st.integers(1, 2500),
    density=st.floats(0, 1),
    dense=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_bits_at_every_density(rows, size, density, dense, seed):
    plane = random_planes(np.random.default_rng(seed), (rows, size), 1.0 if dense else density)
    encoding = plane_codec.best_encoding(plane, Planes.BITS)
    assert encoding == (SIGN_BITS.code if plane.all() else BIT_PLANES.code)
    packed = plane_codec.encode_plane(plane, encoding)
    assert plane_codec.plane_bytes(plane, encoding) == len(packed)
    decoded, end = plane_codec.decode_plane(b"word" + packed + b"tail", 4, rows, size, encoding)
    np.testing.assert_array_equal(decoded, plane)
    assert end == len(packed) + 4
    with pytest.raises(ValueError, match="truncated"):
        plane_codec.decode_plane(packed[:-4], 0, rows, size, encoding)


def test_bits_that_are_no_plane():
    def decode(words, encoding, size):
        data = np.array(words, "<u4").tobytes()
        return plane_codec.decode_plane(data, 0, 1, size, encoding)

    np.testing.assert_array_equal(
        decode([0b1, 0b101, 0b100], BIT_PLANES.code, 4)[0], [[1, 0, -1, 0]]
    )
    for words in ([0b10, 1, 0], [0b1, 0b10000, 0], [0b1, 0b1, 0b10]):
        with pytest.raises(ValueError, match="outside its row"):
            decode(words, BIT_PLANES.code, 4)
    with pytest.raises(ValueError, match="without entries is stored"):
        decode([0b1, 0, 0], BIT_PLANES.code, 4)
    with pytest.raises(ValueError, match="outside its row"):
        decode([0b10000], SIGN_BITS.code, 4)
    with pytest.raises(ValueError, match="zeros"):
        plane_codec.encode_plane(np.array([[1, 0]]), SIGN_BITS.code)


def test_bits_need_activation_levels(rng):
    for kind, levels in ((fmt.OperatorKind.CONV_2D, None), (fmt.OperatorKind.DEPTHWISE_CONV_2D, 2)):
        layer = random_layer(rng, kind, levels=1, density=0.5)
        if levels:
            layer = with_activation(rng, layer, levels)
        with pytest.raises(ValueError, match="bits need activation levels and no depthwise"):
            packed_layer.encode(layer, [BIT_PLANES.code])
    layer = with_activation(
        rng, random_layer(rng, fmt.OperatorKind.CONV_2D, levels=2, density=0.5), 1
    )
    with pytest.raises(ValueError, match="must be those of all levels"):
        packed_layer.encode(layer, [BIT_PLANES.code, 5])


@given(
    rows=st.integers(1, 6),
    size=st.integers(1, 700),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_byte_indices_at_every_density(rows, size, density, seed):
    plane = random_planes(np.random.default_rng(seed), (rows, size), density)
    packed = plane_codec.encode_plane(plane, BYTE_INDICES.code)
    assert plane_codec.plane_bytes(plane, BYTE_INDICES.code) == len(packed)
    data = b"word" + packed + b"tail"
    decoded, end = plane_codec.decode_plane(data, 4, rows, size, BYTE_INDICES.code)
    np.testing.assert_array_equal(decoded, plane)
    assert end == len(packed) + 4
    with pytest.raises(ValueError, match="truncated"):
        plane_codec.decode_plane(packed[:-4], 0, rows, size, BYTE_INDICES.code)


def test_bytes_that_are_no_plane():
    def decode(*data, size=130):
        return plane_codec.decode_plane(bytes(data), 0, 1, size, BYTE_INDICES.code)

    plane, end = decode(2, 3, 128 + 5, 1, 1, 0, 0, 0)
    assert end == 8
    assert {i: int(plane[0, i]) for i in np.flatnonzero(plane)} == {3: 1, 5: -1, 129: 1}
    for data, message in (
        ((2, 3, 3, 0), "do not rise"),
        ((2, 5, 3, 0), "do not rise"),
        ((2, 3, 128 + 3, 0), "positive and negative"),
        ((0, 1, 2, 0), "outside its row"),
        ((0, 3, 1, 2), "truncated"),
        ((0, 1, 0), "truncated"),
        ((0,), "truncated"),
        ((), "truncated"),
    ):
        with pytest.raises(ValueError, match=message):
            decode(*data)


def test_byte_indices_are_for_fully_connected_layers(rng):
    layer = random_layer(rng, fmt.OperatorKind.CONV_2D, levels=1, density=0.5)
    with pytest.raises(ValueError, match="byte indices a fully connected layer"):
        packed_layer.encode(layer, [BYTE_INDICES.code])
    layer = random_layer(rng, fmt.OperatorKind.FULLY_CONNECTED, levels=2, density=0.5)
    with pytest.raises(ValueError, match="must be those of all levels"):
        packed_layer.encode(layer, [BYTE_INDICES.code, 5])


def test_biases_of_byte_indices_count_from_the_least_sums():
    geometry = packed_layer.Geometry(fmt.OperatorKind.FULLY_CONNECTED, 3, 2)
    layer = packed_layer.PackedLayer(
        geometry=geometry,
        planes=np.array([[[1, 1, -1], [0, 0, 0]], [[0, -1, 0], [0, 1, 0]]], np.int8),
        multipliers=np.array([[100, 7], [5, 32767]], np.int16),
        biases=np.array([1000, -(2**31)], np.int32),
        shifts=np.zeros(2, np.uint8),
        input_zero_point=-28,
        activation_min=-128,
        activation_max=127,
    )
    data = packed_layer.encode(layer, [BYTE_INDICES.code] * 2)
    stored = np.frombuffer(data, "<u4", 2, 56)
    first = 1000 - 100 * (2 * 100 + 155) - 7 * 155
    assert stored.tolist() == [first % 2**32, (-(2**31) - 32767 * 100) % 2**32]
    np.testing.assert_array_equal(packed_layer.decode(data).biases, layer.biases)


@pytest.mark.parametrize("encoding", CODED)
def test_long_rows(encoding, rng):
    for density in (0.0, 0.001, 0.5, 1.0):
        plane = random_planes(rng, (2, 40_000), density)
        bits = count_bits(plane)
        assert bits == (4 if density == 0 else 16 if density >= 0.5 else 8)
        data = plane_codec.encode_plane(plane, encoding)
        decoded, end = plane_codec.decode_plane(
            data, 0, 2, 40_000, plane_codec.encoding_byte(plane, encoding)
        )
        np.testing.assert_array_equal(decoded, plane)
        assert end == len(data)


@given(
    rows=st.integers(1, 6),
    size=st.integers(1, 700),
    density=st.floats(0, 1),
    encoding=st.sampled_from(CODED),
    seed=st.integers(0, 2**32 - 1),
)
def test_predicted_bytes_are_the_packed_bytes(rows, size, density, encoding, seed):
    plane = random_planes(np.random.default_rng(seed), (rows, size), density)
    packed = plane_codec.encode_plane(plane, encoding)
    assert plane_codec.plane_bytes(plane, encoding) == len(packed)
    assert ENCODINGS[encoding].least_size(plane) <= len(packed)


@pytest.mark.parametrize("density", [0.003, 0.02, 0.1, 1 / 3, 0.576, 1.0])
def test_best_encoding_is_the_smallest_of_all(density, rng):
    for shape in ((16, 27), (32, 288), (10, 64), (3, 9)):
        plane = random_planes(rng, shape, density)
        codes = [code for code in CODED if ENCODINGS[code].holds(plane)]
        smallest = min(codes, key=lambda code: plane_codec.plane_bytes(plane, code))
        assert plane_codec.best_encoding(plane) == smallest


@pytest.mark.parametrize("density", [0.02, 0.05, 0.1, 0.2, 1 / 3, 0.576])
def test_best_encoding_is_near_the_entropy_bound(density, rng):
    plane = random_planes(rng, (64, 576), density)
    best = plane_codec.plane_bytes(plane, plane_codec.best_encoding(plane))
    assert best < 1.25 * plane_codec.entropy_bytes(plane[None])


def test_entropy_of_known_planes():
    assert plane_codec.entropy_bytes(np.zeros((1, 8, 100))) == 0
    assert plane_codec.entropy_bytes(np.ones((1, 8, 100))) == 100
    half = np.tile(np.array([0, 1]), (1, 8, 50))
    assert plane_codec.entropy_bytes(half) == pytest.approx((1 + 0.5) * 800 / 8)


def test_two_unpruned_levels_take_less_than_half_of_int8(rng):
    """The layers of the MLPerf Tiny ResNet-8, with Gaussian weights."""
    shapes = [(144, 16)] * 2 + [(144, 32), (288, 32), (16, 32), (288, 64), (576, 64), (32, 64)]
    packed = int8 = 0
    for shape in shapes:
        planes, _ = decompose(rng.standard_normal(shape), MultiLevelConfig(levels=2))
        packed += packed_layer.packed_bytes(planes.swapaxes(1, 2))
        int8 += shape[0] * shape[1] + 4 * shape[1]
    assert packed < int8 / 2


@pytest.mark.parametrize("kind", fmt.OperatorKind)
def test_layers_survive_packing(kind, rng):
    for _ in range(20):
        layer = random_layer(rng, kind)
        data = packed_layer.encode(layer)
        assert len(data) == packed_layer.packed_bytes(layer.planes)
        decoded = packed_layer.decode(data)
        for field in dataclasses.fields(layer):
            np.testing.assert_array_equal(
                getattr(decoded, field.name), getattr(layer, field.name), err_msg=field.name
            )


def test_encodings_can_be_forced(rng):
    layer = random_layer(rng, fmt.OperatorKind.CONV_2D, levels=3, density=0.1)
    for encodings in ([0, 2, 32], [8, 8, 8], [0, 0, 0]):
        data = packed_layer.encode(layer, encodings)
        assert [code & fmt.ENCODING_MASK for code in data[8:11]] == encodings
        np.testing.assert_array_equal(packed_layer.decode(data).planes, layer.planes)
    with pytest.raises(ValueError, match="encodings must be 3 of"):
        packed_layer.encode(layer, [0, 9, 0])


def test_what_does_not_fit_is_refused(rng):
    layer = random_layer(rng, fmt.OperatorKind.CONV_2D)
    with pytest.raises(ValueError, match="planes have shape"):
        packed_layer.encode(dataclasses.replace(layer, planes=layer.planes[:, :, :-1]))
    wide = dataclasses.replace(layer.geometry, stride=(70_000, 1))
    with pytest.raises(ValueError, match="does not fit the packed format"):
        packed_layer.encode(dataclasses.replace(layer, geometry=wide))
    with pytest.raises(ValueError, match="only hold -1, 0"):
        plane_codec.encode_plane(np.array([[2]]), 0)


@pytest.mark.parametrize("kind", fmt.OperatorKind)
def test_python_refuses_every_truncation(kind, rng):
    data = packed_layer.encode(random_layer(rng, kind, density=0.3))
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"shorter|wrong number"):
            packed_layer.decode(data[:length])


@given(seed=st.integers(0, 2**32 - 1))
def test_multipliers_keep_the_promised_bound_and_precision(seed):
    rng = np.random.default_rng(seed)
    geometry = random_geometry(rng, fmt.OperatorKind(int(rng.integers(0, 3))))
    levels = int(rng.integers(1, 5))
    planes = random_planes(rng, (levels, geometry.output_channels, geometry.row_size), rng.random())
    scales = rng.uniform(0, 1, (levels, geometry.output_channels))
    biases = rng.normal(0, 10, geometry.output_channels)
    output_scale = float(10 ** rng.uniform(-2, 1))
    zero_point = int(rng.integers(-128, 128))
    tables = fixed_point.quantize_channels(
        planes,
        scales,
        biases,
        input_scale=0.02,
        input_zero_point=zero_point,
        output_scale=output_scale,
        output_zero_point=3,
    )
    bounds = fixed_point.sum_bounds(planes, zero_point)
    reach = np.abs(tables.biases.astype(np.int64)) + np.sum(
        tables.multipliers.astype(np.int64) * bounds, axis=1
    )
    assert (reach < 2**31).all()
    # A shift is as large as the limits allow: one more would break one of them.
    larger = np.ldexp(1.0, tables.shifts.astype(int) + 1)
    real = scales.T * 0.02 / output_scale
    next_reach = (np.abs(biases / output_scale + 3.5) + np.sum(real * bounds, axis=1)) * larger
    at_limit = (
        (tables.shifts == fmt.MAX_SHIFT)
        | (np.rint(real * larger[:, None]) > 32767).any(axis=1)
        | (next_reach > 2**31 - 1 - 2 * bounds.sum(axis=1))
    )
    assert at_limit.all()
    error = np.abs(np.ldexp(tables.multipliers, -tables.shifts[:, None].astype(int)) - real)
    assert (error <= np.ldexp(0.5, -tables.shifts[:, None].astype(int)) * (1 + 1e-9)).all()


def test_dead_output_is_a_clear_error(rng):
    planes = random_planes(rng, (1, 2, 50), 1.0)
    with pytest.raises(ValueError, match="exceed 32 bits"):
        fixed_point.quantize_channels(
            planes,
            np.full((1, 2), 1.0),
            np.zeros(2),
            input_scale=1.0,
            input_zero_point=0,
            output_scale=1e-9,
            output_zero_point=0,
        )
