/* A packed layer: header fields, channel tables and planes, as mltq_parse.c has checked them.
 *
 * Arithmetic. With x the int8 input, z the input zero point, T[c,m] the planes, and positions
 * outside the input counting as z, an output value of channel c is
 *
 *     S[m]   = sum over i of T[c,m][i] * (x[i] - z)                 exact, 32 bits
 *     acc    = bias[c] + sum over m of multiplier[c,m] * S[m]       exact, 32 bits
 *     output = clamp(floor(acc / 2^shift[c]), activation_min, activation_max)
 *
 * With s_in and s_out the tensor scales, z_out the output zero point, alpha[c,m] the scale of a
 * plane and b[c] the real bias, the converter sets
 *
 *     multiplier[c,m] = round(alpha[c,m] * s_in / s_out * 2^shift[c])           at most 16 bits
 *     bias[c]         = round((b[c] / s_out + z_out + 1/2) * 2^shift[c])
 *
 * so that the output zero point and the rounding to nearest cost nothing at run time.
 * A layer with activation levels cuts its input into planes U[k] in {-1, 0, +1} first, which a
 * table gives for every int8 value. There x - z above is the sum over k of b[k] * U[k][x], with
 * int8 scales b[k] that add up to at most 127, so that all sums of products of planes are in S at
 * once:
 *
 *     S[m] = sum over k of b[k] * (sum over i of T[c,m][i] * U[k][x[i]])
 *
 * An output with levels is what its reader would add for it: the int8 output is looked up in the
 * reader's table, whose sum of levels takes its place, and the reader's input is int8 with the zero
 * point 0.
 *
 * Where planes are stored as byte indices, sums are counted from the least that S can be, with
 * inputs from -128 to 127, which the bias is computed for:
 *
 *     S[m] + (128 + z) * (number of +1 in T[c,m]) + (127 - z) * (number of -1)
 *
 * takes the place of S[m]. acc is the same as above; it is computed modulo 2^32.
 *
 * |x - z| is at most 255, which bounds S by the number of entries of each sign; mltq_parse.c
 * refuses a channel whose acc could leave 32 bits, so no kernel needs a wider type.
 * tfmot_mltq/reference/ops.py is the same arithmetic in NumPy.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_LAYER_H_
#define TFLITE_OPS_CORE_MLTQ_LAYER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const uint8_t* biases;                  /* int32 little-endian, one a channel, unaligned */
  const uint8_t* multipliers;             /* int16 little-endian, levels a channel, unaligned */
  const uint8_t* shifts;                  /* uint8, one a channel */
  const uint8_t* activation_table;        /* MLTQ_ACTIVATION_TABLE_BYTES, if the input has levels */
  const uint8_t* output_activation_table; /* the same, if the output has levels */
  const uint8_t* level_begin[MLTQ_MAX_LEVELS]; /* aligned for uint32_t */
  const uint8_t* level_end[MLTQ_MAX_LEVELS];
  uint32_t input_channels;
  uint32_t output_channels;
  uint32_t row_size; /* entries of one plane of one output channel */
  uint32_t max_sums; /* see mltq_lane_sums: the largest number of any channel, at least 1 */
  uint16_t filter_h;
  uint16_t filter_w;
  uint16_t stride_h;
  uint16_t stride_w;
  uint16_t dilation_h;
  uint16_t dilation_w;
  uint8_t encoding[MLTQ_MAX_LEVELS];
  uint8_t planes; /* MLTQ_PLANES_*: how all levels are stored */
  uint8_t kind;
  uint8_t levels;
  uint8_t activation_levels; /* 0: the input is int8 as it is */
  uint8_t output_levels;     /* 0: the output is int8 as it is */
  uint8_t padding;
  int8_t input_zero_point;
  int8_t activation_min;
  int8_t activation_max;
} MltqLayer;

/* Images, and filters with their dilation, reach at most so far along an axis: it keeps every
 * product of sizes and positions inside 32 bits, also where size_t has 32. */
#define MLTQ_MAX_EXTENT (INT32_C(1) << 24)

/* Shapes of one call, NHWC. A fully connected layer has height and width 1. */
typedef struct {
  int32_t batches;
  int32_t input_h;
  int32_t input_w;
  int32_t output_h;
  int32_t output_w;
  int32_t pad_top;
  int32_t pad_left;
} MltqShape;

/* How the planes of a layer are stored, all of them or none. */
#define MLTQ_PLANES_CODED 1u   /* entry after entry: trits and gap codes */
#define MLTQ_PLANES_BITS 2u    /* for logic on machine words: sign bits and bit planes */
#define MLTQ_PLANES_INDICES 4u /* for sums of one position: byte indices */

static inline int32_t mltq_layer_bias(const MltqLayer* layer, uint32_t channel) {
  const uint8_t* bytes = layer->biases + 4u * (size_t)channel;
  return (int32_t)((uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) |
                   ((uint32_t)bytes[3] << 24));
}

static inline int32_t mltq_layer_multiplier(const MltqLayer* layer, uint32_t channel,
                                            uint32_t level) {
  const uint8_t* bytes = layer->multipliers + 2u * ((size_t)channel * layer->levels + level);
  return (int16_t)(uint16_t)((uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8));
}

/* What planes of byte indices count for an entry above T * (x - z): their sums start from the least
 * that S can be. */
static inline int32_t mltq_layer_offset(const MltqLayer* layer, int32_t sign) {
  if (layer->planes != MLTQ_PLANES_INDICES) return 0;
  return sign > 0 ? 128 + layer->input_zero_point : 127 - layer->input_zero_point;
}

/* clamp(floor(accumulator / 2^shift), minimum, maximum), for bounds of int8. */
static inline int8_t mltq_requantize(int32_t accumulator, uint32_t shift, int32_t minimum,
                                     int32_t maximum) {
  const int32_t value = accumulator >> shift;
  if (value < minimum) return (int8_t)minimum;
  if (value > maximum) return (int8_t)maximum;
  return (int8_t)value;
}

static inline int8_t mltq_layer_requantize(const MltqLayer* layer, uint32_t channel,
                                           int32_t accumulator) {
  return mltq_requantize(accumulator, layer->shifts[channel], layer->activation_min,
                         layer->activation_max);
}

/* Largest number of entries of one sign that the kernels sum up in 16-bit lanes: 128 * 255 is
 * below 2^15. */
#define MLTQ_MAX_LANE_ENTRIES 128u

/* Lane sums that a row with so many entries takes: runs of at most MLTQ_MAX_LANE_ENTRIES positive
 * and as many negative entries, positive ones first. */
static inline uint32_t mltq_lane_sums(uint32_t positive, uint32_t negative) {
  const uint32_t full = MLTQ_MAX_LANE_ENTRIES;
  const uint32_t first = positive > full ? (positive - 1u) / full : 0u;
  const uint32_t rest = negative > full ? (negative - 1u) / full : 0u;
  return positive + negative == 0u ? 0u : first + rest + 1u;
}

/* The specification divides rounding down, which is an arithmetic shift; C leaves the right shift
 * of negative values to the compiler, so a compiler that does otherwise must fail to build. */
typedef char MltqRequiresArithmeticShift[((-1) >> 1) == -1 ? 1 : -1];

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_LAYER_H_ */
