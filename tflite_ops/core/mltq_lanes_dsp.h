/* Lanes for Cortex-M with the DSP extension: four of 8 bits, int8 values as they are.
 *
 * SXTAB16 widens two of the four bytes and adds them to two 16-bit lanes in one instruction, so a
 * packed machine word takes half the memory of the portable lanes and a band serves twice the rows.
 * There is no such subtraction: the negative entries are added up first and the sum is negated. */
#ifndef TFLITE_OPS_CORE_MLTQ_LANES_DSP_H_
#define TFLITE_OPS_CORE_MLTQ_LANES_DSP_H_

#include <arm_acle.h>

#define MLTQ_LANES 4
#define MLTQ_SUMS_PER_MACHINE_WORD 2 /* lanes 0 and 2, then lanes 1 and 3 */

static inline uint32_t mltq_lanes_padding(int8_t zero_point) {
  return (uint32_t)(uint8_t)zero_point * 0x01010101u;
}

/* The lower halves of two machine words, and the upper halves. */
static inline uint32_t mltq_lanes_lower(uint32_t a, uint32_t b) {
  uint32_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}

static inline uint32_t mltq_lanes_upper(uint32_t a, uint32_t b) {
  uint32_t pair;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(b), "r"(a));
  return pair;
}

/* Packs the channels of a column: the values of a lane start at rows[lane] + at, the machine words
 * are `pitch` apart. If `masked`, which is a constant where this is inlined, only the lanes that
 * have a bit in `inside` have values; the others get the zero point. Four channels at a time are a
 * transposition of 4 x 4 bytes. */
static inline void mltq_lanes_pack_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                          uint32_t channels, uint32_t* words, size_t pitch,
                                          const bool masked, uint32_t inside, int8_t zero_point) {
  uint32_t keep = 0;
  for (uint32_t lane = 0; masked && lane < MLTQ_LANES; lane++) {
    if ((inside >> lane & 1u) != 0u) keep |= 0xFFu << 8u * lane;
  }
  const uint32_t pad = masked ? mltq_lanes_padding(zero_point) & ~keep : 0u;
  const int8_t* lane0 = rows[0] + at;
  const int8_t* lane1 = rows[1] + at;
  const int8_t* lane2 = rows[2] + at;
  const int8_t* lane3 = rows[3] + at;
  for (; channels >= 4u; channels -= 4u) {
    uint32_t a, b, c, d;
    memcpy(&a, lane0, 4);
    lane0 += 4;
    memcpy(&b, lane1, 4);
    lane1 += 4;
    memcpy(&c, lane2, 4);
    lane2 += 4;
    memcpy(&d, lane3, 4);
    lane3 += 4;
    const uint32_t ac01 = mltq_lanes_lower(a, c);
    const uint32_t bd01 = mltq_lanes_lower(b, d);
    const uint32_t ac23 = mltq_lanes_upper(a, c);
    const uint32_t bd23 = mltq_lanes_upper(b, d);
    uint32_t word = __uxtb16(ac01) | __uxtb16(bd01) << 8;
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    word = __uxtb16(ac01 >> 8) | (bd01 & 0xFF00FF00u);
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    word = __uxtb16(ac23) | __uxtb16(bd23) << 8;
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
    word = __uxtb16(ac23 >> 8) | (bd23 & 0xFF00FF00u);
    *words = masked ? (word & keep) | pad : word;
    words += pitch;
  }
  for (; channels > 0; channels--, words += pitch) {
    const uint32_t word = (uint32_t)(uint8_t)*lane0++ | (uint32_t)(uint8_t)*lane1++ << 8 |
                          (uint32_t)(uint8_t)*lane2++ << 16 | (uint32_t)(uint8_t)*lane3++ << 24;
    *words = masked ? (word & keep) | pad : word;
  }
}

/* One packed machine word, in C. */
static inline void mltq_lanes_add(const uint32_t* packed, const uint16_t* list, uint32_t count,
                                  uint32_t* even, uint32_t* odd) {
  for (; count > 0; count--) {
    const uint32_t word = *(const uint32_t*)(const void*)((const uint8_t*)packed + *list++);
    *even = __sxtab16(*even, word);
    *odd = __sxtab16(*odd, word >> 8);
  }
}

