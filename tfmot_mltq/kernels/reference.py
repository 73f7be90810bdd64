"""The reference kernels: plain, for every layer, and the oracle of the others."""

from __future__ import annotations

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import Kernel
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES, OperatorKind


class _Reference(Kernel):
    planes = Planes.CODED | Planes.BITS
    title = "reference"

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """Not counted."""
        return None


class Conv2DReference(_Reference):
    """Sums and accumulators of one row of outputs."""

    name = "mltq_conv_2d_reference"
    files = ("mltq_conv_2d_reference.c",)
    kinds = frozenset({OperatorKind.CONV_2D, OperatorKind.DEPTHWISE_CONV_2D})

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        return 2 * MACHINE_WORD_BYTES * call.output_size[1]


class FullyConnectedReference(_Reference):
    """Without scratch."""

    name = "mltq_fully_connected_reference"
    planes = Planes.CODED | Planes.BITS | Planes.INDICES
    files = ("mltq_fully_connected_reference.c",)
    kinds = frozenset({OperatorKind.FULLY_CONNECTED})

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        return 0


CONV_2D_REFERENCE = Conv2DReference()
FULLY_CONNECTED_REFERENCE = FullyConnectedReference()
