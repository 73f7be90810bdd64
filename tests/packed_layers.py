"""Random packed layers for the tests."""

import dataclasses

import numpy as np

from tfmot_mltq.packing import fixed_point
from tfmot_mltq.packing.format import OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import ActivationTable, Geometry, PackedLayer


def random_planes(rng, shape, density):
    planes = rng.choice(np.array([-1, 1], np.int8), shape)
    return planes * (rng.random(shape) < density).astype(np.int8)


def random_geometry(rng, kind):
    if kind == OperatorKind.FULLY_CONNECTED:
        return Geometry(kind, int(rng.integers(1, 70)), int(rng.integers(1, 20)))
    channels = int(rng.integers(1, 9))
    depthwise = kind == OperatorKind.DEPTHWISE_CONV_2D
    return Geometry(
        kind=kind,
        input_channels=channels,
        output_channels=channels * int(rng.integers(1, 4))
        if depthwise
        else int(rng.integers(1, 9)),
        filter_size=(int(rng.integers(1, 5)), int(rng.integers(1, 5))),
        stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        dilation=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=Padding(int(rng.integers(0, 2))),
    )


def random_layer(rng, kind, *, levels=None, density=None, geometry=None):
    """A layer whose outputs spread over the int8 range."""
    geometry = geometry or random_geometry(rng, kind)
    levels = levels or int(rng.integers(1, 5))
    density = rng.choice([0.0, 0.02, 0.1, 0.3, 0.6, 1.0]) if density is None else density
    planes = random_planes(rng, (levels, geometry.output_channels, geometry.row_size), density)
    scales = rng.uniform(0.0, 0.1, (levels, geometry.output_channels))
    input_zero_point = int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))
    tables = fixed_point.quantize_channels(
        planes,
        scales,
        rng.normal(0, 2, geometry.output_channels),
        input_scale=0.05,
        input_zero_point=input_zero_point,
        output_scale=float(rng.uniform(0.02, 0.5)),
        output_zero_point=int(rng.integers(-128, 128)),
    )
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    return PackedLayer(
        geometry=geometry,
        planes=planes,
        multipliers=tables.multipliers,
        biases=tables.biases,
        shifts=tables.shifts,
        input_zero_point=input_zero_point,
        activation_min=int(rng.choice([-128, low])),
        activation_max=int(rng.choice([127, high])),
    )


def with_activation(rng, layer, levels, binary=False):
    """The layer with a random activation table of so many levels."""
    scales = rng.integers(0, 127 // levels + 1, levels).astype(np.int8)
    planes = rng.integers(-1, 2, (levels, 256)).astype(np.int8)
    if binary:
        planes[planes == 0] = 1
    return dataclasses.replace(
        layer, input_zero_point=0, activation_table=ActivationTable(scales, planes)
    )


def random_bitwise_layer(rng, kind=OperatorKind.CONV_2D, *, binary=(False, False), **options):
    """A layer with activation levels, with zeros unless ``binary`` (weights, activations); machine
    words of weights are zero by chance.
    """
    binary_weights, binary_activations = binary
    layer = random_layer(rng, kind, density=1.0, **options)
    if not binary_weights:
        groups = -(-layer.geometry.row_size // 32)
        kept = rng.random((*layer.planes.shape[:2], groups)) < 0.7
        kept = np.repeat(kept, 32, axis=2)[..., : layer.geometry.row_size]
        kept &= rng.random(kept.shape) < rng.choice([0.02, 0.1, 0.6, 1.0])
        layer = dataclasses.replace(layer, planes=layer.planes * kept.astype(np.int8))
    return with_activation(rng, layer, int(rng.integers(1, 5)), binary_activations)


def random_input(rng, geometry):
    """Random int8 input, extreme values included."""
    batch = int(rng.integers(1, 3))
    if geometry.kind == OperatorKind.FULLY_CONNECTED:
        shape = (batch, geometry.input_channels)
    else:
        extents = [
            (size - 1) * dilation + 1
            for size, dilation in zip(geometry.filter_size, geometry.dilation, strict=True)
        ]
        sizes = [int(extent + rng.integers(0, 7)) for extent in extents]
        shape = (batch, *sizes, geometry.input_channels)
    x = rng.integers(-128, 128, shape, dtype=np.int8)
    extreme = rng.random(shape)
    x[extreme < 0.1] = -128
    x[extreme > 0.9] = 127
    return x


def packed_operators(tflite):
    """Our operators of a model, by layer name."""
    from tfmot_mltq.cost_model.tflite_operators import read_operators

    return {op.name: op for op in read_operators(tflite) if op.layer is not None}


def packed_sizes(tflite):
    """Bytes of the packed tensor of every layer of a model, by name."""
    from tfmot_mltq.helpers import flatbuffer

    model = flatbuffer.load(tflite)
    return {
        flatbuffer.tensor_name(tensor).removesuffix("/planes"): len(
            model.buffers[tensor.buffer].data
        )
        for tensor in model.subgraphs[0].tensors
        if flatbuffer.tensor_name(tensor).endswith("/planes")
    }
