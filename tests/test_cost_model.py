"""Predictions against what the C code does; counts of instructions are in test_device_benchmark."""

import dataclasses

import numpy as np
import pytest
from packed_layers import random_geometry, random_planes

from tfmot_mltq.cost_model import predict
from tfmot_mltq.cost_model.choose_encodings import OPTIMIZE, check_optimize, choose_encodings
from tfmot_mltq.kernels import Call
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.packing import plane_codec
from tfmot_mltq.packing.encodings import CODED
from tfmot_mltq.packing.encodings.bits import BIT_PLANES, SIGN_BITS
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES
from tfmot_mltq.packing.format import OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry

CONV = Call(
    Geometry(OperatorKind.CONV_2D, 32, 32, (3, 3), padding=Padding.SAME), (16, 16), (16, 16)
)  # fmt: skip


def cost(call, planes, encodings, target):
    counts = count_planes(planes, encodings)
    size = sum(map(plane_codec.plane_bytes, planes, encodings))
    return predict.instructions(call, counts, target), size


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc", "xtensa"])
@pytest.mark.parametrize("density", [0.05, 0.2, 0.6])
def test_every_choice_is_best_at_what_it_promises(density, target, rng):
    planes = random_planes(rng, (2, 32, 288), density)
    costs = {
        optimize: cost(CONV, planes, choose_encodings(CONV, planes, optimize, target), target)
        for optimize in OPTIMIZE
    }
    assert costs["size"][1] == min(size for _, size in costs.values())
    assert costs["speed"][0] == min(count for count, _ in costs.values())
    products = {optimize: count * size for optimize, (count, size) in costs.items()}
    assert products["balanced"] == min(products.values())


def test_speed_takes_other_encodings_where_it_helps(rng):
    planes = random_planes(rng, (2, 32, 288), 0.3)
    size, speed = (choose_encodings(CONV, planes, o, "rv32imc") for o in ("size", "speed"))
    assert size != speed
    assert cost(CONV, planes, speed, "rv32imc")[0] < cost(CONV, planes, size, "rv32imc")[0]


@pytest.mark.parametrize("kind", OperatorKind)
def test_more_zeros_cost_less_on_every_target(kind, rng):
    geometry = Geometry(kind, 24, 24, (3, 3) if kind != OperatorKind.FULLY_CONNECTED else (1, 1))
    size = (1, 1) if kind == OperatorKind.FULLY_CONNECTED else (12, 12)
    call = Call(geometry, size, (size[0] - 2, size[1] - 2) if size[0] > 1 else size)
    for target in predict.targets():
        found = []
        for density in (0.05, 0.2, 0.5):
            planes = random_planes(rng, (2, 24, geometry.row_size), density)
            found.append(cost(call, planes, choose_encodings(call, planes), target)[0])
        assert found == sorted(found)
        assert found[0] > 0
        assert predict.int8_instructions(call, target) > 0


def test_counts_are_those_of_the_planes(rng):
    planes = random_planes(rng, (3, 5, 700), 0.6)
    planes[1, 2] = 0
    counts = count_planes(planes, [0, 8, 10])
    assert counts.bits == np.count_nonzero(planes)
    assert counts.words == np.count_nonzero(planes.any(0))
    assert counts.rows == 14
    per_sign = [np.sum(planes == sign, axis=2) for sign in (1, -1)]
    assert counts.sums == sum(
        (p - 1) // 128 * (p > 0) + (n - 1) // 128 * (n > 0) + 1
        for p, n in zip(*(signs.reshape(-1) for signs in per_sign), strict=True)
        if p + n
    )
    assert counts.read["trits"] == 5 * 700
    assert counts.read["codes"] >= np.count_nonzero(planes[1])
    assert counts.read["other_codes"] >= np.count_nonzero(planes[2])


