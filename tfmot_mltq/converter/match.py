"""Finding the operator of a stock int8 model that computes a quantized layer.

TFLite folds batch normalisation, merges tensor names and rounds weights to int8, so the layers are
found by content: kind, shape, and every single weight within its rounding error; then the bias.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter.folded_layer import FoldedLayer
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing.format import OperatorKind

KIND_OF_OPERATOR = {
    "CONV_2D": OperatorKind.CONV_2D,
    "DEPTHWISE_CONV_2D": OperatorKind.DEPTHWISE_CONV_2D,
    "FULLY_CONNECTED": OperatorKind.FULLY_CONNECTED,
}
# An int8 weight is off by up to half a step; float32 folding adds a little.
_ROUNDING_STEPS = 0.51


@dataclasses.dataclass(frozen=True)
class FilterOperator:
    """A convolution or fully connected operator with constant int8 weights.

    Attributes:
      operator: Schema object.
      kind: What it is.
      name: Name of its output tensor, for messages.
      weights: Real weights, shape (output_channels, row_size).
      steps: Size of an int8 step of a weight, shape (output_channels, 1).
      biases: Real biases, shape (output_channels,).
      bias_steps: Size of a step of a bias, shape (output_channels,).
    """

    operator: schema.OperatorT
    kind: OperatorKind
    name: str
    weights: np.ndarray
    steps: np.ndarray
    biases: np.ndarray
    bias_steps: np.ndarray

    def computes(self, layer: FoldedLayer) -> bool:
        """Whether the weights and biases are those of a layer."""
        if self.kind != layer.kind or self.weights.shape != layer.planes.shape[1:]:
            return False
        error = np.abs(self.weights - layer.weights())
        if not (error <= _ROUNDING_STEPS * self.steps).all():
            return False
        bias_error = np.abs(self.biases - layer.biases)
        return bool((bias_error <= self.bias_steps + 1e-3 * np.abs(layer.biases) + 1e-6).all())


def filter_operators(model: schema.ModelT) -> list[FilterOperator]:
    """All operators that can compute a quantized layer; ``model`` is a ``ModelT``."""
    found = []
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            kind = KIND_OF_OPERATOR.get(flatbuffer.operator_name(model, operator))
            if kind is None:
                continue
            described = _describe(model, subgraph, operator, kind)
            if described is not None:
                found.append(described)
    return found


def _describe(
    model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT, kind: OperatorKind
) -> FilterOperator | None:
    source = subgraph.tensors[operator.inputs[0]]
    filter_tensor = subgraph.tensors[operator.inputs[1]]
    if source.type != schema.TensorType.INT8 or filter_tensor.type != schema.TensorType.INT8:
        return None
    integers = flatbuffer.constant(model, filter_tensor)
    if integers is None:
        return None
    if kind == OperatorKind.DEPTHWISE_CONV_2D:
        integers = np.moveaxis(integers[0], -1, 0)
    rows = integers.reshape(integers.shape[0], -1).astype(np.float64)
    scales = np.asarray(filter_tensor.quantization.scale, np.float64)
    steps = np.broadcast_to(scales.reshape(-1, 1), (rows.shape[0], 1))
    biases = np.zeros(rows.shape[0])
    bias_steps = np.zeros(rows.shape[0])
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        bias_tensor = subgraph.tensors[operator.inputs[2]]
        bias_steps = np.broadcast_to(
            np.asarray(bias_tensor.quantization.scale, np.float64), biases.shape
        )
        biases = flatbuffer.constant(model, bias_tensor) * bias_steps
    return FilterOperator(
        operator=operator,
        kind=kind,
        name=flatbuffer.tensor_name(subgraph.tensors[operator.outputs[0]]),
        weights=rows * steps,
        steps=steps,
        biases=biases,
        bias_steps=bias_steps,
    )


def match(
    layers: list[FoldedLayer], operators: list[FilterOperator]
) -> list[tuple[FilterOperator, FoldedLayer]]:
    """Pairs operators with the layers that they compute.

    Several calls of a shared layer may be one operator or several; a layer without an operator,
    or an operator that two different layers claim, is an error.

    Raises:
      ConversionError: Naming the layer and what was looked for.
    """
    pairs = []
    matched: set[int] = set()
    for operator in operators:
        claims = [index for index, layer in enumerate(layers) if operator.computes(layer)]
        if not claims:
            continue
        first = layers[claims[0]]
        for other in (layers[index] for index in claims[1:]):
            if not _same_integers(first, other):
                raise ConversionError(
                    f"Layers '{first.name}' and '{other.name}' have different planes, but both "
                    f"match the operator '{operator.name}': their int8 weights are the same. "
                    "Train the model a little more, or quantize only one of them."
                )
        matched.update(claims)
        pairs.append((operator, first))
    missing = [layer for index, layer in enumerate(layers) if index not in matched]
    if missing:
        details = "; ".join(
            f"'{layer.name}' ({layer.kind.name}, {layer.planes.shape[1]} x {layer.planes.shape[2]} "
            "weights)"
            for layer in missing
        )
        seen = ", ".join(f"{op.kind.name} '{op.name}' {op.weights.shape}" for op in operators)
        raise ConversionError(
            f"No operator of the converted model matches the quantized layers {details}. "
            f"int8 operators found: {seen or 'none'}. If an operator of your model around these "
            "layers has no int8 form in TFLite, replace it; if the model should work, please "
            "report it."
        )
    return pairs


def _same_integers(a: FoldedLayer, b: FoldedLayer) -> bool:
    return (
        np.array_equal(a.planes, b.planes)
        and np.array_equal(a.scales, b.scales)
        and np.array_equal(a.biases, b.biases)
    )
