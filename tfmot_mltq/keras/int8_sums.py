"""The layers that made symbolic tensors: what stored tensors are sums of."""

from __future__ import annotations

from collections.abc import Sequence

from tfmot_mltq.helpers.framework_types import Layer, Tensor
from tfmot_mltq.layout.int8_sums import SumNotes


def sum_notes() -> SumNotes:
    """Notes of a layer that quantizes tensors."""
    return SumNotes(_maker)


def _maker(tensor: Tensor) -> tuple[Layer, Sequence[Tensor]] | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None or not history.operation._inbound_nodes:
        return None
    layer, number, _ = history
    return layer, layer._inbound_nodes[number].input_tensors
