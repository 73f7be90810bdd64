/* TensorFlow Lite's fixed-point multiplication, which its int8 reference kernels share. */
#ifndef TFLITE_OPS_STOCK_MLTQ_FIXED_POINT_H_
#define TFLITE_OPS_STOCK_MLTQ_FIXED_POINT_H_

#include <stdint.h>

/* A real factor: multiplier / 2^31 * 2^shift. */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} MltqFixedPoint;

/* a * b / 2^31, to the nearest integer, halves away from zero. Saturates only where both are the
 * smallest value. */
static inline int32_t mltq_fixed_point_high_product(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  const int64_t product = (int64_t)a * b;
  const int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
  return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

/* value / 2^exponent, to the nearest integer, halves away from zero; exponent 0 to 31. */
static inline int32_t mltq_fixed_point_divide(int32_t value, int32_t exponent) {
  const int64_t magnitude = value < 0 ? -(int64_t)value : value;
  const int64_t half = (INT64_C(1) << exponent) >> 1;
  const int64_t quotient = (magnitude + half) >> exponent;
  return (int32_t)(value < 0 ? -quotient : quotient);
}

/* value * factor, rounded twice: after the multiplication and after the shift to the right. */
static inline int32_t mltq_fixed_point_multiply(int32_t value, MltqFixedPoint factor) {
  const int32_t left = factor.shift > 0 ? factor.shift : 0;
  const int32_t right = factor.shift > 0 ? 0 : -factor.shift;
  const int64_t shifted = (int64_t)value * (INT64_C(1) << left);
  return mltq_fixed_point_divide(mltq_fixed_point_high_product((int32_t)shifted, factor.multiplier),
                                 right);
}

/* mltq_fixed_point_high_product for |value| < 2^30 and a multiplier of [0, 2^31): for the inner
 * loops, without a function that multiplies 64 bits. */
static inline int32_t mltq_fixed_point_bounded_product(int32_t value, int32_t multiplier) {
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__)
  int32_t product;
  __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(value * 2), "r"(multiplier));
  return product;
#elif (defined(__thumb__) && !defined(__thumb2__)) || defined(__XTENSA__) || \
    (defined(__riscv) && !defined(__riscv_mul))
  /* Cores that multiply 32 bits to 32: halves of 16 bits, the lower one of the value signed. */
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
