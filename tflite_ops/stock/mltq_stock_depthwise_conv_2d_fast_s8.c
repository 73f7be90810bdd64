/* Four channels at a time, for all positions: a tap of the filter is one load of each side. */
#include <stdbool.h>
#include <string.h>

#include "../core/mltq_compiler.h"
#include "mltq_requantize.h"

#define TOGETHER 4

/* Each variant has: sums of four channels, the biases that they begin with, the products of a tap,
 * and what makes outputs of them. */
#if MLTQ_HELIUM
#include <arm_mve.h>

typedef int32x4_t Sums;

typedef struct {
  int32x4_t multipliers;
  int32x4_t nudges;
  int32x4_t shifts;
} Factors;

static inline Sums begin_sums(const int32_t* biases) { return vldrwq_s32(biases); }

static inline void add_products(Sums* sums, const int8_t* input, const int8_t* filter) {
  *sums = vaddq_s32(*sums, vmulq_s32(vldrbq_s32(input), vldrbq_s32(filter)));
}

static inline Factors begin_factors(const MltqFastFactor* from) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), sizeof *from);
  return (Factors){
      .multipliers = vldrwq_gather_offset_s32(&from->multiplier, places),
      .nudges = vldrwq_gather_offset_s32(&from->nudge, places),
      .shifts = vnegq_s32(vldrwq_gather_offset_s32(&from->shift, places)),
  };
}

static inline void store(const Factors* factors, const Sums* sums, int8_t* output) {
  int32x4_t value = vqrdmulhq_s32(*sums, factors->multipliers);
  value = vaddq_s32(value, vshrq_n_s32(value, 31));
  value = vshlq_s32(vaddq_s32(value, factors->nudges), factors->shifts);
  value = vmaxq_s32(vminq_s32(value, vdupq_n_s32(INT8_MAX)), vdupq_n_s32(INT8_MIN));
  vstrbq_s32(output, value);
}

#else

typedef struct {
  int32_t of[TOGETHER];
} Sums;

typedef struct {
  const MltqFastFactor* of;
} Factors;

static inline Sums begin_sums(const int32_t* biases) {
  return (Sums){{biases[0], biases[1], biases[2], biases[3]}};
}

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(MLTQ_PORTABLE)
#include <arm_acle.h>

static inline void add_products(Sums* sums, const int8_t* input, const int8_t* filter) {
  int32_t x, w, of_x, of_w;
  memcpy(&x, input, 4);
  memcpy(&w, filter, 4);
  __asm__("sxtb16 %0, %1" : "=r"(of_x) : "r"(x));
  __asm__("sxtb16 %0, %1" : "=r"(of_w) : "r"(w));
  __asm__("smlabb %0, %1, %2, %0" : "+r"(sums->of[0]) : "r"(of_x), "r"(of_w));
  __asm__("smlatt %0, %1, %2, %0" : "+r"(sums->of[2]) : "r"(of_x), "r"(of_w));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(of_x) : "r"(x));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(of_w) : "r"(w));
  __asm__("smlabb %0, %1, %2, %0" : "+r"(sums->of[1]) : "r"(of_x), "r"(of_w));
  __asm__("smlatt %0, %1, %2, %0" : "+r"(sums->of[3]) : "r"(of_x), "r"(of_w));
}

#else

static inline void add_products(Sums* sums, const int8_t* input, const int8_t* filter) {
  sums->of[0] += (int32_t)input[0] * filter[0];
  sums->of[1] += (int32_t)input[1] * filter[1];
  MLTQ_IN_ORDER();
  sums->of[2] += (int32_t)input[2] * filter[2];
  sums->of[3] += (int32_t)input[3] * filter[3];
  MLTQ_IN_ORDER();
}

#endif

static inline Factors begin_factors(const MltqFastFactor* from) { return (Factors){from}; }

static inline void store(const Factors* factors, const Sums* sums, int8_t* output) {
  for (int i = 0; i < TOGETHER; i++) {
    output[i] = mltq_requantize_sum(factors->of[i], sums->of[i]);
  }
}

#endif

/* All taps of a window: the value of the first one is at `place`, which may be outside of the
 * input. If `inside`, a constant where this is inlined, none is padding, which is `padding`. */
static inline void add_window(const MltqWindow* window, Sums* sums, const int8_t* filter,
                              const int8_t* input, int32_t place, int32_t top, int32_t left,
                              const bool inside, const int8_t padding[TOGETHER]) {
  const int32_t channels = window->input_channels;
  const int32_t step = window->dilation_w * channels;
  const int32_t row_step =
      window->dilation_h * window->input_w * channels - window->filter_w * step;
  for (int32_t ky = window->filter_h; ky > 0; ky--, top += window->dilation_h) {
    int32_t column = left;
    for (int32_t kx = window->filter_w; kx > 0; kx--) {
      const bool is_input =
          inside || (top >= 0 && top < window->input_h && column >= 0 && column < window->input_w);
      add_products(sums, is_input ? input + place : padding, filter);
      place += step;
      filter += channels;
      column += window->dilation_w;
    }
    place += row_step;
  }
}

/* Where four do not divide the channels, some of the last are made once more. */
void mltq_stock_depthwise_conv_2d_fast_s8(const MltqWindow* window, const MltqFastWeights* weights,
                                          const int8_t* input, int8_t* output) {
  const int32_t channels = window->input_channels;
  const int32_t reach_h = (window->filter_h - 1) * window->dilation_h;
  const int32_t reach_w = (window->filter_w - 1) * window->dilation_w;
  int8_t padding[TOGETHER];
  memset(padding, (int8_t)weights->input_zero_point, sizeof padding);
  for (int32_t next = 0; next < channels; next += TOGETHER) {
    const int32_t channel = next < channels - TOGETHER ? next : channels - TOGETHER;
    const Factors factors = begin_factors(weights->factors + channel);
    int8_t* to = output + channel;
    for (int32_t y = 0; y < window->output_h; y++) {
      const int32_t top = y * window->stride_h - window->pad_top;
      const bool rows_inside = top >= 0 && top + reach_h < window->input_h;
      int32_t left = -window->pad_left;
      for (int32_t x = 0; x < window->output_w; x++, left += window->stride_w, to += channels) {
        const int8_t* filter = weights->filter + channel;
        const int32_t place = (top * window->input_w + left) * channels + channel;
        Sums sums = begin_sums(weights->biases + channel);
        if (rows_inside && left >= 0 && left + reach_w < window->input_w) {
          add_window(window, &sums, filter, input, place, top, left, true, padding);
        } else {
          add_window(window, &sums, filter, input, place, top, left, false, padding);
        }
        store(&factors, &sums, to);
      }
    }
  }
  mltq_clamp_range_s8(weights->activation_min, weights->activation_max,
                      window->output_h * window->output_w * channels, output);
}
