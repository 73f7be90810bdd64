"""The sums that stored tensors are, found while layers are called on symbolic tensors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tfmot_mltq.layout.int8_sums import SumNotes, int8_sum


def note_sum(notes: SumNotes, site: int, tensor: Any) -> None:
    """Notes what a symbolic tensor is a sum of that a quantizer is called on."""
    made = _maker(tensor)
    if made is not None:
        is_quantizer = functools.partial(_has, "step")
        has_int8_kernel = functools.partial(_has, "kernel_steps")
        notes.note(int8_sum(made, _maker, is_quantizer, has_int8_kernel), site)


def _maker(tensor: Any) -> tuple[Any, Sequence[Any]] | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None or not history.operation._inbound_nodes:
        return None
    layer, number, _ = history
    return layer, layer._inbound_nodes[number].input_tensors


def _has(attribute: str, layer: Any) -> bool:
    return hasattr(layer, attribute)
