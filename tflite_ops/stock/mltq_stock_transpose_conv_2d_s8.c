#include "mltq_stock.h"

/* The input position that filter row or column `tap` brings to an output position; -1 for none. */
static int32_t source(int32_t position, int32_t tap, int32_t stride, int32_t size) {
  const int32_t reached = position - tap;
  if (reached < 0 || reached % stride != 0 || reached / stride >= size) return -1;
  return reached / stride;
}

/* Gathers what TensorFlow Lite scatters: the same sum without a buffer for sums. */
static int32_t window_sum(const MltqWindow* window, const MltqWeights* weights,
                          const int8_t* filter, const int8_t* input, int32_t top, int32_t left) {
  const int32_t channels = window->input_channels;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < window->filter_h; ky++) {
    const int32_t y = source(top, ky, window->stride_h, window->input_h);
    for (int32_t kx = 0; kx < window->filter_w; kx++) {
      const int32_t x = source(left, kx, window->stride_w, window->input_w);
      if (y >= 0 && x >= 0) {
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

void mltq_stock_transpose_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                     const int8_t* input, int8_t* output) {
  const int32_t row_size = window->filter_h * window->filter_w * window->input_channels;
  for (int32_t y = 0; y < window->output_h; y++) {
    for (int32_t x = 0; x < window->output_w; x++) {
      for (int32_t channel = 0; channel < window->output_channels; channel++) {
        int32_t sum = window_sum(window, weights, weights->filter + channel * row_size, input,
                                 y + window->pad_top, x + window->pad_left);
        if (weights->biases != NULL) sum += weights->biases[channel];
        const MltqFixedPoint factor = weights->factors[(size_t)channel * weights->factor_step];
        *output++ = mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + weights->output_offset,
                                  weights->activation_min, weights->activation_max);
      }
    }
  }
}
