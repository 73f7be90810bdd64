"""Sign bits and bit planes. The C twin is tflite_ops/core/mltq_bits.h."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.encodings.machine_words import MACHINE_WORD_BITS, machine_words_at
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES, OperatorKind

DESCRIPTION = """\
**Sign bits** (62) and **bit planes** (63), for the bitwise kernel of layers with activation levels:
either all levels of a layer use them or none does. Bit i of machine word j of a row stands for
entry 32 j + i; bits past the last entry are 0.

- Sign bits, for a plane without zeros: one machine word for every 32 entries, in which a 1 is -1.
- Bit planes: for every 32 machine words of a row, one machine word that marks those that are not
  all zero; then two machine words for each of these: which entries are not zero, and which are
  negative.
"""

# Machine words whose ones are counted together in mltq_bit_count.h.
_MACHINE_WORDS_AT_ONCE = 3


class _Bits(Encoding):
    planes = Planes.BITS

    def fits(self, kind: OperatorKind, activation_levels: int) -> bool:
        """Bitwise logic needs levels on both sides, and inputs that several entries share."""
        return activation_levels > 0 and kind != OperatorKind.DEPTHWISE_CONV_2D


class SignBits(_Bits):
    """The signs of a plane without zeros."""

    code = 62
    # Machine words, and rows whose machine words are not all counted three by three.
    reads = ("sign_machine_words", "rest_rows")

    def holds(self, plane: np.ndarray) -> bool:
        """See ``Encoding``."""
        return bool(plane.all())

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        if not self.holds(plane):
            raise ValueError("Sign bits cannot store the zeros of a plane.")
        return _bit_machine_words(plane < 0).tobytes()

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        machine_words = _machine_words_of(size)
        bits = _machine_word_bits(
            machine_words_at(data, offset, rows * machine_words).reshape(rows, machine_words)
        )
        if bits[:, size:].any():
            raise ValueError("An entry lies outside its row.")
        plane = np.where(bits[:, :size], -1, 1).astype(np.int8)
        return plane, offset + MACHINE_WORD_BYTES * rows * machine_words

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        return MACHINE_WORD_BYTES * plane.shape[0] * _machine_words_of(plane.shape[1])

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        rows, machine_words = plane.shape[0], _machine_words_of(plane.shape[1])
        return {
            "sign_machine_words": rows * machine_words,
            "rest_rows": rows * (machine_words % _MACHINE_WORDS_AT_ONCE > 0),
        }


class BitPlanes(_Bits):
    """Planes of what is not zero and of what is negative."""

    code = 63
    # Pairs of machine words, those that there would be if none were left out, and rows as of
    # sign bits.
    reads = ("plane_machine_words", "listed_machine_words", "rest_rows")

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        return b"".join(map(_encode_row, _bit_pairs(plane)))

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        machine_words = _machine_words_of(size)
        pairs = np.zeros((rows, 2, machine_words), np.uint32)
        for row in range(rows):
            present = machine_words_at(data, offset, _machine_words_of(machine_words))
            offset += MACHINE_WORD_BYTES * present.size
            places = np.flatnonzero(_machine_word_bits(present))
            if places.size and places[-1] >= machine_words:
                raise ValueError("An entry lies outside its row.")
            stored = machine_words_at(data, offset, 2 * places.size)
            offset += MACHINE_WORD_BYTES * stored.size
            pairs[row][:, places] = stored.reshape(-1, 2).T
            if not stored[::2].all():
                raise ValueError("A machine word without entries is stored.")
        nonzero, negative = _machine_word_bits(pairs[:, 0]), _machine_word_bits(pairs[:, 1])
        if nonzero[:, size:].any() or (negative & ~nonzero).any():
            raise ValueError("An entry lies outside its row, or is negative and zero.")
        return (nonzero.astype(np.int8) - 2 * negative)[:, :size].astype(np.int8), offset

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        present = plane.shape[0] * _machine_words_of(_machine_words_of(plane.shape[1]))
        return MACHINE_WORD_BYTES * (present + 2 * int(_filled_machine_words(plane).sum()))

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        filled = _filled_machine_words(plane)
        return {
            "plane_machine_words": int(filled.sum()),
            "listed_machine_words": plane.shape[0] * _machine_words_of(plane.shape[1]),
            "rest_rows": int(np.count_nonzero(filled % _MACHINE_WORDS_AT_ONCE)),
        }


SIGN_BITS = SignBits()
BIT_PLANES = BitPlanes()
ENCODINGS = (SIGN_BITS, BIT_PLANES)


def _machine_words_of(bits: int) -> int:
    return -(-bits // MACHINE_WORD_BITS)


def _filled_machine_words(plane: np.ndarray) -> np.ndarray:
    """Groups of 32 entries that are not all zero, of every row."""
    return np.count_nonzero(_bit_machine_words(plane != 0), axis=1)


def _bit_machine_words(bits: np.ndarray) -> np.ndarray:
    """Rows of booleans, (..., n), as little-endian machine words of 32, (..., ceil(n / 32))."""
    padding = -bits.shape[-1] % MACHINE_WORD_BITS
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, padding)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<u4")


def _machine_word_bits(machine_words: np.ndarray) -> np.ndarray:
    """The bits of machine words, (..., n), as (..., 32 n) booleans."""
    data = np.ascontiguousarray(machine_words, "<u4").view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little").astype(bool)


def _bit_pairs(plane: np.ndarray) -> np.ndarray:
    """For every 32 entries of a row, two machine words: what is not zero, and what is negative."""
    return np.stack([_bit_machine_words(plane != 0), _bit_machine_words(plane < 0)], axis=-1)


def _encode_row(pairs: np.ndarray) -> bytes:
    present = pairs[:, 0] != 0
    return _bit_machine_words(present).tobytes() + pairs[present].tobytes()