static inline void mltq_lanes_sum_1(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {
  uint32_t even = 0;
  uint32_t odd = 0;
  mltq_lanes_add(packed, run->list + run->positive, run->negative, &even, &odd);
  even = __ssub16(0, even);
  odd = __ssub16(0, odd);
  mltq_lanes_add(packed, run->list, run->positive, &even, &odd);
  sums[0] = even;
  sums[1] = odd;
}

#if MLTQ_ALL_REGISTERS

/* Four packed machine words at a time, a tile. Written in assembly because it takes all the
 * registers that there are: eight sums, four machine words, the list and the band; what else is
 * needed stays in memory. The first entry of a tile sets the sums, so that nothing has to be
 * zeroed. */
#define MLTQ_ENTRY(widen_even, widen_odd)                                                       \
  "ldrh.w r3, [r12], #2\n"                                                                      \
  "add r3, lr\n"                                                                                \
  "ldmia.w r3, {r0, r1, r2, r3}\n" widen_even("r4", "r0") widen_odd("r5", "r0")                 \
      widen_even("r6", "r1") widen_odd("r7", "r1") widen_even("r8", "r2") widen_odd("r9", "r2") \
          widen_even("r10", "r3") widen_odd("r11", "r3")
#define MLTQ_SET_EVEN(sum, word) "sxtb16 " sum ", " word "\n"
#define MLTQ_SET_ODD(sum, word) "sxtb16 " sum ", " word ", ror #8\n"
#define MLTQ_ADD_EVEN(sum, word) "sxtab16 " sum ", " sum ", " word "\n"
#define MLTQ_ADD_ODD(sum, word) "sxtab16 " sum ", " sum ", " word ", ror #8\n"
#define MLTQ_ADD_ENTRY MLTQ_ENTRY(MLTQ_ADD_EVEN, MLTQ_ADD_ODD)

/* Adds the entries up to `end`, of which there are `rest` more than a multiple of eight. */
#define MLTQ_ADD_ENTRIES(rest, end)                                                           \
  "ldr r0, " rest                                                                             \
  "\n"                                                                                        \
  "tbb [pc, r0]\n"                                                                            \
  "10:\n"                                                                                     \
  ".byte (18f-10b)/2, (17f-10b)/2, (16f-10b)/2, (15f-10b)/2\n"                                \
  ".byte (14f-10b)/2, (13f-10b)/2, (12f-10b)/2, (11f-10b)/2\n"                                \
  "19:\n" MLTQ_ADD_ENTRY "11:\n" MLTQ_ADD_ENTRY "12:\n" MLTQ_ADD_ENTRY "13:\n" MLTQ_ADD_ENTRY \
  "14:\n" MLTQ_ADD_ENTRY "15:\n" MLTQ_ADD_ENTRY "16:\n" MLTQ_ADD_ENTRY "17:\n" MLTQ_ADD_ENTRY \
  "18:\n"                                                                                     \
  "ldr r0, " end                                                                              \
  "\n"                                                                                        \
  "cmp r12, r0\n"                                                                             \
  "bne 19b\n"

static inline void mltq_lanes_sum_tiles(const uint32_t* packed, const MltqRun* run, uint32_t tiles,
                                        uint32_t* sums) {
  const uint16_t* positive = run->list;
  const uint16_t* positive_end = positive + run->positive;
  /* The negative entries come first, and the sum is negated. */
  const uint16_t* first = run->negative > 0 ? positive_end : positive;
  const uint16_t* first_end = run->negative > 0 ? positive_end + run->negative : positive_end;
  const uint32_t first_rest = (uint32_t)(first_end - first - 1) & 7u;
  const uint32_t rest = run->positive & 7u;
  for (; tiles > 0; tiles--, packed += 4, sums += 8) {
    __asm__ volatile(
        "ldr r12, %[first]\n"
        "ldr lr, %[packed]\n" MLTQ_ENTRY(MLTQ_SET_EVEN, MLTQ_SET_ODD)
            MLTQ_ADD_ENTRIES("%[first_rest]", "%[first_end]")
        "ldr r1, %[positive_end]\n"
        "cmp r0, r1\n"
        "beq.w 20f\n"
        "movs r0, #0\n"
        "ssub16 r4, r0, r4\n"
        "ssub16 r5, r0, r5\n"
        "ssub16 r6, r0, r6\n"
        "ssub16 r7, r0, r7\n"
        "ssub16 r8, r0, r8\n"
        "ssub16 r9, r0, r9\n"
        "ssub16 r10, r0, r10\n"
        "ssub16 r11, r0, r11\n"
        "ldr r12, %[positive]\n" MLTQ_ADD_ENTRIES("%[rest]", "%[positive_end]")
        "20:\n"
        "ldr r0, %[sums]\n"
        "stmia.w r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
        :
        : [first] "m"(first), [first_end] "m"(first_end), [first_rest] "m"(first_rest),
          [positive] "m"(positive), [positive_end] "m"(positive_end), [rest] "m"(rest),
          [packed] "m"(packed), [sums] "m"(sums)
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr",
          "cc", "memory");
  }
}

#else

/* Two packed machine words, in C. */
static inline void mltq_lanes_add_pair(const uint32_t* packed, const uint16_t* list, uint32_t count,
                                       uint32_t sums[4]) {
  for (; count > 0; count--) {
    const uint32_t* at = (const uint32_t*)(const void*)((const uint8_t*)packed + *list++);
    sums[0] = __sxtab16(sums[0], at[0]);
    sums[1] = __sxtab16(sums[1], at[0] >> 8);
    sums[2] = __sxtab16(sums[2], at[1]);
    sums[3] = __sxtab16(sums[3], at[1] >> 8);
  }
}

static inline void mltq_lanes_sum_pair(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {
  uint32_t pair[4] = {0, 0, 0, 0};
  mltq_lanes_add_pair(packed, run->list + run->positive, run->negative, pair);
  for (int i = 0; i < 4; i++) pair[i] = __ssub16(0, pair[i]);
  mltq_lanes_add_pair(packed, run->list, run->positive, pair);
  for (int i = 0; i < 4; i++) sums[i] = pair[i];
}

static inline void mltq_lanes_sum_tiles(const uint32_t* packed, const MltqRun* run, uint32_t tiles,
                                        uint32_t* sums) {
  for (uint32_t pairs = 2u * tiles; pairs > 0; pairs--, packed += 2, sums += 4) {
    mltq_lanes_sum_pair(packed, run, sums);
  }
}

#endif

/* Lane sums of a row of output positions. */
static void mltq_lanes_sum_row(const uint32_t* packed, const MltqRun* run, uint32_t words,
                               uint32_t* sums) {
  const uint32_t tiles = words / 4u;
  mltq_lanes_sum_tiles(packed, run, tiles, sums);
  packed += 4u * tiles;
  sums += 8u * tiles;
  for (words %= 4u; words > 0; words--, packed++, sums += 2) mltq_lanes_sum_1(packed, run, sums);
}

static inline int32_t mltq_lanes_get(const uint32_t* sums, int lane) {
  const uint32_t pair = sums[lane & 1];
  return (lane & 2) == 0 ? (int16_t)(uint16_t)pair : (int32_t)pair >> 16;
}

/* Scales, rounds and stores the sums of `positions` of a row, for `levels` levels of one sum each,
 * which are `row` machine words apart. `levels` and `clamp`, which is false if the output may have
 * all int8 values, are constants where this is inlined. `out` is the first output of lane 0; all
 * lanes are inside the output. */
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
  const uint32_t* end = sums + positions * MLTQ_SUMS_PER_MACHINE_WORD;
  for (; sums != end;
       sums += MLTQ_SUMS_PER_MACHINE_WORD, second += MLTQ_SUMS_PER_MACHINE_WORD, out += pitch) {
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
