#include "mltq_broadcast.h"

#define LEFT_SHIFT 20

static int32_t scaled(const MltqAdd* add, int which, int8_t value) {
  return mltq_fixed_point_multiply((value + add->offset[which]) * (INT32_C(1) << LEFT_SHIFT),
                                   add->factor[which]);
}

static int8_t to_output(const MltqAdd* add, int32_t sum) {
  const int32_t value = mltq_fixed_point_multiply(sum, add->output_factor) + add->output_offset;
  return mltq_clamp_s8(value, add->activation_min, add->activation_max);
}

static int8_t sum_of(const void* parameters, int8_t first, int8_t second) {
  const MltqAdd* add = parameters;
  return to_output(add, scaled(add, 0, first) + scaled(add, 1, second));
}

static int8_t difference_of(const void* parameters, int8_t first, int8_t second) {
  const MltqAdd* add = parameters;
  return to_output(add, scaled(add, 0, first) - scaled(add, 1, second));
}

void mltq_stock_add_broadcast_s8(const MltqAdd* add, const MltqBroadcast* broadcast,
                                 const int8_t* first, const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, sum_of, add, first, second, output);
}

void mltq_stock_sub_s8(const MltqAdd* add, const MltqBroadcast* broadcast, const int8_t* first,
                       const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, difference_of, add, first, second, output);
}
