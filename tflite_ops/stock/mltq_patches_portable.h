/* Patches in portable C: four, value by value beside each other, so that a weight is loaded once
 * for four products. */
#ifndef TFLITE_OPS_STOCK_MLTQ_PATCHES_PORTABLE_H_
#define TFLITE_OPS_STOCK_MLTQ_PATCHES_PORTABLE_H_

#define MLTQ_PATCHES 4
#define MLTQ_PATCH_STEP MLTQ_PATCHES
#if defined(__XTENSA__) || (defined(__thumb__) && !defined(__thumb2__))
/* These load bytes with less effort without a sign. */
#define MLTQ_PATCH_SIGN 0x80
#define MLTQ_PATCH_BIASES unsigned_biases
typedef uint8_t MltqPatchValue;
#else
#define MLTQ_PATCH_SIGN 0
#define MLTQ_PATCH_BIASES biases
typedef int8_t MltqPatchValue;
#endif
#include "mltq_patch.h"

/* What pads a row is multiplied by 0; and so are patches beyond the last. */
static inline void mltq_patches_clear(uint8_t* patches, int32_t row) {
  memset(patches, 0, (size_t)(MLTQ_PATCHES * row));
}

/* Whether four patches from this one on are in one row of the output, and have no padding. */
static inline bool mltq_patches_inside(const MltqWindow* window, MltqCorner corner) {
  const int32_t last = corner.left + (MLTQ_PATCHES - 1) * window->stride_w;
  return corner.top >= 0 && corner.left >= 0 &&
         last < window->output_w * window->stride_w - window->pad_left &&
         corner.top + (window->filter_h - 1) * window->dilation_h < window->input_h &&
         last + (window->filter_w - 1) * window->dilation_w < window->input_w;
}

/* Those four, together: values of the same tap are beside each other. */
static inline void mltq_patches_gather_inside(const MltqWindow* window, const int8_t* input,
                                              MltqCorner corner, uint8_t* to) {
  const int32_t channels = window->input_channels;
  const int32_t taps = window->dilation_w == 1 ? window->filter_w : 1; /* without a gap */
  const int32_t apart = window->stride_w * channels;
  const int8_t* row = input + (corner.top * window->input_w + corner.left) * channels;
  for (int32_t ky = 0; ky < window->filter_h; ky++) {
    const int8_t* from = row;
    for (int32_t kx = 0; kx < window->filter_w; kx += taps) {
      const int8_t* from1 = from + apart;
      const int8_t* from2 = from1 + apart;
      const int8_t* from3 = from2 + apart;
      for (int32_t i = 0; i < taps * channels; i++, to += 4) {
        to[0] = (uint8_t)(from[i] ^ MLTQ_PATCH_SIGN);
        to[1] = (uint8_t)(from1[i] ^ MLTQ_PATCH_SIGN);
        to[2] = (uint8_t)(from2[i] ^ MLTQ_PATCH_SIGN);
        to[3] = (uint8_t)(from3[i] ^ MLTQ_PATCH_SIGN);
        MLTQ_IN_ORDER();
      }
      from += window->dilation_w * channels;
    }
    row += window->dilation_h * window->input_w * channels;
  }
}

static inline void mltq_patches_gather(const MltqWindow* window, int32_t zero_point,
                                       const int8_t* input, MltqCorner* corner, uint8_t* patches,
                                       int32_t row, int32_t count) {
  (void)row;
  const bool inside = count == MLTQ_PATCHES && mltq_patches_inside(window, *corner);
  if (inside) mltq_patches_gather_inside(window, input, *corner, patches);
  for (int32_t i = 0; i < count; i++) {
    if (!inside) mltq_patch_gather(window, zero_point, input, *corner, patches + i);
    mltq_corner_next(window, corner);
  }
}

/* What is not an output lands where one belongs that is stored later. */
#define MLTQ_STORE(to, s0, s1, s2, s3)              \
  {                                                 \
    const MltqFastFactor factor = *of++;            \
    (to)[last] = mltq_requantize_sum(factor, s3);   \
    (to)[middle] = mltq_requantize_sum(factor, s2); \
    (to)[second] = mltq_requantize_sum(factor, s1); \
    (to)[0] = mltq_requantize_sum(factor, s0);      \
  }

/* Sums of the products of one row of the filter and the patches. */
#if defined(__thumb__) && !defined(__thumb2__) && MLTQ_ALL_REGISTERS && !defined(MLTQ_PORTABLE)
/* Thumb-1 multiplies into one of the factors, and compilers save it first. */
#define MLTQ_TAP(i, at0, at1, at2, at3) \
  "movs r2, #" #i                       \
  "\n"                                  \
  "ldrsb r2, [%[w], r2]\n"              \
  "ldrb r3, [%[at], #" #at0             \
  "]\n"                                 \
  "muls r3, r2, r3\n"                   \
  "adds %[a0], r3\n"                    \
  "ldrb r3, [%[at], #" #at1             \
  "]\n"                                 \
  "muls r3, r2, r3\n"                   \
  "adds %[a1], r3\n"                    \
  "ldrb r3, [%[at], #" #at2             \
  "]\n"                                 \
  "muls r3, r2, r3\n"                   \
  "adds %[a2], r3\n"                    \
  "ldrb r3, [%[at], #" #at3             \
  "]\n"                                 \
  "muls r3, r2, r3\n"                   \
  "adds %[a3], r3\n"
