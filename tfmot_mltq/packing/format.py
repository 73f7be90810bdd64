"""Constants of the packed format, version 1.

The C twin is tflite_ops/core/mltq_format.h; tests/test_format_constants.py compares the two.
"""

from __future__ import annotations

import enum

MAGIC = b"MLTQ"
FORMAT_VERSION = 1
MAX_LEVELS = 4
MAX_SHIFT = 24
MAX_GAP_BITS = 8
TRITS_PER_BYTE = 5

# Little-endian struct layout of the header, in the order of the fields of C's MLTQ_OFFSET_*.
HEADER_FIELDS = (
    ("magic", "4s"),
    ("version", "B"),
    ("kind", "B"),
    ("levels", "B"),
    ("activation_levels", "B"),
    ("encoding", "4s"),
    ("total_bytes", "I"),
    ("input_channels", "I"),
    ("output_channels", "I"),
    ("filter_h", "H"),
    ("filter_w", "H"),
    ("stride_h", "H"),
    ("stride_w", "H"),
    ("dilation_h", "H"),
    ("dilation_w", "H"),
    ("padding", "B"),
    ("input_zero_point", "b"),
    ("activation_min", "b"),
    ("activation_max", "b"),
)
HEADER_STRUCT = "<" + "".join(code for _, code in HEADER_FIELDS)


class Kind(enum.IntEnum):
    """Operator that a packed layer belongs to."""

    CONV_2D = 0
    DEPTHWISE_CONV_2D = 1
    FULLY_CONNECTED = 2


class Padding(enum.IntEnum):
    """Padding as TensorFlow defines it."""

    VALID = 0
    SAME = 1


# Encoding of one level: dense trits, or a gap code of 1 to MAX_GAP_BITS bits.
ENCODING_TRITS = 0
ENCODINGS = tuple(range(MAX_GAP_BITS + 1))

CUSTOM_OP_NAMES = {
    Kind.CONV_2D: "MLTQ_CONV_2D",
    Kind.DEPTHWISE_CONV_2D: "MLTQ_DEPTHWISE_CONV_2D",
    Kind.FULLY_CONNECTED: "MLTQ_FULLY_CONNECTED",
}
