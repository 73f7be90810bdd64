#include <stdbool.h>

#include "mltq_stock.h"

/* The largest value of a channel of a window, or the mean; without the padding. */
static int32_t pool(const MltqWindow* window, bool mean, const int8_t* input, int32_t top,
                    int32_t left) {
  int32_t largest = INT8_MIN;
  int32_t sum = 0;
  int32_t count = 0;
  for (int32_t y = top; y < top + window->filter_h; y++) {
    for (int32_t x = left; x < left + window->filter_w; x++) {
      if (y < 0 || y >= window->input_h || x < 0 || x >= window->input_w) continue;
      const int32_t value = input[(y * window->input_w + x) * window->input_channels];
      if (value > largest) largest = value;
      sum += value;
      count++;
    }
  }
  if (!mean) return largest;
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static void pool_image(const MltqWindow* window, bool mean, const int8_t* input, int8_t* output,
                       int32_t minimum, int32_t maximum) {
  for (int32_t y = 0; y < window->output_h; y++) {
    for (int32_t x = 0; x < window->output_w; x++) {
      for (int32_t channel = 0; channel < window->output_channels; channel++) {
        const int32_t value =
            pool(window, mean, input + channel, y * window->stride_h - window->pad_top,
                 x * window->stride_w - window->pad_left);
        *output++ = mltq_clamp_s8(value, minimum, maximum);
      }
    }
  }
}

void mltq_stock_average_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                                   int32_t activation_min, int32_t activation_max) {
  pool_image(window, true, input, output, activation_min, activation_max);
}

void mltq_stock_max_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                               int32_t activation_min, int32_t activation_max) {
  pool_image(window, false, input, output, activation_min, activation_max);
}
