"""Constants of the packed format, version 2.

The C twin is tflite_ops/core/mltq_format.h; tests/test_format_constants.py compares the two.
"""

from __future__ import annotations

import enum

MAGIC = b"MLTQ"
FORMAT_VERSION = 2
MAX_LEVELS = 4
MAX_SHIFT = 24
MACHINE_WORD_BYTES = 4

# Fields of the header and their codes for struct, little-endian, in the order of C's MLTQ_OFFSET_*.
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
    ("level_offsets", f"{4 * MAX_LEVELS}s"),
)
HEADER_STRUCT = "<" + "".join(code for _, code in HEADER_FIELDS)


class OperatorKind(enum.IntEnum):
    """Operator that a packed layer belongs to."""

    CONV_2D = 0
    DEPTHWISE_CONV_2D = 1
    FULLY_CONNECTED = 2


class Padding(enum.IntEnum):
    """Padding as TensorFlow defines it."""

    VALID = 0
    SAME = 1


# Low bits of the activation levels: those of the input. High bits: those of the output.
ACTIVATION_LEVELS_MASK = 0x0F
OUTPUT_LEVELS_SHIFT = 4
# Activation table of an input or output with activation levels: scales, then a code per int8 value
# from -128 on, whose digits in base 3 are the entries of the levels plus 1, lowest first.
ACTIVATION_TABLE_BYTES = MAX_LEVELS + 256

# Encoding byte of one level, low bits: one of packing.encodings.
ENCODING_MASK = 0x3F
# High bits: how many bits the counts of a row take.
COUNT_BITS = (4, 8, 16)
COUNT_BITS_SHIFT = 6

CUSTOM_OP_NAMES = {
    OperatorKind.CONV_2D: "MLTQ_CONV_2D",
    OperatorKind.DEPTHWISE_CONV_2D: "MLTQ_DEPTHWISE_CONV_2D",
    OperatorKind.FULLY_CONNECTED: "MLTQ_FULLY_CONNECTED",
}
# An elementwise function of an int8 tensor, as a table of 256 values.
LOOKUP_OP_NAME = "MLTQ_LOOKUP"
# A normalisation of int8 values by mean and mean square.
NORMALIZATION_OP_NAME = "MLTQ_NORMALIZATION"
