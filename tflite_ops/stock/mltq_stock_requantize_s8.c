#include "mltq_stock.h"

void mltq_stock_requantize_s8(MltqFixedPoint factor, int32_t input_offset, int32_t output_offset,
                              int32_t size, const int8_t* input, int8_t* output) {
  for (int32_t i = 0; i < size; i++) {
    const int32_t value = mltq_fixed_point_multiply(input[i] + input_offset, factor);
    output[i] = mltq_clamp_s8(value + output_offset, INT8_MIN, INT8_MAX);
  }
}
