"""Functional Keras 3 models as graphs."""

from __future__ import annotations

from typing import Any

import keras

from tfmot_mltq.helpers.framework_types import Model, Structure, Tensor
from tfmot_mltq.layout.graph import ModelGraphs, Node


class KerasModelGraphs(ModelGraphs):
    """Models of Keras 3."""

    keras = keras

    def nodes_in_order(self, model: Model) -> list[Node]:
        by_depth = _functional(model)._nodes_by_depth
        return [
            Node(
                layer=node.operation,
                inputs=tuple(node.input_tensors),
                outputs=tuple(node.outputs),
                is_input=node.is_input,
                arguments=node.arguments.fill_in,
            )
            for depth in sorted(by_depth, reverse=True)
            for node in by_depth[depth]
        ]

    def is_functional(self, model: Model) -> bool:
        return isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth")

    def is_built(self, model: Model) -> bool:
        return _functional(model) is not None

    def input_names(self, model: Model) -> list[str]:
        return [tensor.name for tensor in model.inputs]

    def flatten(self, structure: Structure) -> list[Tensor]:
        return keras.tree.flatten(structure)

    def pack(self, structure: Structure, flat: list[Tensor]) -> Structure:
        return keras.tree.pack_sequence_as(structure, flat)

    def input_structure(self, model: Model) -> Structure:
        return _functional(model)._inputs_struct

    def output_structure(self, model: Model) -> Structure:
        return _functional(model)._outputs_struct

    def is_float(self, tensor: Tensor) -> bool:
        return keras.backend.is_float_dtype(tensor.dtype)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return keras.ops.matmul(a, b)


def _functional(model: Model) -> Any:
    """A Sequential model holds a functional one, once it knows its input shape."""
    return model._functional if isinstance(model, keras.Sequential) else model
