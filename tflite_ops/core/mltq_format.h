/* Constants of the packed format, version 2.
 *
 * The byte-by-byte description is in docs/packed_format.md. The Python codec has the same
 * constants in tfmot_mltq/packing/format.py; tests/test_format_constants.py compares the two.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_FORMAT_H_
#define TFLITE_OPS_CORE_MLTQ_FORMAT_H_

#define MLTQ_FORMAT_VERSION 2
#define MLTQ_MAX_LEVELS 4
#define MLTQ_MAX_SHIFT 24
#define MLTQ_MACHINE_WORD_BYTES 4

#define MLTQ_MAGIC_0 0x4D /* M */
#define MLTQ_MAGIC_1 0x4C /* L */
#define MLTQ_MAGIC_2 0x54 /* T */
#define MLTQ_MAGIC_3 0x51 /* Q */

/* Byte offsets of the header fields. */
#define MLTQ_OFFSET_MAGIC 0
#define MLTQ_OFFSET_VERSION 4
#define MLTQ_OFFSET_KIND 5
#define MLTQ_OFFSET_LEVELS 6
#define MLTQ_OFFSET_ACTIVATION_LEVELS 7
#define MLTQ_OFFSET_ENCODING 8
#define MLTQ_OFFSET_TOTAL_BYTES 12
#define MLTQ_OFFSET_INPUT_CHANNELS 16
#define MLTQ_OFFSET_OUTPUT_CHANNELS 20
#define MLTQ_OFFSET_FILTER_H 24
#define MLTQ_OFFSET_FILTER_W 26
#define MLTQ_OFFSET_STRIDE_H 28
#define MLTQ_OFFSET_STRIDE_W 30
#define MLTQ_OFFSET_DILATION_H 32
#define MLTQ_OFFSET_DILATION_W 34
#define MLTQ_OFFSET_PADDING 36
#define MLTQ_OFFSET_INPUT_ZERO_POINT 37
#define MLTQ_OFFSET_ACTIVATION_MIN 38
#define MLTQ_OFFSET_ACTIVATION_MAX 39
#define MLTQ_OFFSET_LEVEL_OFFSETS 40
#define MLTQ_HEADER_BYTES 56

#define MLTQ_KIND_CONV_2D 0
#define MLTQ_KIND_DEPTHWISE_CONV_2D 1
#define MLTQ_KIND_FULLY_CONNECTED 2

#define MLTQ_PADDING_VALID 0
#define MLTQ_PADDING_SAME 1

/* Low bits of the activation levels: those of the input. High bits: those of the output, which is
 * what the one layer that reads it would make of it. */
#define MLTQ_ACTIVATION_LEVELS_MASK 0x0F
#define MLTQ_OUTPUT_LEVELS_SHIFT 4

/* Activation table of an input or output with activation levels: MLTQ_MAX_LEVELS int8 scales, then
 * a code for every int8 value from -128 on, whose digits in base 3 are the entries of the levels
 * plus 1, lowest first. */
#define MLTQ_ACTIVATION_TABLE_BYTES 260

/* Encoding byte of one level. Low bits: one of mltq_encodings.h. High bits: the counts of a row
 * take 4, 8 or 16 bits each. */
#define MLTQ_ENCODING_MASK 0x3F
#define MLTQ_COUNT_BITS_SHIFT 6

#endif /* TFLITE_OPS_CORE_MLTQ_FORMAT_H_ */
