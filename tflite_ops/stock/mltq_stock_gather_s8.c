#include "mltq_stock.h"

/* Positions come from the application: whatever they are, no memory outside of the input is read.
 */
static int32_t inside(int32_t position, int32_t size) {
  if (position < 0) return 0;
  return position < size ? position : size - 1;
}

void mltq_stock_gather_s8(const MltqGather* gather, const int32_t* positions, const int8_t* input,
                          int8_t* output) {
  for (int32_t batch = 0; batch < gather->batches; batch++) {
    for (int32_t outer = 0; outer < gather->outer; outer++) {
      for (int32_t i = 0; i < gather->positions; i++) {
        const int8_t* values = input + inside(positions[i], gather->size) * gather->inner;
        for (int32_t j = 0; j < gather->inner; j++) *output++ = values[j];
      }
      input += gather->size * gather->inner;
    }
    positions += gather->positions;
  }
}
