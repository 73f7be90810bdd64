"""What the planes of a layer hold, as far as the work of the kernels depends on it."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmot_mltq.packing.encodings import ENCODINGS, Planes

MAX_LANE_ENTRIES = 128
# So many levels of one sum each have a loop of their own that stores them.
_SPECIALISED_LEVELS = 3


@dataclasses.dataclass(frozen=True)
class PlaneCounts:
    """What a layer's planes hold.

    Attributes:
      levels: Planes M.
      planes: How they are stored.
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
      sign_machine_words: Machine words of planes stored as sign bits.
      plane_machine_words: Pairs of machine words of planes stored as bit planes.
      listed_machine_words: Those that there would be if the ones without entries were stored too.
      rest_rows: Rows of both whose number of machine words is not a multiple of three.
    """

    levels: int
    planes: Planes
    bits: int
    words: int
    rows: int
    sums: int
    max_sums: int
    general_channels: int
    general_sums: int
    codes: int = 0
    other_codes: int = 0
    trits: int = 0
    sign_machine_words: int = 0
    plane_machine_words: int = 0
    listed_machine_words: int = 0
    rest_rows: int = 0

    def decoding(self, times: int) -> dict[str, float]:
        """Work of decoding the planes entry after entry."""
        return {
            "codes": self.codes * times,
            "other_codes": self.other_codes * times,
            "trits": self.trits * times,
            "entries": self.bits * times,
        }


def count_planes(planes: np.ndarray, encodings: Sequence[int]) -> PlaneCounts:
    """Counts planes of shape (levels, output_channels, row_size), each in its encoding."""
    positive, negative = (planes > 0).sum(2), (planes < 0).sum(2)
    sums = sum(np.maximum(count - 1, 0) // MAX_LANE_ENTRIES for count in (positive, negative)) + 1
    sums = np.where(positive + negative > 0, sums, 0)
    general = (sums > 1).any(0) | (np.count_nonzero(sums, axis=0) > _SPECIALISED_LEVELS)
    stored: collections.Counter[str] = collections.Counter()
    for plane, encoding in zip(planes, encodings, strict=True):
        stored.update(ENCODINGS[encoding].counts(plane))
    return PlaneCounts(
        levels=len(planes),
        planes=ENCODINGS[encodings[0]].planes,
        bits=int(np.count_nonzero(planes)),
        words=int(np.count_nonzero(planes.any(axis=0))),
        rows=int(np.count_nonzero(sums)),
        sums=int(sums.sum()),
        max_sums=max(1, int(sums.sum(0).max())),
        general_channels=int(np.count_nonzero(general)),
        general_sums=int(sums[:, general].sum()),
        **stored,
    )
