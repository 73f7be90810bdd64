"""Dense trits. The C twin is tflite_ops/core/mltq_trits.h."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.encodings.machine_words import padded, round_up

DESCRIPTION = """\
**Trits** (encoding 0), for dense planes: five entries a byte, 1.6 bits an entry; every row starts
at a new byte. With digits t + 1 in {0, 1, 2}, the first entry most significant, v = sum of digit *
3^(4-i), the byte is ceil(v * 256 / 243). Multiplying by 3 moves the next digit into bit 8 and up,
so that decoding takes five multiplications by 3 and no table. Entries missing in the last byte are
0.
"""

TRITS_PER_BYTE = 5
_POWERS = 3 ** np.arange(TRITS_PER_BYTE - 1, -1, -1)
_BYTE_VALUES = 3**TRITS_PER_BYTE


class Trits(Encoding):
    """Five entries a byte."""

    code = 0
    planes = Planes.CODED
    reads = ("trits",)  # entries

    def encode(self, plane: np.ndarray) -> bytes:
        """See ``Encoding``."""
        return padded(b"".join(map(_encode_row, plane)))

    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """See ``Encoding``."""
        row_bytes = -(-size // TRITS_PER_BYTE)
        end = offset + round_up(rows * row_bytes)
        if end > len(data):
            raise ValueError("Planes are truncated.")
        fraction = np.frombuffer(data, np.uint8, rows * row_bytes, offset).astype(np.int64)
        trits = np.empty((fraction.size, TRITS_PER_BYTE), np.int8)
        for i in range(TRITS_PER_BYTE):
            fraction = fraction * 3
            trits[:, i] = (fraction >> 8) - 1
            fraction &= 0xFF
        return trits.reshape(rows, -1)[:, :size], end

    def size(self, plane: np.ndarray) -> int:
        """See ``Encoding``."""
        rows, size = plane.shape
        return round_up(rows * -(-size // TRITS_PER_BYTE))

    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """See ``Encoding``."""
        return {"trits": plane.size}


TRITS = Trits()
ENCODINGS = (TRITS,)


def _encode_row(row: np.ndarray) -> bytes:
    entries = np.zeros(-(-row.size // TRITS_PER_BYTE) * TRITS_PER_BYTE, np.int64)
    entries[: row.size] = row
    value = (entries.reshape(-1, TRITS_PER_BYTE) + 1) @ _POWERS
    # value / 243 as a fraction of 256, rounded up: multiplying by 3 then yields trit after trit.
    return (-(-value * 256 // _BYTE_VALUES)).astype(np.uint8).tobytes()
