"""What the planes of a layer hold, as far as the work of the kernels depends on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfmot_mltq.packing.encodings import ENCODINGS, Planes, reads_of

MAX_LANE_ENTRIES = 128
# So many levels of one sum each have a loop of their own that stores them.
_SPECIALISED_LEVELS = 3
# Output channels of a vector of Helium's depthwise convolution.
_VECTOR_ROWS = 4


@dataclasses.dataclass(frozen=True)
class PlaneCounts:
    """What a layer's planes hold.

    Attributes:
      levels: Planes M.
      planes: How they are stored.
      bits: Non-zero entries of all planes.
      words: Weights with at least one of them.
      word_vectors: The same, where four rows that follow each other count once.
      rows: Rows with at least one entry, of all planes.
      sums: 16-bit sums that these rows are cut into.
      max_sums: The most of one output channel, at least 1.
      general_channels: Output channels with a row that is cut, or with four such rows.
      general_sums: Sums of these channels.
      read: What is read of all planes, by the names in ``Encoding.reads``.
    """

    levels: int
    planes: Planes
    bits: int
    words: int
    word_vectors: int
    rows: int
    sums: int
    max_sums: int
    general_channels: int
    general_sums: int
    read: Mapping[str, int]

    def decoding(self, times: int) -> dict[str, float]:
        """Work of decoding the planes entry after entry."""
        return {
            **{name: self.read[name] * times for name in reads_of(Planes.CODED)},
            "entries": self.bits * times,
        }


def count_planes(planes: np.ndarray, encodings: Sequence[int]) -> PlaneCounts:
    """Counts planes of shape (levels, output_channels, row_size), each in its encoding."""
    positive, negative = (planes > 0).sum(2), (planes < 0).sum(2)
    sums = sum(np.maximum(count - 1, 0) // MAX_LANE_ENTRIES for count in (positive, negative)) + 1
    sums = np.where(positive + negative > 0, sums, 0)
    general = (sums > 1).any(0) | (np.count_nonzero(sums, axis=0) > _SPECIALISED_LEVELS)
    way = ENCODINGS[encodings[0]].planes
    read = dict.fromkeys(reads_of(way), 0)
    words = np.asarray(planes.any(axis=0))
    for plane, encoding in zip(planes, encodings, strict=True):
        for name, count in ENCODINGS[encoding].counts(plane).items():
            read[name] += count
    return PlaneCounts(
        levels=len(planes),
        planes=way,
        bits=int(np.count_nonzero(planes)),
        words=int(np.count_nonzero(words)),
        word_vectors=sum(
            int(np.count_nonzero(words[row : row + _VECTOR_ROWS].any(axis=0)))
            for row in range(0, len(words), _VECTOR_ROWS)
        ),
        rows=int(np.count_nonzero(sums)),
        sums=int(sums.sum()),
        max_sums=max(1, int(sums.sum(0).max())),
        general_channels=int(np.count_nonzero(general)),
        general_sums=int(sums[:, general].sum()),
        read=read,
    )
