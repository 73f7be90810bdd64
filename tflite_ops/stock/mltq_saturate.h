/* The range of int8 outputs, for kernels that saturate to int8 in their inner loops. */
#ifndef TFLITE_OPS_STOCK_MLTQ_SATURATE_H_
#define TFLITE_OPS_STOCK_MLTQ_SATURATE_H_

#include "mltq_stock.h"

#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

static inline int8_t mltq_saturate_s8(int32_t value) {
#if defined(__ARM_FEATURE_SAT)
  return (int8_t)__ssat(value, 8);
#else
  if ((uint32_t)value + 128u > 255u) value = (value >> 31) ^ INT8_MAX;
  return (int8_t)value;
#endif
}

/* Clamps values that a fused activation keeps from being all of int8, which few do. */
static inline void mltq_clamp_range_s8(int32_t minimum, int32_t maximum, int32_t size,
                                       int8_t* values) {
  if (minimum == INT8_MIN && maximum == INT8_MAX) return;
  for (int32_t i = 0; i < size; i++) values[i] = mltq_clamp_s8(values[i], minimum, maximum);
}

#endif /* TFLITE_OPS_STOCK_MLTQ_SATURATE_H_ */
