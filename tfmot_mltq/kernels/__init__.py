"""The kernels of the C operators: which layers each takes, its work and its scratch.

A module is a family. The cost model, the choice of encodings, the exporters and ``mltq inspect`` go
through ``KERNELS``.
"""

from __future__ import annotations

from tfmot_mltq.kernels.bit_planes import BIT_PLANES
from tfmot_mltq.kernels.byte_indices import BYTE_INDICES
from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.conv_2d import CONV_2D
from tfmot_mltq.kernels.depthwise_conv_2d import DEPTHWISE_CONV_2D
from tfmot_mltq.kernels.fully_connected import FULLY_CONNECTED
from tfmot_mltq.kernels.kernel import Kernel
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.kernels.reference import CONV_2D_REFERENCE, FULLY_CONNECTED_REFERENCE

# In the order of the table in tflite_ops/core/mltq_kernels.c.
KERNELS: tuple[Kernel, ...] = (
    BIT_PLANES,
    BYTE_INDICES,
    CONV_2D,
    DEPTHWISE_CONV_2D,
    FULLY_CONNECTED,
    CONV_2D_REFERENCE,
    FULLY_CONNECTED_REFERENCE,
)


def family_of(call: Call, counts: PlaneCounts) -> Kernel:
    """The kernel that a layer is meant for; it runs on another where it is too large."""
    return next(k for k in KERNELS if k.takes(call.geometry.kind, counts.planes))


def kernel_of(call: Call, counts: PlaneCounts, variant: str) -> Kernel:
    """The kernel that a layer runs on, on targets that have a variant of the C code."""
    return next(
        kernel
        for kernel in KERNELS
        if kernel.takes(call.geometry.kind, counts.planes)
        and kernel.scratch_bytes(call, counts, variant) is not None
    )
