/* The input values that an output position of a convolution is made of, in the order of the filter.
 *
 * Included after definitions of MLTQ_PATCH_STEP, how far a value is from the next, and of
 * MLTQ_PATCH_SIGN, which is 0x80 where patches are unsigned, 128 more than the int8 values, and 0
 * where they are signed. */
#ifndef TFLITE_OPS_STOCK_MLTQ_PATCH_H_
#define TFLITE_OPS_STOCK_MLTQ_PATCH_H_

#include <stdbool.h>
#include <string.h>

#include "../core/mltq_compiler.h"
#include "mltq_stock.h"

/* Where the patch of an output position begins in the input. */
typedef struct {
  int32_t top;
  int32_t left;
} MltqCorner;

/* The next position: to the right, or first of the next row. */
static inline void mltq_corner_next(const MltqWindow* window, MltqCorner* corner) {
  corner->left += window->stride_w;
  if (corner->left == window->output_w * window->stride_w - window->pad_left) {
    corner->left = -window->pad_left;
    corner->top += window->stride_h;
  }
}

/* In order, or compilers call the C library for a few bytes. */
static inline uint8_t* mltq_patch_copy(uint8_t* restrict to, const int8_t* restrict from,
                                       int32_t count) {
#if MLTQ_PATCH_STEP == 1
  for (; count >= 4; count -= 4, from += 4, to += 4) {
    memcpy(to, from, 4);
    MLTQ_IN_ORDER();
  }
#else
  for (; count >= 4; count -= 4, from += 4, to += 4 * MLTQ_PATCH_STEP) {
    to[0] = (uint8_t)(from[0] ^ MLTQ_PATCH_SIGN);
    to[MLTQ_PATCH_STEP] = (uint8_t)(from[1] ^ MLTQ_PATCH_SIGN);
    to[2 * MLTQ_PATCH_STEP] = (uint8_t)(from[2] ^ MLTQ_PATCH_SIGN);
    to[3 * MLTQ_PATCH_STEP] = (uint8_t)(from[3] ^ MLTQ_PATCH_SIGN);
    MLTQ_IN_ORDER();
  }
#endif
  for (; count > 0; count--, to += MLTQ_PATCH_STEP) {
    *to = (uint8_t)(*from++ ^ MLTQ_PATCH_SIGN);
    MLTQ_IN_ORDER();
  }
  return to;
}

static inline uint8_t* mltq_patch_fill(uint8_t* to, uint8_t value, int32_t count) {
  for (; count > 0; count--, to += MLTQ_PATCH_STEP) {
    *to = value;
    MLTQ_IN_ORDER();
  }
  return to;
}

/* A row of taps, some of them outside of the input: `values` begins where the input row does. */
static MLTQ_NOINLINE uint8_t* mltq_patch_edge(const MltqWindow* window, uint8_t padding,
                                              const int8_t* values, int32_t left, uint8_t* to) {
  const int32_t channels = window->input_channels;
  int32_t taps = window->filter_w;
  if (values == NULL) return mltq_patch_fill(to, padding, taps * channels);
  for (; taps > 0; taps--, left += window->dilation_w) {
    if (left >= 0 && left < window->input_w) {
      to = mltq_patch_copy(to, values + left * channels, channels);
    } else {
      to = mltq_patch_fill(to, padding, channels);
    }
  }
  return to;
}

/* Rows of taps that are neighbours in the input, all of them inside. */
static MLTQ_NOINLINE void mltq_patch_rows(const int8_t* from, int32_t pitch, int32_t rows,
                                          int32_t count, uint8_t* to) {
  for (; rows > 0; rows--, from += pitch) to = mltq_patch_copy(to, from, count);
}

/* One patch; padding is the zero point. */
static inline void mltq_patch_gather(const MltqWindow* window, int32_t zero_point,
                                     const int8_t* input, MltqCorner corner, uint8_t* to) {
  const int32_t channels = window->input_channels;
  const int32_t pitch = window->input_w * channels;
  const int32_t reach = (window->filter_h - 1) * window->dilation_h;
  int32_t top = corner.top;
  if (window->dilation_w == 1 && corner.left >= 0 &&
      corner.left + window->filter_w <= window->input_w && top >= 0 &&
      top + reach < window->input_h) {
    mltq_patch_rows(input + top * pitch + corner.left * channels, window->dilation_h * pitch,
                    window->filter_h, window->filter_w * channels, to);
    return;
  }
  for (int32_t ky = window->filter_h; ky > 0; ky--, top += window->dilation_h) {
    const bool is_input = top >= 0 && top < window->input_h;
    to = mltq_patch_edge(window, (uint8_t)(zero_point ^ MLTQ_PATCH_SIGN),
                         is_input ? input + top * pitch : NULL, corner.left, to);
  }
}

#endif /* TFLITE_OPS_STOCK_MLTQ_PATCH_H_ */
