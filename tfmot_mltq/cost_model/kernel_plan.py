"""How the optimised C kernels cut a layer into steps.

Twins of the plans in tflite_ops/core/mltq_*_s8*.c; tests hold their scratch equal to what
the C code asks for.
"""

from __future__ import annotations

import dataclasses

from tfmot_mltq.packing.format import Kind, Padding
from tfmot_mltq.packing.packed_layer import ActivationTable, Geometry

MAX_LANE_ENTRIES = 128
_WORD = 4
_INDEX = 2
_WHOLE_BAND_BYTES = 8192
_MAX_BAND_WORDS = 16384
_MAX_POINTWISE_WIDTH = 64
_HELIUM_STEP_BYTES = 8192
_HELIUM_LANES = 8
_DEPTHWISE_STEP_BYTES = 4096
_DEPTHWISE_TAP_BYTES = 8 + 4 + 2
_BIT_TILE = 8
_WORD_BITS = 32
_MAX_BIT_ROW_WORDS = 65536
_MAX_BIT_BAND_WORDS = 1 << 24


@dataclasses.dataclass(frozen=True)
class Call:
    """A layer with the sizes of one call.

    Attributes:
      geometry: Filter and window.
      input_size, output_size: (height, width); of a fully connected layer (positions, 1).
      activation_levels: Levels K of the input; 0 if it is int8.
      binary_activations: Whether no entry of these levels is zero.
    """

    geometry: Geometry
    input_size: tuple[int, int] = (1, 1)
    output_size: tuple[int, int] = (1, 1)
    activation_levels: int = 0
    binary_activations: bool = False

    def reading(self, activation: ActivationTable | None) -> Call:
        """The same call of a layer whose input is cut by a table."""
        if activation is None:
            return self
        return dataclasses.replace(
            self,
            activation_levels=len(activation.scales),
            binary_activations=bool(activation.planes.all()),
        )

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.output_size[0] * self.output_size[1]

    def reach(self, axis: int) -> tuple[int, int]:
        """Padding before an axis, and rows or columns with all padding that are read."""
        geometry = self.geometry
        span = (geometry.filter_size[axis] - 1) * geometry.dilation[axis] + 1
        reach = (self.output_size[axis] - 1) * geometry.stride[axis] + span
        missing = max(0, reach - self.input_size[axis])
        before = missing // 2 if geometry.padding else 0
        return before, max(reach, before + self.input_size[axis])


@dataclasses.dataclass(frozen=True)
class Plan:
    """Work of a kernel that does not depend on which bits are set.

    Attributes:
      steps: Times that all output channels are gone through.
      decodings: Times that the planes are decoded.
      width: Words, or vectors, of a step that are added up for an output channel.
      packed: Words, or bytes, of input that are brought into the band, for all steps.
      scratch_bytes: Scratch.
    """

    steps: int
    decodings: int
    width: int
    packed: int
    scratch_bytes: int


