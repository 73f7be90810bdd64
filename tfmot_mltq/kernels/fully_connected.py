"""Fully connected layers: inputs are added while a row is decoded."""

from __future__ import annotations

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import Kernel, mapping
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES, OperatorKind


class FullyConnected(Kernel):
    """The planes are decoded for every position."""

    name = "mltq_fully_connected_s8"
    files = ("mltq_fully_connected_s8.c",)
    kinds = frozenset({OperatorKind.FULLY_CONNECTED})
    planes = Planes.CODED
    title = "gather-add"
    costs = "FULLY_CONNECTED"

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        mapped = call.geometry.input_channels if call.activation_levels else 0
        return MACHINE_WORD_BYTES * call.geometry.output_channels + mapped

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """See ``Kernel``."""
        return {
            **counts.decoding(call.positions),
            "rows": counts.rows * call.positions,
            "outputs": call.geometry.output_channels * call.positions,
            **mapping(call, call.geometry.input_channels * call.positions),
        }


FULLY_CONNECTED = FullyConnected()
