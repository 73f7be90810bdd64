/* Sum of one window of an output channel, for convolutions. */
#ifndef TFLITE_OPS_STOCK_MLTQ_WINDOW_SUM_H_
#define TFLITE_OPS_STOCK_MLTQ_WINDOW_SUM_H_

#include "mltq_stock.h"

/* Of `channels` channels of the input, which begin at `input`; those of a pixel are
 * `window->input_channels`. */
static inline int32_t mltq_window_sum(const MltqWindow* window, const MltqWeights* weights,
                                      int32_t channels, const int8_t* filter, const int8_t* input,
                                      int32_t top, int32_t left) {
  int32_t sum = 0;
  for (int32_t ky = 0; ky < window->filter_h; ky++) {
    const int32_t y = top + ky * window->dilation_h;
    for (int32_t kx = 0; kx < window->filter_w; kx++) {
      const int32_t x = left + kx * window->dilation_w;
      if (y >= 0 && y < window->input_h && x >= 0 && x < window->input_w) {
        const int8_t* values = input + (y * window->input_w + x) * window->input_channels;
        for (int32_t i = 0; i < channels; i++) {
          sum += filter[i] * (values[i] + weights->input_offset);
        }
      }
      filter += channels;
    }
  }
  return sum;
}

#endif /* TFLITE_OPS_STOCK_MLTQ_WINDOW_SUM_H_ */
