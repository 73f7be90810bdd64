"""Gap codes. The C twin is tflite_ops/core/mltq_gap_codes.h."""

from __future__ import annotations

import functools

import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.encodings.machine_words import (
    MACHINE_WORD_BITS,
    count_bits,
    entry_counts,
    padded,
    round_up,
)
from tfmot_mltq.packing.format import MACHINE_WORD_BYTES

DESCRIPTION = """\
**Gap codes**, for sparse planes:

1. for every row, the number of its positive and of its negative entries. Counts of 8 or 16 bits
   follow each other; of 4 bits, the positive one is the low half of a byte. Then zeros up to a
   multiple of 4 bytes;
2. machine words (32 bits) of k codes each, where k is the encoding: 2, 3, 4, 5, 6, 7, 8, 10, 12, 16
   or 32. Code j is bits floor(32 j / k) up to floor(32 (j + 1) / k): all bits of a machine word are
   used, and the widths w of its codes differ by at most one bit.

The codes of all rows follow each other without a gap, row by row: the positive entries of a row
from its first to its last, then its negative ones, each list counted from the start of the row. A
code v > 0 passes v - 1 entries and then gives one; 0 passes 2^w - 1 entries and gives none. The
counts end a list, so that zeros after its last entry are not coded.

Why: keeping positive and negative entries apart takes no sign bit and no branch per entry in the
kernels. A machine word is one load, and the position of each code in it is a constant of the
unrolled decoder. And widths that fill it, such as 5.33 bits, come closer to the entropy than whole
ones.
"""

CODES_PER_MACHINE_WORD = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32)
# Of these, the loops over the codes of a machine word are unrolled in C.
_UNROLLED = (4, 5, 6, 8)


