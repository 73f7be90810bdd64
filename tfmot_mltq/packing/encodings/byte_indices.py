"""Byte indices. The C twin is tflite_ops/core/mltq_byte_indices.h."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.encodings.machine_words import padded, round_up
from tfmot_mltq.packing.format import OperatorKind

DESCRIPTION = """\
**Byte indices** (61), for sparse planes of fully connected layers: all levels of a layer have this
encoding, or none has. A row is cut into blocks of 128 entries, of which the last may be shorter.
For every block of every row there is a byte with the number of its entries that are not zero; then
a byte for each of those: its place in the block, and 128 more if it is negative. The bytes of a
block rise.

Their bias is stored as it is where all sums are as small as they can be: less multiplier[c,m] *
((128 + z) * p + (127 - z) * n) for every level m, modulo 2^32, with p positive and n negative
entries in its row.

Why so: a table of 256 bytes has x + 128 for a positive entry and 127 - x for a negative one, so
that an entry is a load of its byte, a load from the table and an addition, of whichever sign; and
neither signs nor the zero point are left to account for behind a row. Helium gathers 16 entries at
once.
"""

BLOCK = 128


class ByteIndices(Encoding):
    """A byte for every entry, which says where it is and which sign it has."""

    code = 61
    planes = Planes.INDICES
    # Blocks, and vectors of the entries in them.
    reads = ("blocks", "gathers")

    def fits(self, kind: OperatorKind, activation_levels: int) -> bool:
        """Other layers have positions to share the decoding."""
        return kind == OperatorKind.FULLY_CONNECTED

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        return padded(b"".join(map(_encode_block, _blocks(plane).reshape(-1, BLOCK))))

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        blocks = -(-size // BLOCK)
        plane = np.zeros((rows * blocks, BLOCK), np.int8)
        end = offset
        for block in plane:
            count = data[end] if end < len(data) else 0
            stored = np.frombuffer(data[end + 1 : end + 1 + count], np.uint8)
            end += 1 + count
            if end > len(data):
                raise ValueError("Planes are truncated.")
            if (np.diff(stored.astype(int)) <= 0).any():
                raise ValueError("The indices of a block do not rise.")
            places = stored % BLOCK
            block[places] = np.where(stored < BLOCK, 1, -1)
            if np.count_nonzero(block) != stored.size:
                raise ValueError("An entry is positive and negative.")
        plane = plane.reshape(rows, -1)
        if plane[:, size:].any():
            raise ValueError("An entry lies outside its row.")
        end = offset + round_up(end - offset)
        if end > len(data):
            raise ValueError("Planes are truncated.")
        return plane[:, :size], end

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        rows, size = plane.shape
        return round_up(rows * -(-size // BLOCK) + int(np.count_nonzero(plane)))

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        entries = np.count_nonzero(_blocks(plane), axis=2)
        return {"blocks": entries.size, "gathers": int(np.sum(-(-entries // _GATHERED)))}


# Entries that Helium gathers at once.
_GATHERED = 16

BYTE_INDICES = ByteIndices()
ENCODINGS = (BYTE_INDICES,)


def least_sums(planes: np.ndarray, input_zero_point: int) -> np.ndarray:
    """The least sums S that planes of shape (levels, rows, n) can have, shape (rows, levels)."""
    positive, negative = (planes > 0).sum(2), (planes < 0).sum(2)
    return -((128 + input_zero_point) * positive + (127 - input_zero_point) * negative).T


def _blocks(plane: np.ndarray) -> np.ndarray:
    """The rows cut into blocks, shape (rows, blocks, 128), with zeros behind their ends."""
    rows, size = plane.shape
    return np.pad(plane, [(0, 0), (0, -size % BLOCK)]).reshape(rows, -1, BLOCK)


def _encode_block(block: np.ndarray) -> bytes:
    indices = np.concatenate([np.flatnonzero(block > 0), np.flatnonzero(block < 0) + BLOCK])
    return bytes([indices.size, *indices.tolist()])
