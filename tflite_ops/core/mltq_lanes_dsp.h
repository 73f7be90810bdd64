/* Lanes for Cortex-M with the DSP extension: four of 8 bits, x + 128 as unsigned bytes.
 *
 * UXTAB16 widens two of the four bytes and adds them to two 16-bit lanes in one instruction, so a
 * packed word takes half the memory of the portable lanes and a band serves twice the rows. There
 * is no such subtraction: the negative entries are added up first and the sum is negated. */
#ifndef TFLITE_OPS_CORE_MLTQ_LANES_DSP_H_
#define TFLITE_OPS_CORE_MLTQ_LANES_DSP_H_

#include <arm_acle.h>

#define MLTQ_LANES 4
#define MLTQ_SUMS_PER_WORD 2 /* lanes 0 and 2, then lanes 1 and 3 */
#define MLTQ_LANE_ORIGIN (-128)

static inline uint32_t mltq_lanes_padding(int8_t zero_point) {
  return ((uint32_t)(uint8_t)zero_point ^ 0x80u) * 0x01010101u;
}

/* Packs the channels of a column: the values of a lane start at rows[lane] + at, the words are
 * `pitch` apart. If `masked`, which is a constant where this is inlined, only the lanes that have a
 * bit in `inside` have values; the others get the zero point. Four channels at a time are a
 * transposition of 4 x 4 bytes. */
static inline void mltq_lanes_pack_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                          uint32_t channels, uint32_t* words, size_t pitch,
                                          const bool masked, uint32_t inside, int8_t zero_point) {
  uint32_t keep = 0;
  for (uint32_t lane = 0; masked && lane < MLTQ_LANES; lane++) {
    if ((inside >> lane & 1u) != 0u) keep |= 0xFFu << 8u * lane;
  }
  const uint32_t pad = masked ? mltq_lanes_padding(zero_point) & ~keep : 0u;
  const int8_t* lane0 = rows[0];
  const int8_t* lane1 = rows[1];
  const int8_t* lane2 = rows[2];
  const int8_t* lane3 = rows[3];
  for (; channels >= 4u; channels -= 4u, at += 4u) {
    uint32_t a, b, c, d;
    memcpy(&a, lane0 + at, 4);
    memcpy(&b, lane1 + at, 4);
    memcpy(&c, lane2 + at, 4);
    memcpy(&d, lane3 + at, 4);
    const uint32_t ac01 = ((a & 0xFFFFu) | c << 16) ^ 0x80808080u;
    const uint32_t bd01 = ((b & 0xFFFFu) | d << 16) ^ 0x80808080u;
    uint32_t word = __uxtb16(ac01) | __uxtb16(bd01) << 8;
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    word = __uxtb16(ac01 >> 8) | (bd01 & 0xFF00FF00u);
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    const uint32_t ac23 = (a >> 16 | (c & 0xFFFF0000u)) ^ 0x80808080u;
    const uint32_t bd23 = (b >> 16 | (d & 0xFFFF0000u)) ^ 0x80808080u;
    word = __uxtb16(ac23) | __uxtb16(bd23) << 8;
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    word = __uxtb16(ac23 >> 8) | (bd23 & 0xFF00FF00u);
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
  }
  for (; channels > 0; channels--, at++, words += pitch) {
    const uint32_t word = (uint32_t)(uint8_t)lane0[at] | (uint32_t)(uint8_t)lane1[at] << 8 |
                          (uint32_t)(uint8_t)lane2[at] << 16 | (uint32_t)(uint8_t)lane3[at] << 24;
    *words = masked ? ((word ^ 0x80808080u) & keep) | pad : word ^ 0x80808080u;
  }
}

/* One packed word, in C. */
static inline void mltq_lanes_add(const uint32_t* packed, const uint16_t* list, uint32_t count,
                                  uint32_t* even, uint32_t* odd) {
  for (; count > 0; count--) {
    const uint32_t word = *(const uint32_t*)(const void*)((const uint8_t*)packed + *list++);
    *even = __uxtab16(*even, word);
    *odd = __uxtab16(*odd, word >> 8);
  }
}

