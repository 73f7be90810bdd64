#include "mltq_stock.h"

#define TOGETHER 4

/* Four channels at a time; where fewer are left, the last one stands for those that are missing. */
void mltq_stock_mean_s8(MltqFixedPoint factor, int32_t input_offset, int32_t output_offset,
                        int32_t positions, int32_t channels, const int8_t* input, int8_t* output) {
  for (int32_t channel = 0; channel < channels; channel += TOGETHER) {
    const int32_t count = channels - channel < TOGETHER ? channels - channel : TOGETHER;
    const int32_t second = count > 1 ? 1 : 0;
    const int32_t third = count > 2 ? 2 : second;
    const int32_t fourth = count > 3 ? 3 : third;
    const int8_t* values = input + channel;
    int32_t a = positions * input_offset, b = a, c = a, d = a;
    for (int32_t i = 0; i < positions; i++, values += channels) {
      a += values[0];
      b += values[second];
      c += values[third];
      d += values[fourth];
    }
    const int32_t sums[TOGETHER] = {a, b, c, d};
    for (int32_t i = 0; i < count; i++) {
      const int32_t value = mltq_fixed_point_multiply(sums[i], factor) + output_offset;
      *output++ = mltq_clamp_s8(value, INT8_MIN, INT8_MAX);
    }
  }
}
