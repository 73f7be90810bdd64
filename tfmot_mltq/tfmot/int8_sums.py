"""The sums that stored tensors are, found while layers are called on symbolic tensors;
``keras.int8_sums`` is its twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from tfmot_mltq.layout.int8_sums import SumNotes, int8_sum
from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper


def note_sum_of(notes: SumNotes, site: int, tensor: Any) -> None:
    """Notes what a symbolic tensor is a sum of that a quantizer is called on."""
    made = _maker(tensor)
    if made is not None:
        _note(notes, site, made)


def note_sum(notes: SumNotes, layer: Any, inputs: Any) -> None:
    """Notes what a layer gives that quantizes its own output."""
    tensors = tf.nest.flatten(inputs)
    if all(map(_is_symbolic, tensors)):
        _note(notes, 0, (layer, tensors))


def _note(notes: SumNotes, site: int, made: tuple[Any, Sequence[Any]]) -> None:
    found = int8_sum(made, _maker, _is_quantizer, _has_int8_kernel, _inner_layer)
    notes.note(found, site)


def _is_symbolic(tensor: Any) -> bool:
    return tf_keras.backend.is_keras_tensor(tensor) and hasattr(tensor, "_keras_history")


def _maker(tensor: Any) -> tuple[Any, Sequence[Any]] | None:
    if not _is_symbolic(tensor):
        return None
    layer, number, _ = tensor._keras_history
    node = layer._inbound_nodes[number]
    return None if node.is_input else (layer, node.keras_inputs)


def _is_quantizer(layer: Any) -> bool:
    return hasattr(layer, "step") and getattr(layer, "stores_output", True)


def _has_int8_kernel(layer: Any) -> bool:
    return getattr(layer, "has_int8_kernel", False)


def _inner_layer(layer: Any) -> Any:
    return layer.layer if isinstance(layer, SavedWrapper) else layer
