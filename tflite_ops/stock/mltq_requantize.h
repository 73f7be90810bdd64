/* Sums of products to int8, for the inner loops: mltq_fixed_point_multiply and the output zero
 * point, for MltqFastWeights. */
#ifndef TFLITE_OPS_STOCK_MLTQ_REQUANTIZE_H_
#define TFLITE_OPS_STOCK_MLTQ_REQUANTIZE_H_

#include "mltq_saturate.h"

/* Rounding halves away from zero takes 1 from a negative value before it adds a half, which the
 * nudge holds. */
static inline int8_t mltq_requantize_sum(MltqFastFactor factor, int32_t sum) {
  const int32_t product = mltq_fixed_point_bounded_product(sum, factor.multiplier);
  return mltq_saturate_s8((product + (product >> 31) + factor.nudge) >> factor.shift);
}

#endif /* TFLITE_OPS_STOCK_MLTQ_REQUANTIZE_H_ */
