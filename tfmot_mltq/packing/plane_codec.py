"""Encodings of planes: dense trits and gap codes.

A row is one plane of one output channel. Both encodings are per row and end on a byte boundary.
Reader: tflite_ops/core/mltq_plane_reader.c.
"""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing import format as fmt

_POWERS = 3 ** np.arange(fmt.TRITS_PER_BYTE - 1, -1, -1)
_TRIT_BYTE_VALUES = 3**fmt.TRITS_PER_BYTE


def encode_row(row: np.ndarray, encoding: int) -> bytes:
    """Packs one row.

    Args:
      row: Integers -1, 0, +1, shape (n,).
      encoding: ``ENCODING_TRITS`` or a gap width in bits.

    Raises:
      ValueError: The row holds another value, or the encoding is unknown.
    """
    row = np.asarray(row)
    if row.size and not np.isin(row, (-1, 0, 1)).all():
        raise ValueError("A plane may only hold -1, 0 and +1.")
    if encoding == fmt.ENCODING_TRITS:
        return _encode_trits(row)
    if encoding in fmt.ENCODINGS:
        return _encode_gaps(row, encoding)
    raise ValueError(f"encoding must be one of {fmt.ENCODINGS}, got {encoding!r}.")


def decode_row(data: bytes, offset: int, size: int, encoding: int) -> tuple[np.ndarray, int]:
    """Unpacks one row of ``size`` entries at ``offset``; returns it and the offset behind it.

    Raises:
      ValueError: The bytes are no such row.
    """
    if encoding == fmt.ENCODING_TRITS:
        return _decode_trits(data, offset, size)
    if encoding in fmt.ENCODINGS:
        return _decode_gaps(data, offset, size, encoding)
    raise ValueError(f"encoding must be one of {fmt.ENCODINGS}, got {encoding!r}.")


def best_encoding(plane: np.ndarray) -> int:
    """The encoding with the fewest bytes for a plane of shape (rows, n); ties go to the first."""
    return min(fmt.ENCODINGS, key=lambda encoding: plane_bytes(plane, encoding))


def plane_bytes(plane: np.ndarray, encoding: int) -> int:
    """Bytes that a plane of shape (rows, n) takes, without packing it."""
    rows, size = plane.shape
    if encoding == fmt.ENCODING_TRITS:
        return rows * (-(-size // fmt.TRITS_PER_BYTE))
    counts = np.count_nonzero(plane, axis=1)
    # Gap of every entry to the one before it in its row, entries of all rows in one vector.
    row_of, position = np.nonzero(plane)
    gap = np.diff(position, prepend=-1) - 1
    first = np.diff(row_of, prepend=-1) != 0
    gap[first] = position[first]
    codes = np.bincount(row_of, weights=1 + gap // ((1 << encoding) - 1), minlength=rows)
    count_bytes = 1 + (counts > 0x7F) + (counts > 0x3FFF)
    return int(np.sum(count_bytes + -(-counts // 8) + np.ceil(codes * encoding / 8)))


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


def _encode_trits(row: np.ndarray) -> bytes:
    padded = np.zeros(-(-row.size // fmt.TRITS_PER_BYTE) * fmt.TRITS_PER_BYTE, np.int64)
    padded[: row.size] = row
    value = (padded.reshape(-1, fmt.TRITS_PER_BYTE) + 1) @ _POWERS
    # value / 243 as a fraction of 256, rounded up: multiplying by 3 then yields trit after trit.
    return (-(-value * 256 // _TRIT_BYTE_VALUES)).astype(np.uint8).tobytes()


def _decode_trits(data: bytes, offset: int, size: int) -> tuple[np.ndarray, int]:
    end = offset + -(-size // fmt.TRITS_PER_BYTE)
    if end > len(data):
        raise ValueError("Planes are truncated.")
    fraction = np.frombuffer(data[offset:end], np.uint8).astype(np.int64)
    trits = np.empty((fraction.size, fmt.TRITS_PER_BYTE), np.int8)
    for i in range(fmt.TRITS_PER_BYTE):
        fraction = fraction * 3
        trits[:, i] = (fraction >> 8) - 1
        fraction &= 0xFF
    return trits.reshape(-1)[:size], end


def _encode_count(count: int) -> bytes:
    if count >> 21:
        raise ValueError(f"A row has {count} non-zero entries; the format holds {(1 << 21) - 1}.")
    encoded = bytearray()
    while count > 0x7F:
        encoded.append((count & 0x7F) | 0x80)
        count >>= 7
    encoded.append(count)
    return bytes(encoded)


def _encode_gaps(row: np.ndarray, width: int) -> bytes:
    positions = np.flatnonzero(row)
    escape = (1 << width) - 1
    gaps = np.diff(positions, prepend=-1) - 1
    escapes = gaps // escape
    # The codes of an entry: one escape for every `escape` zeros, then what is left of the gap.
    codes = np.full(int(np.sum(escapes)) + gaps.size, escape, np.uint8)
    codes[np.cumsum(escapes + 1) - 1] = gaps % escape
    code_bits = np.unpackbits(codes[:, None], axis=1, bitorder="little")[:, :width]
    signs = np.packbits(row[positions] < 0, bitorder="little")
    stream = np.packbits(code_bits.reshape(-1), bitorder="little")
    return _encode_count(positions.size) + signs.tobytes() + stream.tobytes()


def _decode_gaps(data: bytes, offset: int, size: int, width: int) -> tuple[np.ndarray, int]:
    count = 0
    for shift in (0, 7, 14):
        if offset >= len(data):
            raise ValueError("Planes are truncated.")
        byte = data[offset]
        offset += 1
        count |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise ValueError("A row count is malformed.")
    sign_end = offset + -(-count // 8)
    if count > size or sign_end > len(data):
        raise ValueError("A row has more entries than the plane, or is truncated.")
    negative = np.unpackbits(
        np.frombuffer(data[offset:sign_end], np.uint8), count=count, bitorder="little"
    )
    row = np.zeros(size, np.int8)
    escape = (1 << width) - 1
    bit, position = sign_end * 8, 0
    for entry in range(count):
        while True:
            if bit + width > len(data) * 8:
                raise ValueError("Planes are truncated.")
            pair = data[bit >> 3] | (data[(bit >> 3) + 1] << 8 if (bit >> 3) + 1 < len(data) else 0)
            code = (pair >> (bit & 7)) & escape
            bit += width
            position += code
            if position >= size:
                raise ValueError("An entry lies outside its row.")
            if code != escape:
                break
        row[position] = -1 if negative[entry] else 1
        position += 1
    return row, -(-bit // 8)
