/* TensorFlow Lite's fixed-point multiplication, which its int8 reference kernels share. */
#ifndef TFLITE_OPS_STOCK_MLTQ_FIXED_POINT_H_
#define TFLITE_OPS_STOCK_MLTQ_FIXED_POINT_H_

#include <stdint.h>

/* A real factor: multiplier / 2^31 * 2^shift. */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} MltqFixedPoint;

/* Whether the core multiplies 32 bits to 32 only, so that products of 64 bits would be calls. */
#if (defined(__thumb__) && !defined(__thumb2__)) || defined(__XTENSA__) || \
    (defined(__riscv) && !defined(__riscv_mul))
#define MLTQ_SHORT_PRODUCTS 1
#else
#define MLTQ_SHORT_PRODUCTS 0
#endif

/* a * b / 2^31, to the nearest integer, halves up. Saturates only where both are the smallest
 * value.
 */
static inline int32_t mltq_fixed_point_high_product(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
#if MLTQ_SHORT_PRODUCTS
  /* Products of halves of 16 bits, the lower ones without a sign. */
  const int32_t a_low = a & 0xFFFF;
  const int32_t b_low = b & 0xFFFF;
  const int32_t a_high = a >> 16;
  const int32_t b_high = b >> 16;
  const uint32_t lowest = (uint32_t)a_low * (uint32_t)b_low;
  const int32_t of_a = a_high * b_low;
  const int32_t of_b = a_low * b_high;
  const uint32_t middle =
      (lowest >> 16) + ((uint32_t)of_a & 0xFFFFu) + ((uint32_t)of_b & 0xFFFFu); /* times 2^16 */
  const int32_t high = a_high * b_high + (of_a >> 16) + (of_b >> 16) + (int32_t)(middle >> 16);
  return (int32_t)(((uint32_t)high << 1) + (((middle & 0xFFFFu) + (1u << 14)) >> 15));
#else
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
#endif
}

/* value / 2^exponent, to the nearest integer, halves away from zero; exponent 0 to 31. */
static inline int32_t mltq_fixed_point_divide(int32_t value, int32_t exponent) {
  const uint32_t mask = (UINT32_C(1) << exponent) - 1u;
  const uint32_t rest = (uint32_t)value & mask;
  const uint32_t half = (mask >> 1) + (value < 0 ? 1u : 0u);
  return (value >> exponent) + (rest > half ? 1 : 0);
}

/* value * factor, rounded twice: after the multiplication and after the shift to the right. */
static inline int32_t mltq_fixed_point_multiply(int32_t value, MltqFixedPoint factor) {
  const int32_t left = factor.shift > 0 ? factor.shift : 0;
  const int32_t right = factor.shift > 0 ? 0 : -factor.shift;
  const int32_t shifted = (int32_t)((uint32_t)value << left);
  return mltq_fixed_point_divide(mltq_fixed_point_high_product(shifted, factor.multiplier), right);
}

/* mltq_fixed_point_high_product for |value| < 2^30 and a multiplier of [0, 2^31): for the inner
 * loops, without a function that multiplies 64 bits. */
static inline int32_t mltq_fixed_point_bounded_product(int32_t value, int32_t multiplier) {
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__)
  int32_t product;
  __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(value * 2), "r"(multiplier));
  return product;
#elif MLTQ_SHORT_PRODUCTS
  /* As above; with the lower half of the value signed, nothing overflows. */
  const int32_t value_low = (int16_t)(uint16_t)value;
  const int32_t value_high = (value - value_low) >> 16;
  const int32_t low = multiplier & 0xFFFF;
  const int32_t high = multiplier >> 16;
  const int32_t middle = value_low * high + value_high * low + ((value_low * low) >> 16);
  return value_high * high * 2 + ((middle + (INT32_C(1) << 14)) >> 15);
#else
  const int64_t product = (int64_t)value * multiplier * 2;
  return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
#endif
}

static inline int8_t mltq_clamp_s8(int32_t value, int32_t minimum, int32_t maximum) {
  if (value < minimum) return (int8_t)minimum;
  if (value > maximum) return (int8_t)maximum;
  return (int8_t)value;
}

#endif /* TFLITE_OPS_STOCK_MLTQ_FIXED_POINT_H_ */
