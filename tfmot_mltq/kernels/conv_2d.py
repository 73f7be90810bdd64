"""Convolution by gather-add, on packed lanes or on vectors."""

from __future__ import annotations

import dataclasses

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import INDEX_BYTES, Kernel, mapping
from tfmot_mltq.kernels.plane_counts import MAX_LANE_ENTRIES, PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES, OperatorKind
from tfmot_mltq.packing.packed_layer import Geometry

_LANES = {"portable": 2, "dsp": 4}
_WHOLE_BAND_BYTES = 8192
_MAX_BAND_MACHINE_WORDS = 16384
_MAX_SUM_MACHINE_WORDS = 1 << 24
_MAX_POINTWISE_WIDTH = 64
_HELIUM_STEP_BYTES = 8192
_HELIUM_LANES = 8
_MAX_HELIUM_OFFSET = 65535
_MAX_HELIUM_SUM_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Work that does not depend on which bits are set.

    Attributes:
      steps: Times that all output channels are gone through.
      decodings: Times that the planes are decoded.
      width: Machine words, or vectors, of a step that are added up for an output channel.
      packed: Machine words, or bytes, of input that are brought into the band, for all steps.
      scratch_bytes: Scratch.
    """

    steps: int
    decodings: int
    width: int
    packed: int
    scratch_bytes: int


class Conv2D(Kernel):
    """For every non-zero entry, a tile of output positions adds or subtracts an input each."""

    name = "mltq_conv_2d_s8"
    files = ("mltq_conv_2d_s8.c", "mltq_conv_2d_s8_helium.c")
    kinds = frozenset({OperatorKind.CONV_2D})
    planes = Planes.CODED
    title = "gather-add"
    costs = "CONV_2D"

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        plan = _plan(call, counts, variant)
        return None if plan is None else plan.scratch_bytes

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """See ``Kernel``."""
        plan = _plan(call, counts, variant)
        if plan is None:
            return None
        channels = call.geometry.output_channels
        single = plan.width % 4
        return {
            **counts.decoding(plan.decodings),
            "additions": counts.bits * plan.steps * (plan.width - single),
            "single_additions": counts.bits * plan.steps * single,
            "tiles": counts.sums * plan.steps * (plan.width // 4),
            "single_tiles": counts.sums * plan.steps * single,
            "runs": counts.sums * plan.steps,
            "channels": channels * plan.steps,
            "outputs": call.positions * channels,
            "products": counts.rows * call.positions,
            "general_outputs": counts.general_channels * call.positions,
            "general_products": counts.general_sums * call.positions,
            "inputs": plan.packed,
            "table": call.geometry.row_size * plan.steps,
            "layers": 1,
            **mapping(call, plan.packed),
        }


CONV_2D = Conv2D()


def _plan(call: Call, counts: PlaneCounts, variant: str) -> _Plan | None:
    """None where the layer is too large."""
    if variant == "helium":
        return _helium_plan(call, counts)
    return _lanes_plan(call, counts, _LANES[variant])


def _lanes_plan(call: Call, counts: PlaneCounts, lanes: int) -> _Plan | None:
    geometry = call.geometry
    if call.is_pointwise:
        call = _regroup(call, lanes)
    stride_h, stride = geometry.stride
    left, columns = call.reach(1)
    width = call.input_size[1]
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    if stride == 1:
        pitch, lead = width + max(left, columns - left - width), left
    else:
        pitch, lead = _phases(geometry, 1) * -(-columns // stride), 0
    row_machine_words = pitch * geometry.input_channels
    sums = counts.max_sums * call.output_size[1] * lanes // 2
    band_machine_words = max(columns, row_machine_words * span + lead)
    if band_machine_words > _MAX_BAND_MACHINE_WORDS or sums > _MAX_SUM_MACHINE_WORDS:
        return None
    steps = -(-call.output_size[0] // lanes)
    rows, all_rows = span, (steps - 1) * stride_h + span
    decodings = steps
    if (
        counts.levels * geometry.row_size <= 2 * MAX_LANE_ENTRIES
        and (all_rows * row_machine_words + lead) * MACHINE_WORD_BYTES <= _WHOLE_BAND_BYTES
    ):
        rows, decodings = all_rows, 1
    return _Plan(
        steps=steps,
        decodings=decodings,
        width=call.output_size[1],
        packed=min(all_rows, steps * span) * width * geometry.input_channels,
        scratch_bytes=MACHINE_WORD_BYTES * (rows * row_machine_words + lead + sums)
        + INDEX_BYTES * geometry.row_size,
    )


def _helium_plan(call: Call, counts: PlaneCounts) -> _Plan | None:
    geometry = call.geometry
    if call.is_pointwise:
        rows = -(-call.positions // _HELIUM_LANES)
        call = Call(geometry, (rows, _HELIUM_LANES), (rows, _HELIUM_LANES))
    stride_h, stride = geometry.stride
    left, columns = call.reach(1)
    gathered = (_HELIUM_LANES - 1) * stride * geometry.input_channels
    if max(columns, gathered) > _MAX_HELIUM_OFFSET:
        return None
    width, height = call.input_size[1], call.output_size[0]
    pitch = width + max(left, columns - left - width) if stride == 1 else -(-columns // stride)
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0]
    phases = _phases(geometry, 0) * _phases(geometry, 1)

    def step(rows: int) -> tuple[int, int, int, int]:
        phase_bytes = (rows + span // stride_h) * pitch
        band = phase_bytes * phases * geometry.input_channels + pitch + _HELIUM_LANES
        vectors = -(-((rows - 1) * pitch + call.output_size[1]) // _HELIUM_LANES)
        sums = counts.max_sums * vectors * _HELIUM_LANES * INDEX_BYTES
        return band, vectors, sums, band + sums + INDEX_BYTES * geometry.row_size

    if step(1)[0] > _MAX_HELIUM_OFFSET:
        return None
    rows = 1
    while rows < height and step(rows + 1)[3] <= _HELIUM_STEP_BYTES:
        rows += 1
    rows = -(-height // -(-height // rows))
    _, vectors, sums, scratch = step(rows)
    if sums > _MAX_HELIUM_SUM_BYTES:
        return None
    steps = -(-height // rows)
    packed = steps * ((rows - 1) * stride_h + span + 1) * width * geometry.input_channels
    return _Plan(steps, steps, vectors, packed * phases // (stride * stride_h), scratch)


def _phases(geometry: Geometry, axis: int) -> int:
    stride, size = geometry.stride[axis], geometry.filter_size[axis]
    return size if geometry.dilation[axis] == 1 and size < stride else stride


def _regroup(call: Call, lanes: int) -> Call:
    widest = _WHOLE_BAND_BYTES // MACHINE_WORD_BYTES // call.geometry.input_channels
    widest = max(4, min(_MAX_POINTWISE_WIDTH, widest))
    machine_words = -(-call.positions // lanes)
    steps = -(-machine_words // widest)
    width = -(-machine_words // steps)
    width += width % 4 == 3
    size = -(-call.positions // width), width
    return dataclasses.replace(call, input_size=size, output_size=size)
