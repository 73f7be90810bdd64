"""Machine words of the packed format: 32 bits, little-endian."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.format import COUNT_BITS, MACHINE_WORD_BYTES

MACHINE_WORD_BITS = 8 * MACHINE_WORD_BYTES


def round_up(size: int) -> int:
    """Bytes of the machine words that so many bytes take."""
    return -(-size // MACHINE_WORD_BYTES) * MACHINE_WORD_BYTES


def padded(data: bytes) -> bytes:
    """The bytes, and zeros up to a whole machine word."""
    return data + bytes(round_up(len(data)) - len(data))


def machine_words_at(data: bytes, offset: int, count: int) -> np.ndarray:
    """So many machine words.

    Raises:
      ValueError: There are fewer.
    """
    if offset + MACHINE_WORD_BYTES * count > len(data):
        raise ValueError("Planes are truncated.")
    return np.frombuffer(data, "<u4", count, offset)


def entry_counts(plane: np.ndarray) -> np.ndarray:
    """Positive and negative entries of every row of a plane, shape (rows, 2)."""
    return np.stack([np.sum(plane > 0, axis=1), np.sum(plane < 0, axis=1)], axis=1)


def count_bits(plane: np.ndarray) -> int:
    """Bits that hold the number of entries of one sign in any row of a plane of shape (rows, n).

    Raises:
      ValueError: A row has more entries than the format holds.
    """
    largest = int(entry_counts(plane).max(initial=0))
    for bits in COUNT_BITS:
        if largest < 1 << bits:
            return bits
    raise ValueError(f"A row has {largest} entries of one sign; the format holds 65535.")