/* Four packed words. Written in assembly because it has to fit the 14 registers that there are:
 * eight sums, two words, the list, its end, the band, and the address of an entry. */
#define MLTQ_ADD_ENTRY                   \
  "ldrh %[at], [%[list]], #2\n"          \
  "add %[at], %[at], %[packed]\n"        \
  "ldrd %[u], %[v], [%[at]]\n"           \
  "uxtab16 %[e0], %[e0], %[u]\n"         \
  "uxtab16 %[o0], %[o0], %[u], ror #8\n" \
  "uxtab16 %[e1], %[e1], %[v]\n"         \
  "uxtab16 %[o1], %[o1], %[v], ror #8\n" \
  "ldrd %[u], %[v], [%[at], #8]\n"       \
  "uxtab16 %[e2], %[e2], %[u]\n"         \
  "uxtab16 %[o2], %[o2], %[u], ror #8\n" \
  "uxtab16 %[e3], %[e3], %[v]\n"         \
  "uxtab16 %[o3], %[o3], %[v], ror #8\n"

#define MLTQ_ADD_ENTRIES(count)                                                           \
  {                                                                                       \
    const uint16_t* end = list + ((count) & ~3u);                                         \
    uint32_t at, u, v;                                                                    \
    if (list != end) {                                                                    \
      __asm__ volatile("1:\n" MLTQ_ADD_ENTRY MLTQ_ADD_ENTRY MLTQ_ADD_ENTRY MLTQ_ADD_ENTRY \
                       "cmp %[list], %[end]\n"                                            \
                       "bne 1b\n"                                                         \
                       : [e0] "+r"(e0), [o0] "+r"(o0), [e1] "+r"(e1), [o1] "+r"(o1),      \
                         [e2] "+r"(e2), [o2] "+r"(o2), [e3] "+r"(e3), [o3] "+r"(o3),      \
                         [list] "+r"(list), [at] "=&r"(at), [u] "=&r"(u), [v] "=&r"(v)    \
                       : [end] "r"(end), [packed] "r"(packed)                             \
                       : "cc", "memory");                                                 \
    }                                                                                     \
    end += (count) & 3u;                                                                  \
    while (list != end) {                                                                 \
      __asm__ volatile(MLTQ_ADD_ENTRY                                                     \
                       : [e0] "+r"(e0), [o0] "+r"(o0), [e1] "+r"(e1), [o1] "+r"(o1),      \
                         [e2] "+r"(e2), [o2] "+r"(o2), [e3] "+r"(e3), [o3] "+r"(o3),      \
                         [list] "+r"(list), [at] "=&r"(at), [u] "=&r"(u), [v] "=&r"(v)    \
                       : [packed] "r"(packed)                                             \
                       : "memory");                                                       \
    }                                                                                     \
  }