def test_the_family_of_kernels_is_chosen_by_cost(rng):
    """Dense binary layers run on bits, sparse ternary ones are added up."""
    geometry = Geometry(OperatorKind.CONV_2D, 64, 64, (3, 3))
    binary = Call(geometry, (16, 16), (14, 14), activation_levels=1, binary_activations=True)
    ternary = Call(geometry, (16, 16), (14, 14), activation_levels=2)
    dense = random_planes(rng, (1, 64, 576), 1.0)
    sparse = random_planes(rng, (2, 64, 576), 0.05)
    for target in ("cortex-m0", "cortex-m4", "rv32imc", "xtensa"):
        chosen = choose_encodings(binary, dense, "speed", target)
        assert chosen == [SIGN_BITS.code]
        adding = choose_encodings(CONV, dense, "speed", target)
        assert cost(binary, dense, chosen, target)[0] < cost(binary, dense, adding, target)[0]
        for optimize in OPTIMIZE:
            assert set(choose_encodings(ternary, sparse, optimize, target)) <= set(CODED)
    # Three levels on both sides are nine products of planes, but three planes to add up: vectors
    # of eight positions do that faster.
    three = dataclasses.replace(binary, activation_levels=3)
    planes = random_planes(rng, (3, 64, 576), 1.0)
    assert set(choose_encodings(three, planes, "speed", "cortex-m55")) <= set(CODED)
    assert choose_encodings(three, planes, "speed", "cortex-m0") == [SIGN_BITS.code] * 3
    # An int8 input has no bits.
    assert choose_encodings(CONV, dense, "size") != [SIGN_BITS.code]


def test_one_position_is_added_up_by_byte_indices(rng):
    """Where speed counts; they take more bytes unless planes are very sparse."""
    call = Call(Geometry(OperatorKind.FULLY_CONNECTED, 128, 128))
    indices = [BYTE_INDICES.code] * 2
    planes = random_planes(rng, (2, 128, 128), 0.1)
    for target in predict.targets():
        smallest = choose_encodings(call, planes, "size", target)
        assert set(smallest) <= set(CODED)
        for optimize in ("speed", "balanced"):
            assert choose_encodings(call, planes, optimize, target) == indices
        count, size = cost(call, planes, indices, target)
        other_count, other_size = cost(call, planes, smallest, target)
        assert count < 0.6 * other_count
        assert other_size < size < 1.35 * other_size
    planes = random_planes(rng, (2, 128, 128), 0.004)
    assert choose_encodings(call, planes, "size") == indices


def test_less_scratch_may_decide_the_family(rng):
    geometry = Geometry(OperatorKind.CONV_2D, 64, 64, (3, 3))
    call = Call(geometry, (16, 16), (14, 14), activation_levels=1)
    planes = random_planes(rng, (2, 64, 576), 0.05)
    assert set(choose_encodings(call, planes)) <= set(CODED)
    chosen = choose_encodings(call, planes, max_scratch_bytes=8000)
    assert chosen == [BIT_PLANES.code] * 2
    with pytest.raises(ValueError, match=r"needs [\d,]+ bytes of scratch .*=10\."):
        choose_encodings(call, planes, max_scratch_bytes=10)


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"target must be one of .*cortex-m4.*'z80'"):
        check_optimize("size", "z80")
    with pytest.raises(ValueError, match=r"optimize must be one of .*balanced.*'fast'"):
        check_optimize("fast", "cortex-m4")


def test_a_layer_for_the_reference_kernel_has_no_prediction(rng):
    geometry = Geometry(OperatorKind.CONV_2D, 400, 2, (3, 3), padding=Padding.SAME)
    call = Call(geometry, (50, 50), (50, 50))
    planes = random_planes(rng, (1, 2, geometry.row_size), 0.1)
    assert cost(call, planes, [5], "cortex-m4")[0] is None
    assert choose_encodings(call, planes, "speed", "cortex-m4") == choose_encodings(call, planes)


@pytest.mark.parametrize("kind", [OperatorKind.CONV_2D, OperatorKind.DEPTHWISE_CONV_2D])
def test_random_shapes_are_predicted(kind, rng):
    for _ in range(50):
        geometry = random_geometry(rng, kind)
        size = tuple(int(n) for n in rng.integers(9, 30, 2))
        output = tuple(
            -(-n // stride)
            if geometry.padding == Padding.SAME
            else (n - (f - 1) * dilation - 1) // stride + 1
            for n, stride, f, dilation in zip(
                size, geometry.stride, geometry.filter_size, geometry.dilation, strict=True
            )
        )
        call = Call(geometry, size, output)
        planes = random_planes(rng, (2, geometry.output_channels, geometry.row_size), 0.3)
        encodings = choose_encodings(call, planes)
        for target in predict.targets():
            assert cost(call, planes, encodings, target)[0] > 0
