/* Patches for Cortex-M with the DSP extension: two, as 16-bit values for SMLAD. Of four values of a
 * patch the even ones come first, as SXTB16 takes them from a word, and those of both patches are
 * beside each other. */
#ifndef TFLITE_OPS_STOCK_MLTQ_PATCHES_DSP_H_
#define TFLITE_OPS_STOCK_MLTQ_PATCHES_DSP_H_

#include <arm_acle.h>

#define MLTQ_PATCHES 2
#define MLTQ_PATCH_STEP 1
#define MLTQ_PATCH_SIGN 0
#include "mltq_patch.h"

/* What pads a row is multiplied by 0; and so is the second patch where there is none. */
static inline void mltq_patches_clear(uint8_t* patches, int32_t row) {
  memset(patches, 0, (size_t)(5 * row));
}

/* A patch as bytes lies behind those that are in use. */
static inline void mltq_patches_gather(const MltqWindow* window, int32_t zero_point,
                                       const int8_t* input, MltqCorner* corner, uint8_t* patches,
                                       int32_t row, int32_t count) {
  const uint32_t* end = (const uint32_t*)(void*)(patches + 5 * row);
  for (int32_t i = 0; i < count; i++) {
    const uint32_t* from = (const uint32_t*)(void*)(patches + 4 * row);
    mltq_patch_gather(window, zero_point, input, *corner, patches + 4 * row);
    mltq_corner_next(window, corner);
    for (uint32_t* to = (uint32_t*)(void*)patches + i; from != end; to += 4) {
      const uint32_t word = *from++;
      to[0] = (uint32_t)__sxtb16((int8x4_t)word);
      to[2] = (uint32_t)__sxtb16((int8x4_t)(word >> 8));
    }
  }
}

/* Adds the products of two rows of the filter and both patches to the sums. */
#if MLTQ_ALL_REGISTERS
#define MLTQ_MULTIPLY_PATCHES(patches, end, first, second)                                   \
  __asm__ volatile(                                                                          \
      "1:\n"                                                                                 \
      "ldmia %[at]!, {r0, r1, r2, r3}\n"                                                     \
      "ldr r4, [%[w]], #4\n"                                                                 \
      "sxtb16 r5, r4\n"                                                                      \
      "smlad %[a0], r5, r0, %[a0]\n"                                                         \
      "smlad %[a1], r5, r1, %[a1]\n"                                                         \
      "sxtb16 r5, r4, ror #8\n"                                                              \
      "ldr r4, [%[v]], #4\n"                                                                 \
      "smlad %[a0], r5, r2, %[a0]\n"                                                         \
      "smlad %[a1], r5, r3, %[a1]\n"                                                         \
      "sxtb16 r5, r4\n"                                                                      \
      "smlad %[b0], r5, r0, %[b0]\n"                                                         \
      "smlad %[b1], r5, r1, %[b1]\n"                                                         \
      "sxtb16 r5, r4, ror #8\n"                                                              \
      "smlad %[b0], r5, r2, %[b0]\n"                                                         \
      "smlad %[b1], r5, r3, %[b1]\n"                                                         \
      "cmp %[at], %[stop]\n"                                                                 \
      "bne 1b\n"                                                                             \
      : [at] "+r"(patches), [w] "+r"(first), [v] "+r"(second), [a0] "+r"(a0), [a1] "+r"(a1), \
        [b0] "+r"(b0), [b1] "+r"(b1)                                                         \
      : [stop] "r"(end)                                                                      \
      : "r0", "r1", "r2", "r3", "r4", "r5", "cc", "memory")
#else
#define MLTQ_MULTIPLY_PATCHES(patches, end, first, second)                    \
  for (; patches != end; patches += 16, first += 4, second += 4) {            \
    const uint32_t* at = (const uint32_t*)(const void*)patches;               \
    int32_t of_first, of_second;                                              \
    memcpy(&of_first, first, 4);                                              \
    memcpy(&of_second, second, 4);                                            \
    for (int i = 0; i < 2; i++, at += 2) {                                    \
      const int16x2_t w = __sxtb16((int8x4_t)((uint32_t)of_first >> 8 * i));  \
      const int16x2_t v = __sxtb16((int8x4_t)((uint32_t)of_second >> 8 * i)); \
      a0 = __smlad(w, (int16x2_t)at[0], a0);                                  \
      a1 = __smlad(w, (int16x2_t)at[1], a1);                                  \
      b0 = __smlad(v, (int16x2_t)at[0], b0);                                  \
      b1 = __smlad(v, (int16x2_t)at[1], b1);                                  \
    }                                                                         \
  }
#endif

/* What is not an output lands where one belongs that is stored later. The last of an odd number of
 * channels goes with the one before it, once more, and a single one with itself. */
static MLTQ_NOINLINE void mltq_patches_multiply(const MltqFastWeights* weights, int32_t channels,
                                                int32_t row, const uint8_t* patches, int32_t count,
                                                int8_t* output) {
  const uint8_t* end = patches + 4 * row;
  const int32_t next = channels > 1 ? 1 : 0;
  const int32_t pitch = count > 1 ? channels : 0;
  const MltqFastFactor* of = weights->factors;
  const int32_t* bias = weights->biases;
  const int8_t* w = weights->filter;
  for (int32_t rest = channels; rest > 0; rest -= 2) {
    if (rest < 2 * next) {
      of--;
      bias--;
      output--;
      w -= row;
    }
    const int8_t* v = w + next * row;
    const uint8_t* at = patches;
    int32_t a0 = bias[0], a1 = a0, b0 = bias[next], b1 = b0;
    MLTQ_MULTIPLY_PATCHES(at, end, w, v);
    const MltqFastFactor first = *of;
    output[pitch] = mltq_requantize_sum(first, a1);
    output[0] = mltq_requantize_sum(first, a0);
    of += next;
    output += next;
    const MltqFastFactor second = *of;
    of++;
    bias += 2;
    output[pitch] = mltq_requantize_sum(second, b1);
    *output++ = mltq_requantize_sum(second, b0);
    w = v;
  }
}

#endif /* TFLITE_OPS_STOCK_MLTQ_PATCHES_DSP_H_ */
