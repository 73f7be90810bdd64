/* Lanes in portable C: two of 16 bits, int8 values as they are.
 *
 * A machine word is lane 0 + lane 1 * 2^16 in two's complement, and one ordinary addition or
 * subtraction serves both lanes. The lower lane of a sum starts at 2^15, so that it never borrows
 * from the upper one. */
#ifndef TFLITE_OPS_CORE_MLTQ_LANES_PORTABLE_H_
#define TFLITE_OPS_CORE_MLTQ_LANES_PORTABLE_H_

#define MLTQ_LANES 2
#define MLTQ_SUMS_PER_MACHINE_WORD 1
#if defined(__riscv) || defined(__XTENSA__)
#define MLTQ_TILE_MACHINE_WORDS 16 /* 32 registers */
#else
#define MLTQ_TILE_MACHINE_WORDS 8
#endif

static inline uint32_t mltq_lanes_padding(int8_t zero_point) {
  return (uint32_t)zero_point * 0x10001u;
}

/* Packs the channels of a column: the values of a lane start at rows[lane] + at, the machine words
 * are `pitch` apart. If `masked`, which is a constant where this is inlined, only the lanes that
 * have a bit in `inside` have values; the others get the zero point. */
static inline void mltq_lanes_pack_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                          uint32_t channels, uint32_t* words, size_t pitch,
                                          const bool masked, uint32_t inside, int8_t zero_point) {
  const int8_t* low = rows[0] + at;
  const int8_t* high = rows[1] + at;
  if (!masked) {
    for (; channels >= 4u; channels -= 4u, low += 4, high += 4) {
      for (int i = 0; i < 4; i++, words += pitch) {
        *words = (uint32_t)low[i] + ((uint32_t)high[i] << 16);
      }
    }
    for (; channels > 0; channels--, words += pitch) {
      *words = (uint32_t)*low++ + ((uint32_t)*high++ << 16);
    }
    return;
  }
  const uint32_t keep_low = 0u - (inside & 1u);
  const uint32_t keep_high = 0u - (inside >> 1);
  const uint32_t pad =
      ((uint32_t)zero_point & ~keep_low) + (((uint32_t)zero_point & ~keep_high) << 16);
  for (; channels > 0; channels--, words += pitch) {
    *words = ((uint32_t)*low++ & keep_low) + (((uint32_t)*high++ & keep_high) << 16) + pad;
  }
}

/* Defines the sum of so many machine words, each in a variable of its own: compilers do not keep an
 * array in registers for every size. */
