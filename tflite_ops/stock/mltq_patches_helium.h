/* Patches for Helium: four, as bytes, each in whole vectors. */
#ifndef TFLITE_OPS_STOCK_MLTQ_PATCHES_HELIUM_H_
#define TFLITE_OPS_STOCK_MLTQ_PATCHES_HELIUM_H_

#include <arm_mve.h>

#define MLTQ_PATCHES 4
#define MLTQ_PATCH_STEP 1
#define MLTQ_PATCH_SIGN 0
#include "mltq_patch.h"

static inline int32_t mltq_patches_pitch(int32_t row) { return (row + 15) & ~15; }

/* Vectors of the filter reach into the next row, which is multiplied by 0. Sums of patches beyond
 * the last are not stored. */
static inline void mltq_patches_clear(uint8_t* patches, int32_t row) {
  memset(patches, 0, (size_t)(MLTQ_PATCHES * mltq_patches_pitch(row)));
}

static inline void mltq_patches_gather(const MltqWindow* window, int32_t zero_point,
                                       const int8_t* input, MltqCorner* corner, uint8_t* patches,
                                       int32_t row, int32_t count) {
  for (int32_t i = 0; i < count; i++, patches += mltq_patches_pitch(row)) {
    mltq_patch_gather(window, zero_point, input, *corner, patches);
    mltq_corner_next(window, corner);
  }
}

static MLTQ_NOINLINE void mltq_patches_multiply(const MltqFastWeights* weights, int32_t channels,
                                                int32_t row, const uint8_t* patches, int32_t count,
                                                int8_t* output) {
  const int32_t pitch = mltq_patches_pitch(row);
  const int8_t* filter = weights->filter;
  const mve_pred16_t stored = vctp32q((uint32_t)count);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)channels);
  const MltqFastFactor* of = weights->factors;
  for (int32_t channel = 0; channel < channels; channel++, filter += row) {
    const int8_t* w = filter;
    const int8_t* x0 = (const int8_t*)patches;
    const int8_t* x1 = x0 + pitch;
    const int8_t* x2 = x1 + pitch;
    const int8_t* x3 = x2 + pitch;
    int32_t a0 = weights->biases[channel], a1 = a0, a2 = a0, a3 = a0;
    for (int32_t rest = pitch; rest > 0; rest -= 16) {
      const int8x16_t weight = vldrbq_s8(w);
      w += 16;
      a0 = vmladavaq_s8(a0, weight, vldrbq_s8(x0));
      x0 += 16;
      a1 = vmladavaq_s8(a1, weight, vldrbq_s8(x1));
      x1 += 16;
      a2 = vmladavaq_s8(a2, weight, vldrbq_s8(x2));
      x2 += 16;
      a3 = vmladavaq_s8(a3, weight, vldrbq_s8(x3));
      x3 += 16;
    }
    int32x4_t sums = vdupq_n_s32(a0);
    sums = vsetq_lane_s32(a1, sums, 1);
    sums = vsetq_lane_s32(a2, sums, 2);
    sums = vsetq_lane_s32(a3, sums, 3);
    sums = vqrdmulhq_n_s32(sums, of->multiplier);
    sums = vaddq_s32(sums, vshrq_n_s32(sums, 31));
    sums = vaddq_n_s32(sums, of->nudge);
    sums = vshlq_r_s32(sums, -of->shift);
    of++;
    /* Saturated to 16 bits, then to 8. */
    const int16x8_t halves = vqmovnbq_s32(vdupq_n_s16(0), sums);
    const int8x16_t bytes = vqmovnbq_s16(vdupq_n_s8(0), halves);
    vstrbq_scatter_offset_p_s32(output++, places, vreinterpretq_s32_s8(bytes), stored);
  }
}

#endif /* TFLITE_OPS_STOCK_MLTQ_PATCHES_HELIUM_H_ */
