/* Functions of fixed-point numbers that softmax and log softmax are made of. */
#ifndef TFLITE_OPS_STOCK_MLTQ_GEMMLOWP_H_
#define TFLITE_OPS_STOCK_MLTQ_GEMMLOWP_H_

#include "mltq_stock.h"

/* Fixed point as in gemmlowp, which TensorFlow Lite Micro uses: Qm is a signed number with m bits
 * before the point and 31 - m after it. A product of Qa and Qb is Qa+b. */

#define MLTQ_DIFFERENCE_BITS 5 /* differences are Q5 */
#define MLTQ_SUM_BITS 12       /* the sum of the exponentials is Q12 */

/* value * 2^bits, within 32 bits. */
static inline int32_t mltq_gemmlowp_shift_left(int32_t value, int bits) {
  const int64_t shifted = (int64_t)value * (INT64_C(1) << bits);
  if (shifted > INT32_MAX) return INT32_MAX;
  if (shifted < INT32_MIN) return INT32_MIN;
  return (int32_t)shifted;
}

/* exp(x) as Q0 for x in [-1/4, 0), Q0: a Taylor polynomial around -1/8. */
static inline int32_t mltq_gemmlowp_exp_of_quarter(int32_t x) {
  const int32_t exp_of_center = 1895147668; /* exp(-1/8) */
  const int32_t third = 715827883;
  const int32_t t = x + (INT32_C(1) << 28);
  const int32_t t2 = mltq_fixed_point_high_product(t, t);
  const int32_t t3 = mltq_fixed_point_high_product(t2, t);
  const int32_t t4 = mltq_fixed_point_high_product(t2, t2);
  const int32_t cubic =
      mltq_fixed_point_high_product(mltq_fixed_point_divide(t4, 2) + t3, third) + t2;
  const int32_t terms = t + mltq_fixed_point_divide(cubic, 1);
  return exp_of_center + mltq_fixed_point_high_product(exp_of_center, terms);
}

/* exp(x) as Q0 for x <= 0, Q5: that of its part in [-1/4, 0), times exp(-2^k) for every bit of the
 * rest. */
static inline int32_t mltq_gemmlowp_exp(int32_t x) {
  static const int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308,
                                    39332535,   720401,     242}; /* k from -2 to 4 */
  const int32_t quarter = INT32_C(1) << 24;
  if (x == 0) return INT32_MAX;
  const int32_t part = (x & (quarter - 1)) - quarter;
  const int32_t rest = part - x;
  int32_t result =
      mltq_gemmlowp_exp_of_quarter(mltq_gemmlowp_shift_left(part, MLTQ_DIFFERENCE_BITS));
  for (int i = 0; i < 7; i++) {
    if ((rest & (INT32_C(1) << (24 + i))) != 0)
      result = mltq_fixed_point_high_product(result, factors[i]);
  }
  return result;
}

/* 1 / (1 + x) as Q0 for x in [0, 1], Q0: three steps of Newton's method on half the denominator. */
static inline int32_t mltq_gemmlowp_reciprocal_of_one_plus(int32_t x) {
  const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  /* 48/17 - 32/17 * d, as Q2 */
  int32_t y = 1515870810 + mltq_fixed_point_high_product(half_denominator, -1010580540);
  for (int i = 0; i < 3; i++) {
    const int32_t error = (INT32_C(1) << 29) - mltq_fixed_point_high_product(half_denominator, y);
    y += mltq_gemmlowp_shift_left(mltq_fixed_point_high_product(y, error), 2);
  }
  return mltq_gemmlowp_shift_left(y, 1);
}

static inline int mltq_gemmlowp_leading_zeros(uint32_t value) {
  int count = 0;
  for (uint32_t bit = UINT32_C(1) << 31; (value & bit) == 0; bit >>= 1) count++;
  return count;
}

#endif /* TFLITE_OPS_STOCK_MLTQ_GEMMLOWP_H_ */
