"""Encodings of planes: dense trits, gap codes and bits.

A plane of one level has one row per output channel. docs/packed_format.md describes the bytes;
reader: tflite_ops/core/mltq_plane_reader.c.
"""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing import format as fmt

_WORD_BITS = 8 * fmt.WORD_BYTES
_POWERS = 3 ** np.arange(fmt.TRITS_PER_BYTE - 1, -1, -1)
_TRIT_BYTE_VALUES = 3**fmt.TRITS_PER_BYTE


def encode_plane(plane: np.ndarray, encoding: int) -> bytes:
    """Packs the rows of one level.

    Args:
      plane: Integers -1, 0, +1, shape (rows, n).
      encoding: One of ``ENCODINGS``: trits, or the number of gap codes in a word; or one of
        ``BITWISE_ENCODINGS``.

    Raises:
      ValueError: The plane holds another value, or one that the encoding cannot store, or the
        encoding is unknown.
    """
    plane = np.asarray(plane)
    if not np.isin(plane, (-1, 0, 1)).all():
        raise ValueError("A plane may only hold -1, 0 and +1.")
    _check_encoding(encoding)
    if encoding == fmt.ENCODING_TRITS:
        return _padded(b"".join(_encode_trits(row) for row in plane))
    if encoding == fmt.ENCODING_SIGN_BITS:
        if not plane.all():
            raise ValueError("Sign bits cannot store the zeros of a plane.")
        return _bit_words(plane < 0).tobytes()
    if encoding == fmt.ENCODING_BIT_PLANES:
        return b"".join(_encode_bit_row(row) for row in _bit_pairs(plane))
    table = _count_table(_counts(plane), count_bits(plane))
    return _padded(table) + _pack_codes(_codes(_gaps(plane), encoding), encoding)


def decode_plane(
    data: bytes, offset: int, rows: int, size: int, encoding: int, count_bits: int
) -> tuple[np.ndarray, int]:
    """Unpacks a plane of shape (rows, size) at ``offset``; returns it and the offset behind it.

    Raises:
      ValueError: The bytes are no such plane.
    """
    _check_encoding(encoding)
    if encoding == fmt.ENCODING_TRITS:
        return _decode_trits(data, offset, rows, size)
    if encoding == fmt.ENCODING_SIGN_BITS:
        return _decode_sign_bits(data, offset, rows, size)
    if encoding == fmt.ENCODING_BIT_PLANES:
        return _decode_bit_planes(data, offset, rows, size)
    return _decode_gaps(data, offset, rows, size, encoding, count_bits)


def count_bits(plane: np.ndarray) -> int:
    """Bits that hold the number of entries of one sign in any row of a plane of shape (rows, n).

    Raises:
      ValueError: A row has more entries than the format holds.
    """
    largest = int(_counts(plane).max(initial=0))
    for bits in fmt.COUNT_BITS:
        if largest < 1 << bits:
            return bits
    raise ValueError(f"A row has {largest} entries of one sign; the format holds 65535.")


def best_encoding(plane: np.ndarray) -> int:
    """The one of ``ENCODINGS`` with the fewest bytes for a plane of shape (rows, n); ties go to the
    first.
    """
    return min(fmt.ENCODINGS, key=lambda encoding: plane_bytes(plane, encoding))


def bitwise_encoding(plane: np.ndarray) -> int:
    """The one of ``BITWISE_ENCODINGS`` for a plane: the signs where it has no zeros."""
    return fmt.ENCODING_SIGN_BITS if plane.all() else fmt.ENCODING_BIT_PLANES


def smallest_encodings(planes: np.ndarray, can_be_bitwise: bool = False) -> list[int]:
    """The encodings with the fewest bytes for planes of shape (levels, rows, n).

    Args:
      planes: Values -1, 0, +1.
      can_be_bitwise: Whether the layer's operator may have bits: in all levels, or in none.
    """
    smallest = [best_encoding(plane) for plane in planes]
    if not can_be_bitwise:
        return smallest
    bits = [bitwise_encoding(plane) for plane in planes]
    return min((smallest, bits), key=lambda chosen: sum(map(plane_bytes, planes, chosen)))


