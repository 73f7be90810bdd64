/* The sum of eight packed machine words for Cortex-M0 and M0+, included by mltq_lanes_portable.h.
 *
 * Thumb-1 adds to the high registers but does not subtract from them, and compilers hardly use
 * them. Here all fourteen registers are in use, and LDM loads two machine words an instruction. The
 * negative entries are added up first and the sum is negated. */
#ifndef TFLITE_OPS_CORE_MLTQ_LANES_THUMB1_H_
#define TFLITE_OPS_CORE_MLTQ_LANES_THUMB1_H_

/* Adds the entries from `list` to `end`, which differ. The sums are r4 to r11. */
#define MLTQ_ADD_ENTRIES(list, end)                                                  \
  __asm__ volatile(                                                                  \
      ".syntax unified\n"                                                            \
      "1:\n"                                                                         \
      "ldrh r1, [%[at]]\n"                                                           \
      "adds %[at], #2\n"                                                             \
      "add r1, %[packed]\n"                                                          \
      "ldmia r1!, {r2, r3}\n"                                                        \
      "add %[s0], r2\n"                                                              \
      "add %[s1], r3\n"                                                              \
      "ldmia r1!, {r2, r3}\n"                                                        \
      "add %[s2], r2\n"                                                              \
      "add %[s3], r3\n"                                                              \
      "ldmia r1!, {r2, r3}\n"                                                        \
      "add %[s4], r2\n"                                                              \
      "add %[s5], r3\n"                                                              \
      "ldmia r1!, {r2, r3}\n"                                                        \
      "add %[s6], r2\n"                                                              \
      "add %[s7], r3\n"                                                              \
      "cmp %[at], %[stop]\n"                                                         \
      "bne 1b\n"                                                                     \
      : [at] "+l"(list), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), \
        [s4] "+r"(s4), [s5] "+r"(s5), [s6] "+r"(s6), [s7] "+r"(s7)                   \
      : [packed] "r"(base), [stop] "r"(end)                                          \
      : "r1", "r2", "r3", "cc", "memory")

static inline void mltq_lanes_sum_8(const uint32_t* packed, const MltqRun* run, uint32_t* sums) {
  register uint32_t s0 __asm__("r4") = 0;
  register uint32_t s1 __asm__("r5") = 0;
  register uint32_t s2 __asm__("r6") = 0;
  register uint32_t s3 __asm__("r7") = 0;
  register uint32_t s4 __asm__("r8") = 0;
  register uint32_t s5 __asm__("r9") = 0;
  register uint32_t s6 __asm__("r10") = 0;
  register uint32_t s7 __asm__("r11") = 0;
  register const uint32_t* base __asm__("r12") = packed;
  register const uint16_t* list __asm__("r0") = run->list + run->positive;
  register const uint16_t* end __asm__("lr") = list + run->negative;
  if (list != end) MLTQ_ADD_ENTRIES(list, end);
  s0 = 0x8000u - s0;
  s1 = 0x8000u - s1;
  s2 = 0x8000u - s2;
  s3 = 0x8000u - s3;
  s4 = 0x8000u - s4;
  s5 = 0x8000u - s5;
  s6 = 0x8000u - s6;
  s7 = 0x8000u - s7;
  list = run->list;
  end = list + run->positive;
  if (list != end) MLTQ_ADD_ENTRIES(list, end);
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  sums[4] = s4;
  sums[5] = s5;
  sums[6] = s6;
  sums[7] = s7;
}

#endif /* TFLITE_OPS_CORE_MLTQ_LANES_THUMB1_H_ */
