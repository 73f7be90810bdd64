"""Depthwise convolution: the levels are added up, tap by tap."""

from __future__ import annotations

import dataclasses

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import INDEX_BYTES, Kernel, mapping
from tfmot_mltq.kernels.plane_counts import MAX_LANE_ENTRIES, PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import OperatorKind

_STEP_BYTES = 4096
_MAX_BAND_BYTES = 1 << 24
_MAX_TAPS = 65535
_TAP_BYTES = 8 + 4 + 2
_HELIUM_TAP_BYTES = 20 + 2
# Channels of a vector, and the most of a band.
_HELIUM_LANES = 4
_HELIUM_BAND_CHANNELS = 16


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Steps, the rows of input that all of them copy, and scratch."""

    steps: int
    input_rows: int
    scratch_bytes: int


class DepthwiseConv2D(Kernel):
    """One multiplication for every tap that is not zero in all levels."""

    name = "mltq_depthwise_conv_2d_s8"
    files = ("mltq_depthwise_conv_2d_s8.c", "mltq_depthwise_conv_2d_s8_helium.c")
    kinds = frozenset({OperatorKind.DEPTHWISE_CONV_2D})
    planes = Planes.CODED
    title = "gather-add"
    costs = "DEPTHWISE_CONV_2D"

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        plan = _plan(call, variant)
        return None if plan is None else plan.scratch_bytes

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """See ``Kernel``."""
        plan = _plan(call, variant)
        if plan is None:
            return None
        if variant == "helium":
            return _helium_work(call, counts, plan)
        height, width = call.output_size
        channels = call.geometry.output_channels
        tiles, single = divmod(width, 4)
        rows = plan.input_rows * call.geometry.input_channels
        inputs = rows * call.input_size[1]
        return {
            **counts.decoding(plan.steps),
            "taps": counts.words * height * tiles,
            "single_taps": counts.words * height * single,
            "tiles": channels * height * tiles,
            "singles": channels * height * single,
            "output_rows": channels * height,
            "channels": channels * plan.steps,
            "rows": channels * counts.levels * plan.steps,
            "inputs": inputs,
            "input_rows": rows,
            "table": call.geometry.row_size * channels * plan.steps,
            **mapping(call, inputs),
        }


DEPTHWISE_CONV_2D = DepthwiseConv2D()


def _helium_work(call: Call, counts: PlaneCounts, plan: _Plan) -> dict[str, float]:
    height, width = call.output_size
    channels = call.geometry.output_channels
    tiles, single = divmod(width, 4)
    vectors = -(-channels // _HELIUM_LANES)
    rows = plan.input_rows * -(-channels // _band_channels(call))
    pixels = rows * call.input_size[1]
    return {
        **counts.decoding(plan.steps),
        "taps": counts.word_vectors * height * tiles,
        "single_taps": counts.word_vectors * height * single,
        "tiles": vectors * height * tiles,
        "singles": vectors * height * single,
        "output_rows": vectors * height,
        "channels": channels * plan.steps,
        "rows": channels * counts.levels * plan.steps,
        "pixels": pixels,
        "input_rows": rows,
        "table": call.geometry.row_size * vectors * plan.steps,
        "maps": int(call.activation_levels > 0),
    }


def _band_channels(call: Call) -> int:
    vectors = -(-call.geometry.output_channels // _HELIUM_LANES)
    return min(vectors * _HELIUM_LANES, _HELIUM_BAND_CHANNELS)


def _plan(call: Call, variant: str) -> _Plan | None:
    """None where the layer is too large."""
    geometry = call.geometry
    stride = geometry.stride[0]
    _, pitch = call.reach(1)
    tap_bytes = _TAP_BYTES
    if variant == "helium":
        pitch *= _band_channels(call)
        tap_bytes = _HELIUM_TAP_BYTES
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    if geometry.row_size > _MAX_TAPS or pitch * span > _MAX_BAND_BYTES:
        return None
    height = call.output_size[0]
    rows = 1
    while rows < height and pitch * (rows * stride + span) <= _STEP_BYTES:
        rows += 1
    rows = -(-height // -(-height // rows))
    steps = -(-height // rows)
    input_rows = (rows - 1) * stride + span
    return _Plan(
        steps=steps,
        input_rows=steps * input_rows,
        scratch_bytes=geometry.row_size * tap_bytes
        + 2 * MAX_LANE_ENTRIES * INDEX_BYTES
        + input_rows * pitch,
    )