class GapCodes(Encoding):
    """Gaps between entries, so many codes to a 32-bit machine word."""

    planes = Planes.CODED

    def __init__(self, codes_per_machine_word: int) -> None:
        self.code = codes_per_machine_word
        self.reads = ("codes",) if codes_per_machine_word in _UNROLLED else ("other_codes",)

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        table = _count_table(entry_counts(plane), count_bits(plane))
        return padded(table) + _pack(_codes(_gaps(plane), self.code), self.code)

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        stream = offset + round_up(rows * count_bits // 4)
        if stream > len(data):
            raise ValueError("Planes are truncated.")
        counts = _read_count_table(data, offset, rows, count_bits)
        entries = int(counts.sum())
        machine_words = np.frombuffer(
            data, "<u4", (len(data) - stream) // MACHINE_WORD_BYTES, stream
        )
        starts = code_starts(self.code)
        # An entry takes one code at least, and escapes are at most size + 1 codes for each list.
        machine_words = machine_words[
            : (entries + counts.size * (size + 1)) // self.code + 1
        ].astype(np.int64)
        escapes = (1 << np.diff(starts)) - 1
        codes = (machine_words[:, None] >> starts[:-1]) & escapes
        where = np.flatnonzero(codes.reshape(-1))[:entries]
        if where.size < entries:
            raise ValueError("Planes are truncated.")
        passed = np.concatenate([[0], np.cumsum(np.where(codes != 0, codes, escapes))[where]])
        lists = np.repeat(np.arange(counts.size), counts)
        before = np.concatenate([[0], np.cumsum(counts)])[:-1]
        position = passed[1:] - 1 - passed[before[lists]]
        if entries and position.max() >= size:
            raise ValueError("An entry lies outside its row.")
        plane = np.zeros((rows, size), np.int8)
        plane[lists // 2, position] = 1 - 2 * (lists % 2)
        if np.count_nonzero(plane) != entries:
            raise ValueError("An entry is positive and negative.")
        used = int(where[-1]) + 1 if entries else 0
        return plane, stream + MACHINE_WORD_BYTES * -(-used // self.code)

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        return self._size(plane, self.code_count(plane))

    def least_size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        return self._size(plane, _least_code_count(_gap_histogram(plane), self.code))

    def _size(self, plane: np.ndarray, codes: int) -> int:
        table = plane.shape[0] * count_bits(plane) // 4
        return round_up(table) + MACHINE_WORD_BYTES * -(-codes // self.code)

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        return {self.reads[0]: self.code_count(plane)}

    def code_count(self, plane: np.ndarray) -> int:
        """Codes, escapes among them, that a plane takes."""
        if len(set(_escapes(self.code))) == 1:
            return _least_code_count(_gap_histogram(plane), self.code)
        return _code_count(_gaps(plane), self.code)


ENCODINGS = tuple(map(GapCodes, CODES_PER_MACHINE_WORD))


def code_starts(codes_per_machine_word: int) -> np.ndarray:
    """First bit of every code of a machine word, then 32: floor(32 j / codes_per_machine_word)."""
    return MACHINE_WORD_BITS * np.arange(codes_per_machine_word + 1) // codes_per_machine_word


def _count_table(counts: np.ndarray, bits: int) -> bytes:
    if bits == 4:
        return (counts[:, 0] | counts[:, 1] << 4).astype(np.uint8).tobytes()
    return counts.astype(f"<u{bits // 8}").tobytes()


def _read_count_table(data: bytes, offset: int, rows: int, bits: int) -> np.ndarray:
    if bits == 4:
        table = np.frombuffer(data, np.uint8, rows, offset).astype(np.int64)
        return np.stack([table & 0xF, table >> 4], axis=1).reshape(-1)
    return np.frombuffer(data, f"<u{bits // 8}", 2 * rows, offset).astype(np.int64)


def _gaps(plane: np.ndarray) -> np.ndarray:
    """Zeros before every entry, in the order of the format: the positive entries of a row, then
    its negative ones, each counted from the start of the row or from the entry before.
    """
    return _gaps_of(np.asarray(plane, np.int8).tobytes(), plane.shape)


def _gap_histogram(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gaps that there are, in rising order, and how often each."""
    return _gap_histogram_of(np.asarray(plane, np.int8).tobytes(), plane.shape)


@functools.lru_cache(maxsize=2)
def _gap_histogram_of(values: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(_gaps_of(values, shape), return_counts=True)


# Both are asked for once for each number of codes per machine word; the values are int8.
@functools.lru_cache(maxsize=2)
def _gaps_of(values: bytes, shape: tuple[int, int]) -> np.ndarray:
    plane = np.frombuffer(values, np.int8).reshape(shape)
    signs = np.stack([plane > 0, plane < 0], axis=1)
    lists, position = np.nonzero(signs.reshape(-1, shape[1]))
    gaps = np.diff(position, prepend=-1) - 1
    first = np.diff(lists, prepend=-1) != 0
    gaps[first] = position[first]
    gaps.flags.writeable = False
    return gaps


def _escapes(codes_per_machine_word: int) -> list[int]:
    """Zeros that every code of a machine word passes when it gives no entry."""
    return ((1 << np.diff(code_starts(codes_per_machine_word))) - 1).tolist()


def _code_count(gaps: np.ndarray, codes_per_machine_word: int) -> int:
    """Codes that the gaps take. The codes of a machine word differ in width, so how many a gap
    takes depends on where in a machine word it starts; one that every code holds takes one.
    """
    escapes = _escapes(codes_per_machine_word)
    wide = np.flatnonzero(gaps >= min(escapes))
    total, done = 0, 0
    for index, gap in zip(wide.tolist(), gaps[wide].tolist(), strict=True):
        total += index - done
        slot = total % codes_per_machine_word
        total += 1
        while gap >= escapes[slot]:
            gap -= escapes[slot]
            slot = (slot + 1) % codes_per_machine_word
            total += 1
        done = index + 1
    return total + gaps.size - done


def _least_code_count(histogram: tuple[np.ndarray, np.ndarray], codes_per_machine_word: int) -> int:
    """No more codes than the gaps take: each as if it started where it takes fewest."""
    escapes = np.asarray(_escapes(codes_per_machine_word))
    values, counts = histogram
    whole, rest = np.divmod(values, escapes.sum())
    passed = [
        np.searchsorted(np.cumsum(np.roll(escapes, -start)), rest, side="right")
        for start in range(codes_per_machine_word)
    ]
    return int(counts @ (1 + whole * codes_per_machine_word + np.min(passed, axis=0)))


def _codes(gaps: np.ndarray, codes_per_machine_word: int) -> np.ndarray:
    escapes = _escapes(codes_per_machine_word)
    codes: list[int] = []
    for gap in gaps.tolist():
        while gap >= (escape := escapes[len(codes) % codes_per_machine_word]):
            codes.append(0)
            gap -= escape
        codes.append(gap + 1)
    return np.array(codes, np.uint64)


def _pack(codes: np.ndarray, codes_per_machine_word: int) -> bytes:
    machine_words = np.zeros(
        (-(-codes.size // codes_per_machine_word), codes_per_machine_word), np.uint64
    )
    machine_words.reshape(-1)[: codes.size] = codes
    starts = code_starts(codes_per_machine_word)[:-1].astype(np.uint64)
    return np.bitwise_or.reduce(machine_words << starts, axis=1).astype("<u4").tobytes()