def lanes_plan(call: Call, levels: int, max_sums: int, lanes: int) -> Plan | None:
    """mltq_conv_2d_s8.c with two 16-bit or four 8-bit lanes a word; None where the band is too
    large and the reference kernel runs.
    """
    geometry = call.geometry
    if _is_pointwise(geometry):
        call = _regroup(call, lanes)
    stride_h, stride = geometry.stride
    left, columns = call.reach(1)
    width = call.input_size[1]
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    if stride == 1:
        pitch, lead = width + max(left, columns - left - width), left
    else:
        pitch, lead = _phases(geometry, 1) * -(-columns // stride), 0
    row_words = pitch * geometry.input_channels
    if row_words * span + lead > _MAX_BAND_WORDS:
        return None
    steps = -(-call.output_size[0] // lanes)
    rows, all_rows = span, (steps - 1) * stride_h + span
    decodings = steps
    if (
        levels * geometry.row_size <= 2 * MAX_LANE_ENTRIES
        and (all_rows * row_words + lead) * _WORD <= _WHOLE_BAND_BYTES
    ):
        rows, decodings = all_rows, 1
    sums = max_sums * call.output_size[1] * lanes // 2
    return Plan(
        steps=steps,
        decodings=decodings,
        width=call.output_size[1],
        packed=min(all_rows, steps * span) * width * geometry.input_channels,
        scratch_bytes=_WORD * (rows * row_words + lead + sums) + _INDEX * geometry.row_size,
    )


def helium_plan(call: Call, max_sums: int) -> Plan | None:
    """mltq_conv_2d_s8_helium.c; None where a row is too large and the reference kernel runs."""
    geometry = call.geometry
    if _is_pointwise(geometry):
        rows = -(-call.positions // _HELIUM_LANES)
        call = Call(geometry, (rows, _HELIUM_LANES), (rows, _HELIUM_LANES))
    stride_h, stride = geometry.stride
    left, columns = call.reach(1)
    width, height = call.input_size[1], call.output_size[0]
    pitch = width + max(left, columns - left - width) if stride == 1 else -(-columns // stride)
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0]
    phases = _phases(geometry, 0) * _phases(geometry, 1)

    def step(rows: int) -> tuple[int, int, int]:
        phase_bytes = (rows + span // stride_h) * pitch
        band = phase_bytes * phases * geometry.input_channels + pitch + _HELIUM_LANES
        vectors = -(-((rows - 1) * pitch + call.output_size[1]) // _HELIUM_LANES)
        sums = max_sums * vectors * _HELIUM_LANES * _INDEX
        return band, vectors, band + sums + _INDEX * geometry.row_size

    if step(1)[0] >= 1 << 16:
        return None
    rows = 1
    while rows < height and step(rows + 1)[2] <= _HELIUM_STEP_BYTES:
        rows += 1
    steps = -(-height // rows)
    rows = -(-height // steps)
    _, vectors, scratch = step(rows)
    steps = -(-height // rows)
    packed = steps * ((rows - 1) * stride_h + span + 1) * width * geometry.input_channels
    return Plan(steps, steps, vectors, packed * phases // (stride * stride_h), scratch)


def depthwise_plan(call: Call) -> Plan:
    """mltq_depthwise_conv_2d_s8.c."""
    geometry = call.geometry
    stride = geometry.stride[0]
    _, pitch = call.reach(1)
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    height = call.output_size[0]
    rows = 1
    while rows < height and pitch * (rows * stride + span) <= _DEPTHWISE_STEP_BYTES:
        rows += 1
    steps = -(-height // rows)
    rows = -(-height // steps)
    input_rows = (rows - 1) * stride + span
    return Plan(
        steps=-(-height // rows),
        decodings=-(-height // rows),
        width=call.output_size[1],
        packed=steps * input_rows * call.input_size[1] * geometry.input_channels,
        scratch_bytes=geometry.row_size * _DEPTHWISE_TAP_BYTES
        + 2 * MAX_LANE_ENTRIES * _INDEX
        + input_rows * pitch,
    )


@dataclasses.dataclass(frozen=True)
class BitPlan:
    """Work of the bitwise kernel.

    Attributes:
      streams: Words for 32 entries of a level of the input: 1 where no entry is zero.
      tiles: Groups of windows that the planes are read for.
      windows: Windows of all levels.
      gathered: Words of pixels that are gathered into them.
      appended: Times that those of a pixel are appended to a window.
      cut: Inputs that are cut into levels, once for each.
      scratch_bytes: Scratch.
    """

    streams: int
    tiles: int
    windows: int
    gathered: int
    appended: int
    cut: int
    scratch_bytes: int


def bit_plan(call: Call, signs_only: bool) -> BitPlan | None:
    """mltq_bit_planes_s8.c; None where the input is too large and the reference kernel runs.

    Args:
      call: Layer and sizes.
      signs_only: Whether all planes are stored as sign bits.
    """
    geometry = call.geometry
    pixels = geometry.filter_size[0] * geometry.filter_size[1]
    can_pad = geometry.padding == Padding.SAME and pixels > 1
    streams = 1 if signs_only and call.binary_activations and not can_pad else 2
    channel_words = -(-geometry.input_channels // _WORD_BITS)
    row_words = -(-geometry.row_size // _WORD_BITS)
    # A fully connected layer is a convolution of images with one pixel.
    is_dense = geometry.kind == Kind.FULLY_CONNECTED
    (rows, width), (height, columns) = ((1, 1), (1, 1)) if is_dense else (
        call.input_size, call.output_size
    )  # fmt: skip
    images = call.positions if is_dense else 1
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    tile = min(_BIT_TILE, columns)
    band_words = min(span, rows) * width * channel_words * call.activation_levels * streams
    if row_words > _MAX_BIT_ROW_WORDS or band_words > _MAX_BIT_BAND_WORDS:
        return None
    window_words = tile * row_words * call.activation_levels * streams
    appended = call.positions * pixels * call.activation_levels * streams
    return BitPlan(
        streams=streams,
        tiles=images * height * -(-columns // tile),
        windows=call.positions * call.activation_levels,
        gathered=appended * channel_words,
        appended=appended,
        cut=images * rows * width * geometry.input_channels * call.activation_levels,
        scratch_bytes=_WORD * (band_words + window_words) + _INDEX * row_words,
    )


def _is_pointwise(geometry: Geometry) -> bool:
    return geometry.row_size == geometry.input_channels and geometry.stride == (1, 1)


def _phases(geometry: Geometry, axis: int) -> int:
    stride, size = geometry.stride[axis], geometry.filter_size[axis]
    return size if geometry.dilation[axis] == 1 and size < stride else stride


def _regroup(call: Call, lanes: int) -> Call:
    widest = _WHOLE_BAND_BYTES // _WORD // call.geometry.input_channels
    widest = max(4, min(_MAX_POINTWISE_WIDTH, widest))
    words = -(-call.positions // lanes)
    steps = -(-words // widest)
    width = -(-words // steps)
    width += width % 4 == 3
    size = -(-call.positions // width), width
    return dataclasses.replace(call, input_size=size, output_size=size)
