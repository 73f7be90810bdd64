#include "mltq_stock.h"

void mltq_stock_mean_s8(MltqFixedPoint factor, int32_t input_offset, int32_t output_offset,
                        int32_t positions, int32_t channels, const int8_t* input, int8_t* output) {
  for (int32_t channel = 0; channel < channels; channel++) {
    int32_t sum = positions * input_offset;
    for (int32_t i = 0; i < positions; i++) sum += input[i * channels + channel];
    output[channel] =
        mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + output_offset, INT8_MIN, INT8_MAX);
  }
}
