#include "mltq_broadcast.h"

#define LEFT_SHIFT 7 /* a difference squared fits into 32 bits */

static int32_t scaled(const MltqAdd* add, int which, int8_t value) {
  return mltq_fixed_point_multiply((value + add->offset[which]) * (INT32_C(1) << LEFT_SHIFT),
                                   add->factor[which]);
}

static int8_t squared(const void* parameters, int8_t first, int8_t second) {
  const MltqAdd* add = parameters;
  const int32_t difference = scaled(add, 0, first) - scaled(add, 1, second);
  const int32_t value = mltq_fixed_point_multiply(difference * difference, add->output_factor);
  return mltq_clamp_s8(value + add->output_offset, add->activation_min, add->activation_max);
}

void mltq_stock_squared_difference_s8(const MltqAdd* add, const MltqBroadcast* broadcast,
                                      const int8_t* first, const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, squared, add, first, second, output);
}
