"""Fully connected layers whose entries are bytes: a table has what each of them adds."""

from __future__ import annotations

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import Kernel
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.encodings.byte_indices import BLOCK
from tfmot_mltq.packing.format import OperatorKind


class ByteIndices(Kernel):
    """A table of the inputs and their opposites is made for every position."""

    name = "mltq_byte_indices_s8"
    files = ("mltq_byte_indices_s8.c",)
    kinds = frozenset({OperatorKind.FULLY_CONNECTED})
    planes = Planes.INDICES
    title = "byte indices"
    costs = "BYTE_INDICES"

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        return BLOCK * -(-call.geometry.row_size // BLOCK) + call.geometry.row_size

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """See ``Kernel``."""
        channels = call.geometry.output_channels
        inputs = call.geometry.input_channels * call.positions
        gathers = variant == "helium"
        return {
            "entries": 0 if gathers else counts.bits * call.positions,
            "gathers": counts.read["gathers"] * call.positions if gathers else 0,
            "blocks": counts.read["blocks"] * call.positions,
            "rows": counts.levels * channels * call.positions,
            "outputs": channels * call.positions,
            "inputs": inputs,
            "tables": -(-call.geometry.row_size // BLOCK) * call.positions,
            "positions": call.positions,
            # Looking up the inputs, and making the table for it, whatever the levels.
            "mapped": inputs if call.activation_levels else 0,
            "maps": int(call.activation_levels > 0),
        }


BYTE_INDICES = ByteIndices()