static inline void mltq_lanes_sum_tile(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {
  uint32_t e0 = 0, o0 = 0, e1 = 0, o1 = 0, e2 = 0, o2 = 0, e3 = 0, o3 = 0;
  if (run->negative > 0) {
    const uint16_t* list = run->list + run->positive;
    MLTQ_ADD_ENTRIES(run->negative)
    e0 = __ssub16(0, e0);
    o0 = __ssub16(0, o0);
    e1 = __ssub16(0, e1);
    o1 = __ssub16(0, o1);
    e2 = __ssub16(0, e2);
    o2 = __ssub16(0, o2);
    e3 = __ssub16(0, e3);
    o3 = __ssub16(0, o3);
  }
  const uint16_t* list = run->list;
  MLTQ_ADD_ENTRIES(run->positive)
  sums[0] = e0;
  sums[1] = o0;
  sums[2] = e1;
  sums[3] = o1;
  sums[4] = e2;
  sums[5] = o2;
  sums[6] = e3;
  sums[7] = o3;
}

static inline void mltq_lanes_sum_word(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {
  uint32_t even = 0;
  uint32_t odd = 0;
  mltq_lanes_add(packed, run->list + run->positive, run->negative, &even, &odd);
  even = __ssub16(0, even);
  odd = __ssub16(0, odd);
  mltq_lanes_add(packed, run->list, run->positive, &even, &odd);
  sums[0] = even;
  sums[1] = odd;
}

/* Lane sums of a row of output positions. */
static void mltq_lanes_sum_row(const uint32_t* packed, const MltqRun* run, uint32_t words,
                               uint32_t* sums) {
  for (; words >= 4; words -= 4, packed += 4, sums += 8) mltq_lanes_sum_tile(packed, run, sums);
  for (; words > 0; words--, packed++, sums += 2) mltq_lanes_sum_word(packed, run, sums);
}

static inline int32_t mltq_lanes_get(const uint32_t* sums, int lane) {
  const uint32_t pair = sums[lane & 1];
  return (lane & 2) == 0 ? (int16_t)(uint16_t)pair : (int32_t)pair >> 16;
}

/* Scales, rounds and stores the sums of `positions` of a row, for `levels` levels of one sum each,
 * which are `row` words apart. `levels` and `clamp`, which is false if the output may have all int8
 * values, are constants where this is inlined. `out` is the first output of lane 0; all lanes are
 * inside the output. */
static inline void mltq_lanes_store(const MltqChannel* channel, const uint32_t* sums, uint32_t row,
                                    uint32_t positions, const uint32_t levels, const bool clamp,
                                    size_t pitch, int8_t* out, size_t lane_stride) {
  const int32_t bias = (int32_t)channel->bias;
  const uint32_t shift = channel->shift;
  const int32_t low = channel->minimum;
  const int32_t high = channel->maximum;
  /* The multipliers of two levels share a register. */
  const int32_t pair = (int32_t)((uint32_t)channel->multipliers[0] & 0xFFFFu) |
                       (levels > 1u ? channel->multipliers[1] << 16 : 0);
  const uint32_t* second = sums + (levels > 1u ? row : 0u);
  const uint32_t* end = sums + positions * MLTQ_SUMS_PER_WORD;
  for (; sums != end; sums += MLTQ_SUMS_PER_WORD, second += MLTQ_SUMS_PER_WORD, out += pitch) {
    int32_t even = (int32_t)sums[0];
    int32_t odd = (int32_t)sums[1];
    int32_t a0 = __smlabb(even, pair, bias);
    int32_t a1 = __smlabb(odd, pair, bias);
    int32_t a2 = __smlatb(even, pair, bias);
    int32_t a3 = __smlatb(odd, pair, bias);
    if (levels > 1u) {
      even = (int32_t)second[0];
      odd = (int32_t)second[1];
      a0 = __smlabt(even, pair, a0);
      a1 = __smlabt(odd, pair, a1);
      a2 = __smlatt(even, pair, a2);
      a3 = __smlatt(odd, pair, a3);
    }
    for (uint32_t level = 2; level < levels; level++) {
      even = (int32_t)sums[level * row];
      odd = (int32_t)sums[level * row + 1u];
      a0 = __smlabb(even, channel->multipliers[level], a0);
      a1 = __smlabb(odd, channel->multipliers[level], a1);
      a2 = __smlatb(even, channel->multipliers[level], a2);
      a3 = __smlatb(odd, channel->multipliers[level], a3);
    }
    int8_t* half = out + 2u * lane_stride; /* lane 2 */
    out[0] = mltq_channel_requantize(a0, shift, clamp, low, high);
    out[lane_stride] = mltq_channel_requantize(a1, shift, clamp, low, high);
    half[0] = mltq_channel_requantize(a2, shift, clamp, low, high);
    half[lane_stride] = mltq_channel_requantize(a3, shift, clamp, low, high);
  }
}

#endif /* TFLITE_OPS_CORE_MLTQ_LANES_DSP_H_ */