def filled_words(plane: np.ndarray) -> np.ndarray:
    """Groups of 32 entries that are not all zero, of every row of a plane of shape (rows, n)."""
    return np.count_nonzero(_bit_words(plane != 0), axis=1)


def code_count(plane: np.ndarray, encoding: int) -> int:
    """Gap codes, escapes among them, that a plane of shape (rows, n) takes."""
    return _code_count(_gaps(plane), encoding)


def plane_bytes(plane: np.ndarray, encoding: int) -> int:
    """Bytes that a plane of shape (rows, n) takes, without packing it."""
    rows, size = plane.shape
    if encoding == fmt.ENCODING_TRITS:
        return _round_up(rows * (-(-size // fmt.TRITS_PER_BYTE)))
    words = -(-size // _WORD_BITS)
    if encoding == fmt.ENCODING_SIGN_BITS:
        return fmt.WORD_BYTES * rows * words
    if encoding == fmt.ENCODING_BIT_PLANES:
        present = rows * -(-words // _WORD_BITS)
        return fmt.WORD_BYTES * (present + 2 * int(filled_words(plane).sum()))
    table = rows * count_bits(plane) // 4
    words = -(-code_count(plane, encoding) // encoding)
    return _round_up(table) + fmt.WORD_BYTES * words


def entropy_bytes(planes: np.ndarray) -> float:
    """Entropy bound: (H(d) + d) / 8 bytes per entry of a plane with density d, over all planes.

    H is the binary entropy (where the entries are); d more bits say their signs.
    """
    total = 0.0
    for plane in planes:
        density = np.count_nonzero(plane) / plane.size
        bits = density
        if 0 < density < 1:
            bits -= density * np.log2(density) + (1 - density) * np.log2(1 - density)
        total += plane.size * bits / 8
    return total


def code_starts(codes_per_word: int) -> np.ndarray:
    """First bit of every code of a word, and 32 behind the last: floor(32 j / codes_per_word)."""
    return 8 * fmt.WORD_BYTES * np.arange(codes_per_word + 1) // codes_per_word


def _check_encoding(encoding: int) -> None:
    known = fmt.ENCODINGS + fmt.BITWISE_ENCODINGS
    if encoding not in known:
        raise ValueError(f"encoding must be one of {known}, got {encoding!r}.")


def _round_up(size: int) -> int:
    return -(-size // fmt.WORD_BYTES) * fmt.WORD_BYTES


def _padded(data: bytes) -> bytes:
    return data + bytes(_round_up(len(data)) - len(data))


def _encode_trits(row: np.ndarray) -> bytes:
    padded = np.zeros(-(-row.size // fmt.TRITS_PER_BYTE) * fmt.TRITS_PER_BYTE, np.int64)
    padded[: row.size] = row
    value = (padded.reshape(-1, fmt.TRITS_PER_BYTE) + 1) @ _POWERS
    # value / 243 as a fraction of 256, rounded up: multiplying by 3 then yields trit after trit.
    return (-(-value * 256 // _TRIT_BYTE_VALUES)).astype(np.uint8).tobytes()


def _decode_trits(data: bytes, offset: int, rows: int, size: int) -> tuple[np.ndarray, int]:
    row_bytes = -(-size // fmt.TRITS_PER_BYTE)
    end = offset + _round_up(rows * row_bytes)
    if end > len(data):
        raise ValueError("Planes are truncated.")
    fraction = np.frombuffer(data, np.uint8, rows * row_bytes, offset).astype(np.int64)
    trits = np.empty((fraction.size, fmt.TRITS_PER_BYTE), np.int8)
    for i in range(fmt.TRITS_PER_BYTE):
        fraction = fraction * 3
        trits[:, i] = (fraction >> 8) - 1
        fraction &= 0xFF
    return trits.reshape(rows, -1)[:, :size], end


def _bit_words(bits: np.ndarray) -> np.ndarray:
    """Rows of booleans, (..., n), as little-endian words of 32, (..., ceil(n / 32))."""
    padding = -bits.shape[-1] % _WORD_BITS
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, padding)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<u4")


def _word_bits(words: np.ndarray) -> np.ndarray:
    """The bits of words, (..., n), as (..., 32 n) booleans."""
    data = np.ascontiguousarray(words, "<u4").view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little").astype(bool)


def _bit_pairs(plane: np.ndarray) -> np.ndarray:
    """For every row and 32 entries, a word of what is not zero, and one of what is negative."""
    return np.stack([_bit_words(plane != 0), _bit_words(plane < 0)], axis=-1)


def _encode_bit_row(pairs: np.ndarray) -> bytes:
    present = pairs[:, 0] != 0
    return _bit_words(present).tobytes() + pairs[present].tobytes()


def _words_at(data: bytes, offset: int, count: int) -> np.ndarray:
    if offset + fmt.WORD_BYTES * count > len(data):
        raise ValueError("Planes are truncated.")
    return np.frombuffer(data, "<u4", count, offset)


def _decode_sign_bits(data: bytes, offset: int, rows: int, size: int) -> tuple[np.ndarray, int]:
    words = -(-size // _WORD_BITS)
    bits = _word_bits(_words_at(data, offset, rows * words).reshape(rows, words))
    if bits[:, size:].any():
        raise ValueError("An entry lies outside its row.")
    return np.where(bits[:, :size], -1, 1).astype(np.int8), offset + fmt.WORD_BYTES * rows * words


def _decode_bit_planes(data: bytes, offset: int, rows: int, size: int) -> tuple[np.ndarray, int]:
    words = -(-size // _WORD_BITS)
    pairs = np.zeros((rows, 2, words), np.uint32)
    for row in range(rows):
        present = _words_at(data, offset, -(-words // _WORD_BITS))
        offset += fmt.WORD_BYTES * present.size
        places = np.flatnonzero(_word_bits(present))
        if places.size and places[-1] >= words:
            raise ValueError("An entry lies outside its row.")
        stored = _words_at(data, offset, 2 * places.size)
        offset += fmt.WORD_BYTES * stored.size
        pairs[row][:, places] = stored.reshape(-1, 2).T
        if not stored[::2].all():
            raise ValueError("A word without entries is not left out.")
    nonzero, negative = _word_bits(pairs[:, 0]), _word_bits(pairs[:, 1])
    if nonzero[:, size:].any() or (negative & ~nonzero).any():
        raise ValueError("An entry lies outside its row, or is negative and zero.")
    return (nonzero.astype(np.int8) - 2 * negative)[:, :size].astype(np.int8), offset


def _counts(plane: np.ndarray) -> np.ndarray:
    """Positive and negative entries of every row, shape (rows, 2)."""
    return np.stack([np.sum(plane > 0, axis=1), np.sum(plane < 0, axis=1)], axis=1)


def _count_table(counts: np.ndarray, bits: int) -> bytes:
    if bits == 4:
        return (counts[:, 0] | counts[:, 1] << 4).astype(np.uint8).tobytes()
    return counts.astype(f"<u{bits // 8}").tobytes()


def _read_count_table(data: bytes, offset: int, rows: int, bits: int) -> np.ndarray:
    if bits == 4:
        table = np.frombuffer(data, np.uint8, rows, offset).astype(np.int64)
        return np.stack([table & 0xF, table >> 4], axis=1).reshape(-1)
    return np.frombuffer(data, f"<u{bits // 8}", 2 * rows, offset).astype(np.int64)


def _gaps(plane: np.ndarray) -> list[int]:
    """Zeros before every entry, in the order of the format: the positive entries of a row, then
    its negative ones, each counted from the start of the row or from the entry before.
    """
    signs = np.stack([plane > 0, plane < 0], axis=1)
    lists, position = np.nonzero(signs.reshape(-1, plane.shape[1]))
    gaps = np.diff(position, prepend=-1) - 1
    first = np.diff(lists, prepend=-1) != 0
    gaps[first] = position[first]
    return gaps.tolist()


def _escapes(codes_per_word: int) -> list[int]:
    """Zeros that every code of a word passes when it gives no entry."""
    return ((1 << np.diff(code_starts(codes_per_word))) - 1).tolist()


def _code_count(gaps: list[int], codes_per_word: int) -> int:
    """Codes that the gaps take. The widths of the codes of a word differ, so the number of codes
    of a gap depends on where in a word it starts.
    """
    escapes = _escapes(codes_per_word)
    if len(set(escapes)) == 1:
        return len(gaps) + int(np.sum(np.asarray(gaps, np.int64) // escapes[0]))
    known: dict[tuple[int, int], int] = {}
    total = 0
    for gap in gaps:
        key = gap, total % codes_per_word
        taken = known.get(key)
        if taken is None:
            taken, slot = 1, key[1]
            while gap >= escapes[slot]:
                gap -= escapes[slot]
                slot = (slot + 1) % codes_per_word
                taken += 1
            known[key] = taken
        total += taken
    return total


def _codes(gaps: list[int], codes_per_word: int) -> np.ndarray:
    escapes = _escapes(codes_per_word)
    codes: list[int] = []
    for gap in gaps:
        while gap >= (escape := escapes[len(codes) % codes_per_word]):
            codes.append(0)
            gap -= escape
        codes.append(gap + 1)
    return np.array(codes, np.uint64)


def _pack_codes(codes: np.ndarray, codes_per_word: int) -> bytes:
    padded = np.zeros((-(-codes.size // codes_per_word), codes_per_word), np.uint64)
    padded.reshape(-1)[: codes.size] = codes
    starts = code_starts(codes_per_word)[:-1].astype(np.uint64)
    return np.bitwise_or.reduce(padded << starts, axis=1).astype("<u4").tobytes()


def _decode_gaps(
    data: bytes, offset: int, rows: int, size: int, codes_per_word: int, count_bits: int
) -> tuple[np.ndarray, int]:
    stream = offset + _round_up(rows * count_bits // 4)
    if stream > len(data):
        raise ValueError("Planes are truncated.")
    counts = _read_count_table(data, offset, rows, count_bits)
    entries = int(counts.sum())
    words = np.frombuffer(data, "<u4", (len(data) - stream) // fmt.WORD_BYTES, stream)
    starts = code_starts(codes_per_word)
    widths = np.diff(starts)
    # An entry takes one code at least, and escapes are at most size + 1 codes for each list.
    words = words[: (entries + counts.size * (size + 1)) // codes_per_word + 1].astype(np.int64)
    escapes = (1 << widths) - 1
    codes = (words[:, None] >> starts[:-1]) & escapes
    is_entry = (codes != 0).reshape(-1)
    where = np.flatnonzero(is_entry)[:entries]
    if where.size < entries:
        raise ValueError("Planes are truncated.")
    passed = np.concatenate([[0], np.cumsum(np.where(codes != 0, codes, escapes))[where]])
    lists = np.repeat(np.arange(counts.size), counts)
    before = np.concatenate([[0], np.cumsum(counts)])[:-1]
    position = passed[1:] - 1 - passed[before[lists]]
    if entries and position.max() >= size:
        raise ValueError("An entry lies outside its row.")
    plane = np.zeros((rows, size), np.int8)
    rows_of, signs = lists // 2, 1 - 2 * (lists % 2)
    plane[rows_of, position] = signs
    if np.count_nonzero(plane) != entries:
        raise ValueError("An entry is positive and negative.")
    used = int(where[-1]) + 1 if entries else 0
    return plane, stream + fmt.WORD_BYTES * (-(-used // codes_per_word))
