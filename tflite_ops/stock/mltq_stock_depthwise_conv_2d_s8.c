#include "mltq_stock.h"

void mltq_stock_depthwise_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                     const int8_t* input, int8_t* output) {
  const int32_t channels = window->output_channels;
  const int32_t multiplier = channels / window->input_channels;
  for (int32_t y = 0; y < window->output_h; y++) {
    for (int32_t x = 0; x < window->output_w; x++) {
      for (int32_t channel = 0; channel < channels; channel++) {
        int32_t sum = weights->biases != NULL ? weights->biases[channel] : 0;
        const int8_t* filter = weights->filter + channel;
        for (int32_t ky = 0; ky < window->filter_h; ky++) {
          const int32_t row = y * window->stride_h - window->pad_top + ky * window->dilation_h;
          for (int32_t kx = 0; kx < window->filter_w; kx++, filter += channels) {
            const int32_t column =
                x * window->stride_w - window->pad_left + kx * window->dilation_w;
            if (row < 0 || row >= window->input_h || column < 0 || column >= window->input_w) {
              continue;
            }
            const int32_t pixel = (row * window->input_w + column) * window->input_channels;
            sum += *filter * (input[pixel + channel / multiplier] + weights->input_offset);
          }
        }
        const MltqFixedPoint factor = weights->factors[(size_t)channel * weights->factor_step];
        *output++ = mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + weights->output_offset,
                                  weights->activation_min, weights->activation_max);
      }
    }
  }
}
