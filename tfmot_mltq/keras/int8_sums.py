"""The sums that stored tensors are, found while layers are called on symbolic tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmot_mltq.layout.int8_sums import Int8Sum, int8_sum


def note_sum(sums: dict[int, Int8Sum | None], site: int, tensor: Any) -> None:
    """Notes what a tensor is that a quantizer is called on.

    Where several calls have sums of different tensors, as of a shared layer, none is noted.

    Args:
      sums: Of the quantizer, by the number of the place; changed.
      site: Number of the place.
      tensor: Symbolic tensor.
    """
    found = int8_sum(tensor, _maker, lambda layer: hasattr(layer, "step"), _has_int8_kernel)
    before = sums.get(site, found)
    sums[site] = found if found == before else None
    for known in (before, found):
        if known is not None and known.layer is not None:
            known.layer.sum = sums[site]


def sum_step(found: Int8Sum) -> Any:
    """Real value of 1 in a sum, on the backend: a scalar, or one for each channel."""
    step = 1.0
    for quantizer in found.quantizers:
        step = step * quantizer.step()
    return step if found.layer is None else step * found.layer.kernel_steps()


def _maker(tensor: Any) -> tuple[Any, Sequence[Any]] | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None or not history.operation._inbound_nodes:
        return None
    layer, number, _ = history
    return layer, layer._inbound_nodes[number].input_tensors


def _has_int8_kernel(layer: Any) -> bool:
    return hasattr(layer, "kernel_steps")
