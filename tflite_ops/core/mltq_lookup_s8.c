#include "mltq.h"

void mltq_lookup_s8(const int8_t* table, int32_t size, const int8_t* input, int8_t* output) {
  const int8_t* of_zero = table + MLTQ_LOOKUP_TABLE_SIZE / 2;
  for (int32_t i = 0; i < size; i++) output[i] = of_zero[input[i]];
}