#define MLTQ_MULTIPLY_ROW(w, at, stop) \
  __asm__ volatile(                                                                          \
      ".syntax unified\n"                                                                    \
      "1:\n" MLTQ_TAP(0, 0, 1, 2, 3) MLTQ_TAP(1, 4, 5, 6, 7) MLTQ_TAP(2, 8, 9, 10, 11)       \
          MLTQ_TAP(3, 12, 13, 14, 15)                                                        \
      "adds %[w], #4\n"                                                                      \
      "adds %[at], #16\n"                                                                    \
      "cmp %[at], %[end]\n"                                                                  \
      "bne 1b\n"                                                                             \
      : [w] "+l"(w), [at] "+l"(at), [a0] "+l"(a0), [a1] "+l"(a1), [a2] "+l"(a2), [a3] "+l"(a3) \
      : [end] "h"(stop)                                                                      \
      : "r2", "r3", "cc", "memory")
#else
#define MLTQ_TAP(i)                        \
  {                                        \
    const int32_t weight = w[i];           \
    a0 += weight * (int32_t)at[4 * i];     \
    a1 += weight * (int32_t)at[4 * i + 1]; \
    MLTQ_IN_ORDER();                       \
    a2 += weight * (int32_t)at[4 * i + 2]; \
    a3 += weight * (int32_t)at[4 * i + 3]; \
    MLTQ_IN_ORDER();                       \
  }
#define MLTQ_MULTIPLY_ROW(w, at, stop)              \
  for (; at != stop; at += 16, w += 4) {            \
    MLTQ_TAP(0) MLTQ_TAP(1) MLTQ_TAP(2) MLTQ_TAP(3) \
  }
#endif

/* The same of four rows, for cores with 32 registers. */
#define MLTQ_PRODUCTS(i)     \
  {                          \
    const int32_t x = at[i]; \
    a##i += of0 * x;         \
    b##i += of1 * x;         \
    c##i += of2 * x;         \
    d##i += of3 * x;         \
    MLTQ_IN_ORDER();         \
  }
#define MLTQ_SUMS(name, bias) \
  int32_t name##0 = (bias), name##1 = name##0, name##2 = name##0, name##3 = name##0

static MLTQ_NOINLINE void mltq_patches_multiply(const MltqFastWeights* weights, int32_t channels,
                                                int32_t row, const uint8_t* patches, int32_t count,
                                                int8_t* output) {
  const int32_t second = count > 1 ? channels : 0;
  const int32_t middle = count > 2 ? 2 * channels : second;
  const int32_t last = count > 3 ? 3 * channels : middle;
  const MltqPatchValue* stop = (const MltqPatchValue*)patches + 4 * row;
  const int8_t* w = weights->filter;
  const MltqFastFactor* of = weights->factors;
  const int32_t* bias = weights->MLTQ_PATCH_BIASES;
  const int32_t* end = bias + channels;
#if defined(__riscv) && !defined(__riscv_32e)
  for (; end - bias >= 4; bias += 4, output += 4) {
    const int8_t* w1 = w + row;
    const int8_t* w2 = w1 + row;
    const int8_t* w3 = w2 + row;
    MLTQ_SUMS(a, bias[0]);
    MLTQ_SUMS(b, bias[1]);
    MLTQ_SUMS(c, bias[2]);
    MLTQ_SUMS(d, bias[3]);
    for (const MltqPatchValue* at = stop - 4 * row; at != stop; at += 4) {
      const int32_t of0 = *w++;
      const int32_t of1 = *w1++;
      const int32_t of2 = *w2++;
      const int32_t of3 = *w3++;
      MLTQ_PRODUCTS(0) MLTQ_PRODUCTS(1) MLTQ_PRODUCTS(2) MLTQ_PRODUCTS(3)
    }
    w = w3;
    MLTQ_STORE(output, a0, a1, a2, a3)
    MLTQ_STORE(output + 1, b0, b1, b2, b3)
    MLTQ_STORE(output + 2, c0, c1, c2, c3)
    MLTQ_STORE(output + 3, d0, d1, d2, d3)
  }
#endif
  for (; bias != end; bias++, output++) {
    const MltqPatchValue* at = stop - 4 * row;
    MLTQ_SUMS(a, *bias);
    MLTQ_MULTIPLY_ROW(w, at, stop);
    MLTQ_STORE(output, a0, a1, a2, a3)
  }
}

#endif /* TFLITE_OPS_STOCK_MLTQ_PATCHES_PORTABLE_H_ */
