"""The bitwise kernel: logic and population counts on planes of both sides."""

from __future__ import annotations

import dataclasses

from tfmot_mltq.kernels.call import Call
from tfmot_mltq.kernels.kernel import INDEX_BYTES, Kernel
from tfmot_mltq.kernels.plane_counts import PlaneCounts
from tfmot_mltq.packing.encodings import Planes
from tfmot_mltq.packing.encodings.machine_words import MACHINE_WORD_BITS
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES, OperatorKind, Padding

_TILE = 8
_MAX_ROW_MACHINE_WORDS = 65536
_MAX_BAND_MACHINE_WORDS = 1 << 24


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Work that does not depend on which bits are set.

    Attributes:
      streams: Machine words for 32 entries of a level of the input: 1 where no entry is zero.
      tiles: Groups of windows that the planes are read for.
      windows: Windows of all levels.
      gathered: Machine words of pixels that are gathered into them.
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


class BitPlanes(Kernel):
    """Products of 32 entries at once. ``Encoding.fits`` says which layers may have bits."""

    name = "mltq_bit_planes_s8"
    files = ("mltq_bit_planes_s8.c",)
    kinds = frozenset(OperatorKind)
    planes = Planes.BITS
    title = "bitwise"
    costs = "BITWISE"

    def scratch_bytes(self, call: Call, counts: PlaneCounts, variant: str) -> int | None:
        """See ``Kernel``."""
        plan = _plan(call, counts)
        return None if plan is None else plan.scratch_bytes

    def work(self, call: Call, counts: PlaneCounts, variant: str) -> dict[str, float] | None:
        """See ``Kernel``."""
        plan = _plan(call, counts)
        if plan is None:
            return None
        channels = call.geometry.output_channels
        rows = counts.levels * channels
        signs = counts.read["sign_machine_words"] * plan.windows
        return {
            "sign_machine_words": signs * (plan.streams == 1),
            "sign_and_plane_machine_words": signs * (plan.streams == 2),
            "plane_machine_words": counts.read["plane_machine_words"] * plan.windows,
            "dots": rows * plan.windows,
            "rests": counts.read["rest_rows"] * plan.windows,
            "listed_machine_words": counts.read["listed_machine_words"] * plan.tiles,
            "rows": rows * plan.tiles,
            "channels": channels * plan.tiles,
            "outputs": channels * call.positions,
            "cut": plan.cut,
            "gathered": plan.gathered,
            "appended": plan.appended,
            "layers": 1,
        }


BIT_PLANES = BitPlanes()


def _plan(call: Call, counts: PlaneCounts) -> _Plan | None:
    """None where the layer is too large."""
    geometry = call.geometry
    pixels = geometry.filter_size[0] * geometry.filter_size[1]
    can_pad = geometry.padding == Padding.SAME and pixels > 1
    signs_only = counts.read["listed_machine_words"] == 0
    streams = 1 if signs_only and call.binary_activations and not can_pad else 2
    channel_machine_words = -(-geometry.input_channels // MACHINE_WORD_BITS)
    row_machine_words = -(-geometry.row_size // MACHINE_WORD_BITS)
    # A fully connected layer is a convolution of images with one pixel.
    is_dense = geometry.kind == OperatorKind.FULLY_CONNECTED
    (rows, width), (height, columns) = ((1, 1), (1, 1)) if is_dense else (
        call.input_size, call.output_size
    )  # fmt: skip
    images = call.positions if is_dense else 1
    span = (geometry.filter_size[0] - 1) * geometry.dilation[0] + 1
    tile = min(_TILE, columns)
    planes = call.activation_levels * streams
    band_machine_words = min(span, rows) * width * channel_machine_words * planes
    if row_machine_words > _MAX_ROW_MACHINE_WORDS or band_machine_words > _MAX_BAND_MACHINE_WORDS:
        return None
    window_machine_words = tile * row_machine_words * planes
    appended = call.positions * pixels * planes
    return _Plan(
        streams=streams,
        tiles=images * height * -(-columns // tile),
        windows=call.positions * call.activation_levels,
        gathered=appended * channel_machine_words,
        appended=appended,
        cut=images * rows * width * geometry.input_channels * call.activation_levels,
        scratch_bytes=MACHINE_WORD_BYTES * (band_machine_words + window_machine_words)
        + INDEX_BYTES * row_machine_words,
    )
