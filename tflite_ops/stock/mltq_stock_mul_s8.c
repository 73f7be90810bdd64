#include "mltq_broadcast.h"

static int8_t product_of(const void* parameters, int8_t first, int8_t second) {
  const MltqMul* mul = parameters;
  const int32_t product = (first + mul->offset[0]) * (second + mul->offset[1]);
  const int32_t value = mltq_fixed_point_multiply(product, mul->factor) + mul->output_offset;
  return mltq_clamp_s8(value, mul->activation_min, mul->activation_max);
}

void mltq_stock_mul_s8(const MltqMul* mul, const MltqBroadcast* broadcast, const int8_t* first,
                       const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, product_of, mul, first, second, output);
}
