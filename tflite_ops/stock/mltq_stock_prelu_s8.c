#include "mltq_broadcast.h"

static int8_t bent(const void* parameters, int8_t input, int8_t slope) {
  const MltqPrelu* prelu = parameters;
  const int32_t value = input + prelu->offset[0];
  const int32_t scaled = value >= 0 ? mltq_fixed_point_multiply(value, prelu->positive_factor)
                                    : mltq_fixed_point_multiply(value * (slope + prelu->offset[1]),
                                                                prelu->negative_factor);
  return mltq_clamp_s8(scaled + prelu->output_offset, INT8_MIN, INT8_MAX);
}

void mltq_stock_prelu_s8(const MltqPrelu* prelu, const MltqBroadcast* broadcast,
                         const int8_t* input, const int8_t* slopes, int8_t* output) {
  mltq_broadcast_s8(broadcast, bent, prelu, input, slopes, output);
}
