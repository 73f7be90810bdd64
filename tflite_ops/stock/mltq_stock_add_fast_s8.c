#include "../core/mltq_compiler.h"
#include "mltq_saturate.h"

#if MLTQ_HELIUM
#include <arm_mve.h>

void mltq_stock_add_fast_s8(const MltqFastAdd* add, int32_t size, const int8_t* first,
                            const int8_t* second, int8_t* output) {
  const int32x4_t offset = vdupq_n_s32(add->offset);
  const int32x4_t minimum = vdupq_n_s32(add->activation_min);
  const int32x4_t maximum = vdupq_n_s32(add->activation_max);
  const int32_t x_factor = add->factor[0];
  const int32_t y_factor = add->factor[1];
  const int32_t shift = -add->shift;
  for (; size >= 4; size -= 4) {
    int32x4_t value = vmlaq_n_s32(offset, vldrbq_s32(first), x_factor);
    first += 4;
    value = vmlaq_n_s32(value, vldrbq_s32(second), y_factor);
    second += 4;
    value = vmaxq_s32(vminq_s32(vshlq_r_s32(value, shift), maximum), minimum);
    vstrbq_s32(output, value);
    output += 4;
  }
  const mve_pred16_t inside = vctp32q((uint32_t)size);
  int32x4_t value = vmlaq_n_s32(offset, vldrbq_z_s32(first, inside), x_factor);
  value = vmlaq_n_s32(value, vldrbq_z_s32(second, inside), y_factor);
  value = vmaxq_s32(vminq_s32(vshlq_r_s32(value, shift), maximum), minimum);
  vstrbq_p_s32(output, value, inside);
}

#else

#define MLTQ_ADD_VALUE(i)                                                                       \
  output[i] = mltq_saturate_s8((offset + x_factor * first[i] + y_factor * second[i]) >> shift); \
  MLTQ_IN_ORDER();

void mltq_stock_add_fast_s8(const MltqFastAdd* add, int32_t size, const int8_t* first,
                            const int8_t* second, int8_t* output) {
  const int32_t x_factor = add->factor[0];
  const int32_t y_factor = add->factor[1];
  const int32_t shift = add->shift;
  const int32_t offset = add->offset;
  int32_t i = 0;
#if defined(__thumb2__) || !defined(__thumb__) /* Thumb-1 loads signed bytes by an index only */
  for (; i <= size - 4; i += 4, first += 4, second += 4, output += 4) {
    MLTQ_ADD_VALUE(0) MLTQ_ADD_VALUE(1) MLTQ_ADD_VALUE(2) MLTQ_ADD_VALUE(3)
  }
  first -= i;
  second -= i;
  output -= i;
#endif
  for (; i < size; i++) {
    MLTQ_ADD_VALUE(i)
  }
  mltq_clamp_range_s8(add->activation_min, add->activation_max, size, output);
}

#endif
