#include "mltq_stock.h"

#define LEFT_SHIFT 20

static int32_t scaled(const MltqAdd* add, int which, int8_t value) {
  return mltq_fixed_point_multiply((value + add->offset[which]) * (INT32_C(1) << LEFT_SHIFT),
                                   add->factor[which]);
}

void mltq_stock_add_s8(const MltqAdd* add, int32_t size, const int8_t* first, const int8_t* second,
                       int8_t* output) {
  for (int32_t i = 0; i < size; i++) {
    const int32_t sum = scaled(add, 0, first[i]) + scaled(add, 1, second[i]);
    const int32_t value = mltq_fixed_point_multiply(sum, add->output_factor) + add->output_offset;
    output[i] = mltq_clamp_s8(value, add->activation_min, add->activation_max);
  }
}
