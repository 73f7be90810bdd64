#include "mltq_broadcast.h"

static int8_t larger_of(const void* parameters, int8_t first, int8_t second) {
  (void)parameters;
  return first > second ? first : second;
}

static int8_t smaller_of(const void* parameters, int8_t first, int8_t second) {
  (void)parameters;
  return first < second ? first : second;
}

void mltq_stock_maximum_s8(const MltqBroadcast* broadcast, const int8_t* first,
                           const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, larger_of, NULL, first, second, output);
}

void mltq_stock_minimum_s8(const MltqBroadcast* broadcast, const int8_t* first,
                           const int8_t* second, int8_t* output) {
  mltq_broadcast_s8(broadcast, smaller_of, NULL, first, second, output);
}
