"""The layers that made symbolic tensors: what stored tensors are sums of."""

from __future__ import annotations

from collections.abc import Sequence

import tf_keras

from tfmot_mltq.helpers.framework_types import Layer, Tensor
from tfmot_mltq.layout.int8_sums import SumNotes
from tfmot_mltq.tfmot.saved_wrapper import wrapped_layer


def sum_notes() -> SumNotes:
    """Notes of a layer that quantizes tensors, its own output or others."""
    return SumNotes(_maker, wrapped_layer)


def is_symbolic(tensor: Tensor) -> bool:
    """Whether a tensor stands for one of a model that is being built."""
    return tf_keras.backend.is_keras_tensor(tensor) and hasattr(tensor, "_keras_history")


def _maker(tensor: Tensor) -> tuple[Layer, Sequence[Tensor]] | None:
    if not is_symbolic(tensor):
        return None
    layer, number, _ = tensor._keras_history
    node = layer._inbound_nodes[number]
    return None if node.is_input else (layer, node.keras_inputs)
