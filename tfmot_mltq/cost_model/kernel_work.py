"""What the kernels have to do for a layer, counted by kind of work.

The instructions of a layer are a sum of these counts, each times what one costs on a target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmot_mltq.cost_model.kernel_plan import (
    MAX_LANE_ENTRIES,
    BitPlan,
    Call,
    Plan,
    bit_plan,
    depthwise_plan,
    helium_plan,
    lanes_plan,
)
from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing import plane_codec

# Loops over so many codes a word are unrolled in mltq_code_stream.c.
_UNROLLED = (4, 5, 6, 8)
# Words whose ones are counted together in mltq_bit_count.h.
_WORDS_AT_ONCE = 3
# So many levels of one sum each have a loop of their own that stores them.
_SPECIALISED_LEVELS = 3


@dataclasses.dataclass(frozen=True)
class PlaneCounts:
    """What a layer's planes hold.

    Attributes:
      bits: Non-zero entries of all planes.
      words: Weights with at least one of them.
      rows: Rows with at least one entry, of all planes.
      sums: 16-bit sums that these rows are cut into.
      max_sums: The most of one output channel, at least 1.
      general_channels: Output channels with a row that is cut, or with four such rows.
      general_sums: Sums of these channels.
      codes: Gap codes, of the encodings whose loop is unrolled.
      other_codes: Those of the others.
      trits: Entries of planes stored as trits.
      sign_words: Words of planes stored as sign bits.
      plane_words: Pairs of words of planes stored as bit planes.
      listed_words: Words that these would be if none were left out.
      rest_rows: Rows of both whose words are not all counted three by three.
    """

    bits: int
    words: int
    rows: int
    sums: int
    max_sums: int
    general_channels: int
    general_sums: int
    codes: int
    other_codes: int
    trits: int
    sign_words: int
    plane_words: int
    listed_words: int
    rest_rows: int

    @property
    def bitwise(self) -> bool:
        """Whether the planes are stored as bits, for the bitwise kernel."""
        return self.sign_words + self.listed_words > 0


def count_planes(planes: np.ndarray, encodings: Sequence[int]) -> PlaneCounts:
    """Counts planes of shape (levels, output_channels, row_size), each in its encoding."""
    positive, negative = (planes > 0).sum(2), (planes < 0).sum(2)
    sums = sum(np.maximum(count - 1, 0) // MAX_LANE_ENTRIES for count in (positive, negative)) + 1
    sums = np.where(positive + negative > 0, sums, 0)
    general = (sums > 1).any(0) | (np.count_nonzero(sums, axis=0) > _SPECIALISED_LEVELS)
    codes, other_codes, trits = 0, 0, 0
    sign_words, plane_words, listed_words, rest_rows = 0, 0, 0, 0
    for plane, encoding in zip(planes, encodings, strict=True):
        rows, words = plane.shape[0], -(-plane.shape[1] // (8 * fmt.WORD_BYTES))
        if encoding == fmt.ENCODING_TRITS:
            trits += plane.size
        elif encoding == fmt.ENCODING_SIGN_BITS:
            sign_words += rows * words
            rest_rows += rows * (words % _WORDS_AT_ONCE > 0)
        elif encoding == fmt.ENCODING_BIT_PLANES:
            filled = plane_codec.filled_words(plane)
            plane_words += int(filled.sum())
            listed_words += rows * words
            rest_rows += int(np.count_nonzero(filled % _WORDS_AT_ONCE))
        elif encoding in _UNROLLED:
            codes += plane_codec.code_count(plane, encoding)
        else:
            other_codes += plane_codec.code_count(plane, encoding)
    return PlaneCounts(
        bits=int(np.count_nonzero(planes)),
        words=int(np.count_nonzero(planes.any(axis=0))),
        rows=int(np.count_nonzero(sums)),
        sums=int(sums.sum()),
        max_sums=max(1, int(sums.sum(0).max())),
        general_channels=int(np.count_nonzero(general)),
        general_sums=int(sums[:, general].sum()),
        codes=codes,
        other_codes=other_codes,
        trits=trits,
        sign_words=sign_words,
        plane_words=plane_words,
        listed_words=listed_words,
        rest_rows=rest_rows,
    )


def kernel_work(
    call: Call, levels: int, counts: PlaneCounts, kernel: str
) -> dict[str, float] | None:
    """Counts of work of a layer; None where it runs on the reference kernel.

    Args:
      call: Layer and sizes.
      levels: Planes M.
      counts: What its planes hold.
      kernel: "portable", "dsp" or "helium"; which C code the target has.
    """
    kind = call.geometry.kind
    if counts.bitwise:
        bits = bit_plan(call, counts.listed_words == 0)
        return None if bits is None else _bitwise(call, levels, counts, bits)
    if kind == fmt.Kind.FULLY_CONNECTED:
        work = _fully_connected(call, counts)
        inputs = call.geometry.input_channels * call.positions
    elif kind == fmt.Kind.DEPTHWISE_CONV_2D:
        work = _depthwise(call, levels, counts, kernel)
        inputs = work["inputs"]
    else:
        plan = conv_plan(call, levels, counts.max_sums, kernel)
        if plan is None:
            return None
        work = _conv(call, counts, plan)
        inputs = work["inputs"]
    # Activations that are looked up, and building their table.
    mapped = inputs if call.activation_levels else 0
    return work | {"mapped": mapped, "map_entries": 256 * call.activation_levels}


def conv_plan(call: Call, levels: int, max_sums: int, kernel: str) -> Plan | None:
    """Plan of a convolution; None where it runs on the reference kernel."""
    if kernel == "helium":
        return helium_plan(call, max_sums)
    return lanes_plan(call, levels, max_sums, lanes=4 if kernel == "dsp" else 2)


def scratch_bytes(call: Call, levels: int, counts: PlaneCounts, kernel: str) -> int | None:
    """Scratch of the optimised kernel; None where the reference kernel runs."""
    kind = call.geometry.kind
    if counts.bitwise:
        bits = bit_plan(call, counts.listed_words == 0)
        return None if bits is None else bits.scratch_bytes
    if kind == fmt.Kind.FULLY_CONNECTED:
        mapped = call.geometry.input_channels if call.activation_levels else 0
        return 4 * call.geometry.output_channels + mapped
    if kind == fmt.Kind.DEPTHWISE_CONV_2D:
        return depthwise_plan(call).scratch_bytes
    plan = conv_plan(call, levels, counts.max_sums, kernel)
    return None if plan is None else plan.scratch_bytes


def _bitwise(call: Call, levels: int, counts: PlaneCounts, plan: BitPlan) -> dict[str, float]:
    rows = levels * call.geometry.output_channels
    signs = counts.sign_words * plan.windows
    return {
        "sign_words": signs * (plan.streams == 1),
        "sign_and_plane_words": signs * (plan.streams == 2),
        "plane_words": counts.plane_words * plan.windows,
        "dots": rows * plan.windows,
        "rests": counts.rest_rows * plan.windows,
        "listed_words": counts.listed_words * plan.tiles,
        "rows": rows * plan.tiles,
        "channels": call.geometry.output_channels * plan.tiles,
        "outputs": call.geometry.output_channels * call.positions,
        "cut": plan.cut,
        "gathered": plan.gathered,
        "appended": plan.appended,
        "layers": 1,
    }


def _decoding(counts: PlaneCounts, times: int) -> dict[str, float]:
    return {
        "codes": counts.codes * times,
        "other_codes": counts.other_codes * times,
        "trits": counts.trits * times,
        "entries": counts.bits * times,
    }


def _fully_connected(call: Call, counts: PlaneCounts) -> dict[str, float]:
    """The planes are decoded for every position."""
    return _decoding(counts, call.positions) | {
        "rows": counts.rows * call.positions,
        "outputs": call.geometry.output_channels * call.positions,
    }


def _conv(call: Call, counts: PlaneCounts, plan: Plan) -> dict[str, float]:
    channels = call.geometry.output_channels
    outputs = call.positions * channels
    single = plan.width % 4
    return _decoding(counts, plan.decodings) | {
        "additions": counts.bits * plan.steps * (plan.width - single),
        "single_additions": counts.bits * plan.steps * single,
        "tiles": counts.sums * plan.steps * (plan.width // 4),
        "single_tiles": counts.sums * plan.steps * single,
        "runs": counts.sums * plan.steps,
        "channels": channels * plan.steps,
        "outputs": outputs,
        "products": counts.rows * call.positions,
        "general_outputs": counts.general_channels * call.positions,
        "general_products": counts.general_sums * call.positions,
        "inputs": plan.packed,
        "table": call.geometry.row_size * plan.steps,
        "layers": 1,
    }


def _depthwise(call: Call, levels: int, counts: PlaneCounts, kernel: str) -> dict[str, float]:
    plan = depthwise_plan(call)
    height, width = call.output_size
    channels = call.geometry.output_channels
    tiles, single = divmod(width, 4)
    if kernel == "helium":
        tiles, single = tiles + (single > 0), 0
    return _decoding(counts, plan.decodings) | {
        "taps": counts.words * height * tiles,
        "single_taps": counts.words * height * single,
        "tiles": channels * height * tiles,
        "singles": channels * height * single,
        "output_rows": channels * height,
        "channels": channels * plan.steps,
        "rows": channels * levels * plan.steps,
        "inputs": plan.packed,
        "input_rows": plan.packed // call.input_size[1],
        "table": call.geometry.row_size * channels * plan.steps,
    }
