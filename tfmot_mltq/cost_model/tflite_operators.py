"""The operators of a .tflite file, with what they hold and cost; stock models too."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.cost_model import predict
from tfmot_mltq.cost_model.tflite_call import sized_call, stock_call
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.kernels import Call, PlaneCounts
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.packing import packed_layer
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, OperatorKind
from tfmot_mltq.packing.packed_layer import PackedLayer

_KINDS = {name: kind for kind, name in CUSTOM_OP_NAMES.items()}


@dataclasses.dataclass(frozen=True)
class TfliteOperator:
    """One operator.

    Attributes:
      op: Name in the schema, or of the custom operator.
      name: Of the layer, or of the output tensor.
      input_shape, output_shape: Of the first input and output.
      constant_bytes: Weights, biases and other constants that it reads.
      call: Sizes, if it multiplies weights and activations and is int8.
      layer: What its packed tensor holds, if it is one of ours.
      packed: That tensor.
    """

    op: str
    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    constant_bytes: int
    call: Call | None = None
    layer: PackedLayer | None = None
    packed: bytes = b""

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one call."""
        if self.call is None:
            return None
        return int(np.prod(self.output_shape)) * self.call.geometry.row_size

    @property
    def encodings(self) -> list[int]:
        """Of the planes of one of our operators."""
        return packed_layer.encodings(self.packed) if self.layer is not None else []

    @functools.cached_property
    def counts(self) -> PlaneCounts | None:
        """What the planes of one of our operators hold."""
        return None if self.layer is None else count_planes(self.layer.planes, self.encodings)

    def instructions(self, target: str) -> int | None:
        """Predicted instructions of one call: of the optimised kernel of ours, or of the int8
        kernel that users of the target would take. None where there is no prediction.
        """
        if self.call is None:
            return None
        if self.counts is None:
            return round(predict.int8_instructions(self.call, target))
        found = predict.instructions(self.call, self.counts, target)
        return None if found is None else round(found)


def read_operators(tflite: bytes) -> list[TfliteOperator]:
    """The operators of the main graph, in order.

    Raises:
      ValueError: The bytes are not a TFLite model, or hold a corrupt layer of ours.
    """
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    return [_read(model, graph, operator) for operator in graph.operators]


def _read(
    model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT
) -> TfliteOperator:
    op = flatbuffer.operator_name(model, operator)
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    output = graph.tensors[operator.outputs[0]]
    constants = [model.buffers[tensor.buffer].data for tensor in inputs]
    found = TfliteOperator(
        op=op,
        name=flatbuffer.tensor_name(output),
        input_shape=_shape(inputs[0]) if inputs else (),
        output_shape=_shape(output),
        constant_bytes=sum(len(data) for data in constants if data is not None),
    )
    if op in _KINDS:
        packed = bytes(constants[1])
        layer = packed_layer.decode(packed)
        return dataclasses.replace(
            found,
            name=flatbuffer.layer_name(inputs[1]),
            call=sized_call(layer.geometry, found.input_shape, found.output_shape).reading(
                layer.activation_table
            ),
            layer=layer,
            packed=packed,
        )
    if op in OperatorKind.__members__ and inputs[0].type == schema.TensorType.INT8:
        shapes = found.input_shape, _shape(inputs[1]), found.output_shape
        call = stock_call(OperatorKind[op], *shapes, operator.builtinOptions)
        return dataclasses.replace(found, call=call)
    return found


def _shape(tensor: schema.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))
