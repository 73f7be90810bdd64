#include "mltq_window_sum.h"

void mltq_stock_grouped_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                   int32_t groups, const int8_t* input, int8_t* output) {
  const int32_t channels = window->input_channels / groups;
  const int32_t outputs = window->output_channels / groups;
  const int32_t row_size = window->filter_h * window->filter_w * channels;
  for (int32_t y = 0; y < window->output_h; y++) {
    for (int32_t x = 0; x < window->output_w; x++) {
      const int32_t top = y * window->stride_h - window->pad_top;
      const int32_t left = x * window->stride_w - window->pad_left;
      for (int32_t channel = 0; channel < window->output_channels; channel++) {
        int32_t sum =
            mltq_window_sum(window, weights, channels, weights->filter + channel * row_size,
                            input + channel / outputs * channels, top, left);
        if (weights->biases != NULL) sum += weights->biases[channel];
        const MltqFixedPoint factor = weights->factors[(size_t)channel * weights->factor_step];
        *output++ = mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + weights->output_offset,
                                  weights->activation_min, weights->activation_max);
      }
    }
  }
}
