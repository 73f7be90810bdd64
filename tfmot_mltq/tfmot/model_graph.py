"""Functional tf_keras models as graphs."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tf_keras

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Model, Structure, Tensor
from tfmot_mltq.layout.frameworks import framework_of
from tfmot_mltq.layout.graph import ModelGraphs, Node

# A node as tf_keras has it.
KerasNode = Any


class _Kept(list):
    """Lets Keras' Node.map_arguments, which pops, read a tensor any number of times."""

    def pop(self, *_: object) -> Tensor:
        return self[0]


def _map_arguments(
    node: KerasNode, tensors: dict[int, Tensor]
) -> tuple[tuple[Structure, ...], dict[str, Structure]]:
    return node.map_arguments({str(key): _Kept([value]) for key, value in tensors.items()})


class TfKerasModelGraphs(ModelGraphs):
    """Models of tf_keras."""

    keras = tf_keras

    def check_model(self, model: Model) -> None:
        super().check_model(model)
        for node in _keras_nodes(model):
            # A Keras 3 layer called on a tf_keras tensor leaves only its functions in the graph.
            if any(framework_of(value) == "keras" for value in _arguments(node)):
                raise UnsupportedModelError(
                    f"'{model.name}' is a tf_keras model, but '{node.layer.name}' computes with a "
                    "variable of a Keras 3 layer. Their models do not mix: build all of it with "
                    "`import tf_keras`."
                )

    def nodes_in_order(self, model: Model) -> list[Node]:
        return [
            Node(
                layer=node.layer,
                inputs=tuple(node.keras_inputs),
                outputs=tuple(tf.nest.flatten(node.outputs)),
                is_input=node.is_input,
                arguments=functools.partial(_map_arguments, node),
            )
            for node in _keras_nodes(model)
        ]

    def is_functional(self, model: Model) -> bool:
        return isinstance(model, tf_keras.Sequential) or model._is_graph_network

    def is_built(self, model: Model) -> bool:
        return model.built and model._is_graph_network

    def input_names(self, model: Model) -> list[str]:
        return model.input_names

    def flatten(self, structure: Structure) -> list[Tensor]:
        return tf.nest.flatten(structure)

    def pack(self, structure: Structure, flat: list[Tensor]) -> Structure:
        return tf.nest.pack_sequence_as(structure, flat)

    def input_structure(self, model: Model) -> Structure:
        if not isinstance(model, tf_keras.Sequential):
            return model.input
        return model.inputs[0] if len(model.inputs) == 1 else model.inputs

    def output_structure(self, model: Model) -> Structure:
        return model.output

    def is_float(self, tensor: Tensor) -> bool:
        return tensor.dtype.is_floating

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return tf.matmul(a, b)


def _arguments(node: KerasNode) -> list[Tensor]:
    return tf.nest.flatten((node.call_args, node.call_kwargs)) if not node.is_input else []


def _keras_nodes(model: Model) -> list[KerasNode]:
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def takes_one_tensor(node: KerasNode) -> bool:
    """Whether TFMOT's wrappers, which pass one argument with tensors, can make this call.

    They cannot call functions such as `x + y`, and layers of several arguments such as attention.
    Lambda layers stay outside, as the function of one inside would be saved as byte code.
    """
    if node.is_input:
        return True
    if isinstance(node.layer, tf_keras.layers.Lambda):
        return False
    first = tf.nest.flatten(node.call_args[:1])
    return "OpLambda" not in type(node.layer).__name__ and len(first) == len(node.keras_inputs)


def layers_tfmot_cannot_wrap(model: Model) -> set[str]:
    """Names of the layers with a call that TFMOT's wrappers cannot make."""
    return {node.layer.name for node in _keras_nodes(model) if not takes_one_tensor(node)}
