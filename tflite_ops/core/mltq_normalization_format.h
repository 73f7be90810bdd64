/* MLTQ_NORMALIZATION: each value of a group less the mean of the group, or less the zero point,
 * over the root of the mean square; times a gain, plus an offset. Layer, group, instance, RMS and
 * unit normalisation are of this kind.
 *
 * Specification. The tensor has outer x members x groups x channels values, in this order; the
 * group (o, g) is the N = members * channels values (o, m, g, c) of all m and c. With the int8
 * values q_i of a group, S1 the sum of q_i and S2 the sum of q_i^2:
 *
 *   mean subtracted: D_i = N * q_i - S1                V = N * S2 - S1^2
 *   otherwise:       D_i = q_i - input_zero_point      V = sum of D_i^2
 *   W = V * 2^12 + epsilon
 *
 * W = 0 is only possible where all D_i are 0, and the root is taken as 0. Otherwise j is the number
 * with 2^(2 j - 2) <= W < 2^(2 j), and m = floor(W * 2^(32 - 2 j)) is W as a fraction from 1/4 to 1
 * in units of 2^-32. Y, in units of 2^-30, approximates 1 / sqrt(m * 2^-32): it begins with
 * Y = 2290054618 - floor(m * 1308602639 / 2^32), and is replaced three times, by Newton's method,
 *
 *   T = floor(floor(Y^2 / 2^32) * m / 2^32)            Y = floor(Y * (3 * 2^28 - T) / 2^29)
 *
 * whose result is less than 1e-7 off. Then, with k the place of the value in the tensor modulo
 * table_size,
 *
 *   Z_i   = floor((D_i * Y + 2^(3 + j)) / 2^(4 + j))   which is D_i / sqrt(W / 2^12) * 2^20
 *   out_i = output_zero_point + floor((Z_i * gain_k + offset_k * 2^20 + 2^(19 + shift))
 *                                     / 2^(20 + shift))
 *
 * clamped to activation_min and activation_max. Whether the mean or the sum of squares is meant is
 * a factor of gain and epsilon. N is below 2^18, so that S2 fits into 32 bits, V into 50, and
 * |Z_i|, since D_i^2 <= N * V, below 2^30: no value can overflow, whatever the gains and offsets.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_NORMALIZATION_FORMAT_H_
#define TFLITE_OPS_CORE_MLTQ_NORMALIZATION_FORMAT_H_

#include <stdint.h>

#define MLTQ_NORMALIZATION_VERSION 1
#define MLTQ_NORMALIZATION_MAX_GROUP 262143 /* 2^18 - 1 */
#define MLTQ_NORMALIZATION_MAX_SHIFT 30

/* The packed tensor, which starts at a multiple of 4 bytes; docs/packed_format.md describes it. */
#define MLTQ_NORMALIZATION_MAGIC UINT32_C(0x4E544C4D) /* "MLTN" */
#define MLTQ_NORMALIZATION_OFFSET_MAGIC 0
#define MLTQ_NORMALIZATION_OFFSET_VERSION 4
#define MLTQ_NORMALIZATION_OFFSET_SUBTRACT_MEAN 5
#define MLTQ_NORMALIZATION_OFFSET_INPUT_ZERO_POINT 6
#define MLTQ_NORMALIZATION_OFFSET_OUTPUT_ZERO_POINT 7
#define MLTQ_NORMALIZATION_OFFSET_ACTIVATION_MIN 8
#define MLTQ_NORMALIZATION_OFFSET_ACTIVATION_MAX 9
#define MLTQ_NORMALIZATION_OFFSET_SHIFT 10
#define MLTQ_NORMALIZATION_OFFSET_RESERVED 11
#define MLTQ_NORMALIZATION_OFFSET_TOTAL_BYTES 12
#define MLTQ_NORMALIZATION_OFFSET_OUTER 16
#define MLTQ_NORMALIZATION_OFFSET_MEMBERS 20
#define MLTQ_NORMALIZATION_OFFSET_GROUPS 24
#define MLTQ_NORMALIZATION_OFFSET_CHANNELS 28
#define MLTQ_NORMALIZATION_OFFSET_EPSILON 32
#define MLTQ_NORMALIZATION_OFFSET_TABLE_SIZE 40
#define MLTQ_NORMALIZATION_HEADER_BYTES 44

#endif /* TFLITE_OPS_CORE_MLTQ_NORMALIZATION_FORMAT_H_ */
