"""Sign bits and bit planes. The C twin is tflite_ops/core/mltq_bits.h."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.encodings.words import WORD_BITS, words_at
from tfmot_mltq.packing.format import WORD_BYTES, Kind

DESCRIPTION = """\
**Sign bits** (62) and **bit planes** (63), for the bitwise kernel of layers with activation levels:
all levels of a layer have such encodings, or none has. Bit i of word j of a row stands for entry 32
j + i; bits behind the last entry are 0.

- Sign bits, for a plane without zeros: a word for every 32 entries, in which a 1 is -1.
- Bit planes: for every 32 words of a row, a word that says which of them are not all zero; then a
  pair of words for each of those: which entries are not zero, and which are negative.
"""

# Words whose ones are counted together in mltq_bit_count.h.
_WORDS_AT_ONCE = 3


class _Bits(Encoding):
    planes = Planes.BITS

    def fits(self, kind: Kind, activation_levels: int) -> bool:
        """Logic on words needs levels on both sides, and inputs that several entries share."""
        return activation_levels > 0 and kind != Kind.DEPTHWISE_CONV_2D


class SignBits(_Bits):
    """The signs of a plane without zeros."""

    code = 62

    def holds(self, plane: np.ndarray) -> bool:
        """See ``Encoding``."""
        return bool(plane.all())

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        if not self.holds(plane):
            raise ValueError("Sign bits cannot store the zeros of a plane.")
        return _bit_words(plane < 0).tobytes()

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        words = _words_of(size)
        bits = _word_bits(words_at(data, offset, rows * words).reshape(rows, words))
        if bits[:, size:].any():
            raise ValueError("An entry lies outside its row.")
        plane = np.where(bits[:, :size], -1, 1).astype(np.int8)
        return plane, offset + WORD_BYTES * rows * words

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        return WORD_BYTES * plane.shape[0] * _words_of(plane.shape[1])

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        rows, words = plane.shape[0], _words_of(plane.shape[1])
        return {"sign_words": rows * words, "rest_rows": rows * (words % _WORDS_AT_ONCE > 0)}


class BitPlanes(_Bits):
    """Planes of what is not zero and of what is negative."""

    code = 63

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        return b"".join(map(_encode_row, _bit_pairs(plane)))

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        words = _words_of(size)
        pairs = np.zeros((rows, 2, words), np.uint32)
        for row in range(rows):
            present = words_at(data, offset, _words_of(words))
            offset += WORD_BYTES * present.size
            places = np.flatnonzero(_word_bits(present))
            if places.size and places[-1] >= words:
                raise ValueError("An entry lies outside its row.")
            stored = words_at(data, offset, 2 * places.size)
            offset += WORD_BYTES * stored.size
            pairs[row][:, places] = stored.reshape(-1, 2).T
            if not stored[::2].all():
                raise ValueError("A word without entries is not left out.")
        nonzero, negative = _word_bits(pairs[:, 0]), _word_bits(pairs[:, 1])
        if nonzero[:, size:].any() or (negative & ~nonzero).any():
            raise ValueError("An entry lies outside its row, or is negative and zero.")
        return (nonzero.astype(np.int8) - 2 * negative)[:, :size].astype(np.int8), offset

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        present = plane.shape[0] * _words_of(_words_of(plane.shape[1]))
        return WORD_BYTES * (present + 2 * int(_filled_words(plane).sum()))

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        filled = _filled_words(plane)
        return {
            "plane_words": int(filled.sum()),
            "listed_words": plane.shape[0] * _words_of(plane.shape[1]),
            "rest_rows": int(np.count_nonzero(filled % _WORDS_AT_ONCE)),
        }


SIGN_BITS = SignBits()
BIT_PLANES = BitPlanes()


def _words_of(bits: int) -> int:
    return -(-bits // WORD_BITS)


def _filled_words(plane: np.ndarray) -> np.ndarray:
    """Groups of 32 entries that are not all zero, of every row."""
    return np.count_nonzero(_bit_words(plane != 0), axis=1)


def _bit_words(bits: np.ndarray) -> np.ndarray:
    """Rows of booleans, (..., n), as little-endian words of 32, (..., ceil(n / 32))."""
    padding = -bits.shape[-1] % WORD_BITS
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, padding)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<u4")


def _word_bits(words: np.ndarray) -> np.ndarray:
    """The bits of words, (..., n), as (..., 32 n) booleans."""
    data = np.ascontiguousarray(words, "<u4").view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little").astype(bool)


def _bit_pairs(plane: np.ndarray) -> np.ndarray:
    """For every row and 32 entries, a word of what is not zero, and one of what is negative."""
    return np.stack([_bit_words(plane != 0), _bit_words(plane < 0)], axis=-1)


def _encode_row(pairs: np.ndarray) -> bytes:
    present = pairs[:, 0] != 0
    return _bit_words(present).tobytes() + pairs[present].tobytes()
