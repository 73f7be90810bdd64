#include "mltq_stock.h"

/* Sum of one window of an output channel. */
static int32_t window_sum(const MltqWindow* window, const MltqWeights* weights,
                          const int8_t* filter, const int8_t* input, int32_t top, int32_t left) {
  int32_t sum = 0;
  for (int32_t ky = 0; ky < window->filter_h; ky++) {
    const int32_t y = top + ky * window->dilation_h;
    for (int32_t kx = 0; kx < window->filter_w; kx++) {
      const int32_t x = left + kx * window->dilation_w;
      const int32_t channels = window->input_channels;
      if (y >= 0 && y < window->input_h && x >= 0 && x < window->input_w) {
        const int8_t* values = input + (y * window->input_w + x) * channels;
        for (int32_t i = 0; i < channels; i++) {
          sum += filter[i] * (values[i] + weights->input_offset);
        }
      }
      filter += channels;
    }
  }
  return sum;
}

void mltq_stock_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                           const int8_t* input, int8_t* output) {
  const int32_t row_size = window->filter_h * window->filter_w * window->input_channels;
  for (int32_t y = 0; y < window->output_h; y++) {
    for (int32_t x = 0; x < window->output_w; x++) {
      const int32_t top = y * window->stride_h - window->pad_top;
      const int32_t left = x * window->stride_w - window->pad_left;
      for (int32_t channel = 0; channel < window->output_channels; channel++) {
        int32_t sum =
            window_sum(window, weights, weights->filter + channel * row_size, input, top, left);
        if (weights->biases != NULL) sum += weights->biases[channel];
        const MltqFixedPoint factor = weights->factors[(size_t)channel * weights->factor_step];
        *output++ = mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + weights->output_offset,
                                  weights->activation_min, weights->activation_max);
      }
    }
  }
}
