/* Convolution as products of the filter with patches of the input, those of some output positions
 * at a time. Each of the files below has, for as many as MLTQ_PATCHES:
 *
 *   mltq_patches_clear     prepares the scratch
 *   mltq_patches_gather    brings patches there
 *   mltq_patches_multiply  all outputs of the patches
 *
 * Patches are unsigned, 128 more than the int8 values, where cores load bytes with less effort
 * without a sign. */
#include "../core/mltq_compiler.h"
#include "mltq_requantize.h"

#if MLTQ_HELIUM
#include "mltq_patches_helium.h"
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(MLTQ_PORTABLE)
#include "mltq_patches_dsp.h"
#else
#include "mltq_patches_portable.h"
#endif

void mltq_stock_conv_2d_fast_s8(const MltqWindow* window, const MltqFastWeights* weights,
                                const int8_t* input, int8_t* output, int8_t* scratch) {
  const int32_t size = window->filter_h * window->filter_w * window->input_channels;
  const int32_t row = MLTQ_FAST_ROW(size);
  const int32_t positions = window->output_h * window->output_w;
  uint8_t* patches = (uint8_t*)scratch;
  MltqCorner corner = {-window->pad_top, -window->pad_left};
  int8_t* to = output;
  mltq_patches_clear(patches, row);
  for (int32_t rest = positions; rest > 0; rest -= MLTQ_PATCHES) {
    const int32_t count = rest < MLTQ_PATCHES ? rest : MLTQ_PATCHES;
    mltq_patches_gather(window, weights->input_zero_point, input, &corner, patches, row, count);
    mltq_patches_multiply(weights, window->output_channels, row, patches, count, to);
    to += count * window->output_channels;
  }
  mltq_clamp_range_s8(weights->activation_min, weights->activation_max,
                      positions * window->output_channels, output);
}