#define MLTQ_SUM_MACHINE_WORDS(name, REPEAT)                                                 \
  static inline void name(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {      \
    const uint16_t* list = run->list;                                                        \
    const uint16_t* end = list + run->positive;                                              \
    REPEAT(MLTQ_SUM_BEGIN)                                                                   \
    while (list != end) {                                                                    \
      const uint32_t* at = (const uint32_t*)(const void*)((const uint8_t*)packed + *list++); \
      REPEAT(MLTQ_SUM_ADD)                                                                   \
    }                                                                                        \
    end += run->negative;                                                                    \
    while (list != end) {                                                                    \
      const uint32_t* at = (const uint32_t*)(const void*)((const uint8_t*)packed + *list++); \
      REPEAT(MLTQ_SUM_SUBTRACT)                                                              \
    }                                                                                        \
    REPEAT(MLTQ_SUM_END)                                                                     \
  }
#define MLTQ_SUM_BEGIN(i) uint32_t total##i = 0x8000u;
#define MLTQ_SUM_ADD(i) \
  total##i += at[i];    \
  MLTQ_IN_ORDER();
#define MLTQ_SUM_SUBTRACT(i) \
  total##i -= at[i];         \
  MLTQ_IN_ORDER();
#define MLTQ_SUM_END(i) sums[i] = total##i;
#define MLTQ_REPEAT_1(X) X(0)
#define MLTQ_REPEAT_4(X) X(0) X(1) X(2) X(3)
#define MLTQ_REPEAT_8(X) MLTQ_REPEAT_4(X) X(4) X(5) X(6) X(7)
#define MLTQ_REPEAT_16(X) MLTQ_REPEAT_8(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

MLTQ_SUM_MACHINE_WORDS(mltq_lanes_sum_1, MLTQ_REPEAT_1)
MLTQ_SUM_MACHINE_WORDS(mltq_lanes_sum_4, MLTQ_REPEAT_4)
#if defined(__thumb__) && !defined(__thumb2__) && MLTQ_ALL_REGISTERS && !defined(MLTQ_PORTABLE)
#include "mltq_lanes_thumb1.h"
#else
MLTQ_SUM_MACHINE_WORDS(mltq_lanes_sum_8, MLTQ_REPEAT_8)
#endif
#if MLTQ_TILE_MACHINE_WORDS == 16
MLTQ_SUM_MACHINE_WORDS(mltq_lanes_sum_16, MLTQ_REPEAT_16)
#endif

/* Lane sums of a row of output positions. */
static void mltq_lanes_sum_row(const uint32_t* packed, const MltqRun* run, uint32_t words,
                               uint32_t* sums) {
#if MLTQ_TILE_MACHINE_WORDS == 16
  for (; words >= 16; words -= 16, packed += 16, sums += 16) {
    mltq_lanes_sum_16(packed, run, sums);
  }
#endif
  for (; words >= 8; words -= 8, packed += 8, sums += 8) mltq_lanes_sum_8(packed, run, sums);
  if (words >= 4) {
    mltq_lanes_sum_4(packed, run, sums);
    words -= 4;
    packed += 4;
    sums += 4;
  }
  for (; words > 0; words--) mltq_lanes_sum_1(packed++, run, sums++);
}

static inline int32_t mltq_lanes_get(const uint32_t* sums, int lane) {
  return lane == 0 ? (int32_t)(*sums & 0xFFFFu) - 0x8000 : (int32_t)*sums >> 16;
}

/* The halves of the sums of a machine word, as memory has them: one load each. */
static inline uint32_t mltq_lanes_low(const uint32_t* sum) {
  uint16_t half;
  memcpy(&half, MLTQ_ASSUME_ALIGNED(sum, 2), sizeof half);
  return half;
}

static inline int32_t mltq_lanes_high(const uint32_t* sum) {
  int16_t half;
  memcpy(&half, MLTQ_ASSUME_ALIGNED((const uint8_t*)sum + 2, 2), sizeof half);
  return half;
}

/* Scales, rounds and stores the sums of `positions` of a row, for `levels` levels of one sum each,
 * which are `row` machine words apart. `levels` and `clamp`, which is false if the output may have
 * all int8 values, are constants where this is inlined. `out` is the first output of lane 0; all
 * lanes are inside the output. */
static inline void mltq_lanes_store(const MltqChannel* channel, const uint32_t* sums, uint32_t row,
                                    uint32_t positions, const uint32_t levels, const bool clamp,
                                    size_t pitch, int8_t* out, size_t lane_stride) {
  const uint32_t* multipliers = (const uint32_t*)channel->multipliers;
  const uint32_t multiplier0 = multipliers[0];
  const uint32_t multiplier1 = levels > 1u ? multipliers[1] : 0u;
  const uint32_t bias1 = channel->bias;
  uint32_t bias0 = bias1;
  for (uint32_t level = 0; level < levels; level++) bias0 -= 0x8000u * multipliers[level];
  const uint32_t shift = channel->shift;
  const int32_t minimum = channel->minimum;
  const int32_t maximum = channel->maximum;
  const uint32_t* second = sums + (levels > 1u ? row : 0u);
  const uint32_t* end = sums + positions;
  for (; sums != end; sums++, second++, out += pitch) {
    uint32_t low = bias0 + multiplier0 * mltq_lanes_low(sums);
    uint32_t high = bias1 + multiplier0 * (uint32_t)mltq_lanes_high(sums);
    if (levels > 1u) {
      low += multiplier1 * mltq_lanes_low(second);
      high += multiplier1 * (uint32_t)mltq_lanes_high(second);
    }
    for (uint32_t level = 2; level < levels; level++) {
      low += multipliers[level] * mltq_lanes_low(sums + level * row);
      high += multipliers[level] * (uint32_t)mltq_lanes_high(sums + level * row);
    }
    *out = mltq_channel_requantize((int32_t)low, shift, clamp, minimum, maximum);
    out[lane_stride] = mltq_channel_requantize((int32_t)high, shift, clamp, minimum, maximum);
  }
}

#endif /* TFLITE_OPS_CORE_MLTQ_LANES_PORTABLE_H_ */
