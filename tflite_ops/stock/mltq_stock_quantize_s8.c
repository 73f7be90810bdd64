#include "mltq_stock.h"

/* Far outside of int8, whatever the zero point is. */
#define LARGE 512

/* To the nearest integer, halves away from zero, without the C library. What is too large, or no
 * number, comes out as -LARGE or LARGE. */
static int32_t rounded(float value) {
  if (!(value > -(float)LARGE)) return -LARGE;
  if (value > (float)LARGE) return LARGE;
  const int32_t whole = (int32_t)value;
  const float rest = value - (float)whole; /* exact */
  if (rest >= 0.5f) return whole + 1;
  return rest <= -0.5f ? whole - 1 : whole;
}

void mltq_stock_quantize_s8(float scale, int32_t zero_point, int32_t size, const float* input,
                            int8_t* output) {
  for (int32_t i = 0; i < size; i++) {
    output[i] = mltq_clamp_s8(rounded(input[i] / scale) + zero_point, INT8_MIN, INT8_MAX);
  }
}

void mltq_stock_dequantize_s8(float scale, int32_t zero_point, int32_t size, const int8_t* input,
                              float* output) {
  for (int32_t i = 0; i < size; i++) output[i] = scale * (float)(input[i] - zero_point);
}
