/* A loop over two inputs that are broadcast, for the operators of two inputs. */
#ifndef TFLITE_OPS_STOCK_MLTQ_BROADCAST_H_
#define TFLITE_OPS_STOCK_MLTQ_BROADCAST_H_

#include "mltq_stock.h"

/* Inlined with its function, so that no value costs a call. */
static inline void mltq_broadcast_s8(const MltqBroadcast* broadcast,
                                     int8_t (*function)(const void* parameters, int8_t first,
                                                        int8_t second),
                                     const void* parameters, const int8_t* first,
                                     const int8_t* second, int8_t* output) {
  const int32_t* size = broadcast->size;
  const int32_t* step = broadcast->stride[0];
  const int32_t* other_step = broadcast->stride[1];
  for (int32_t i = 0; i < size[0]; i++) {
    for (int32_t j = 0; j < size[1]; j++) {
      for (int32_t k = 0; k < size[2]; k++) {
        const int8_t* a = first + i * step[0] + j * step[1] + k * step[2];
        const int8_t* b = second + i * other_step[0] + j * other_step[1] + k * other_step[2];
        for (int32_t n = 0; n < size[3]; n++) {
          *output++ = function(parameters, *a, *b);
          a += step[3];
          b += other_step[3];
        }
      }
    }
  }
}

#endif /* TFLITE_OPS_STOCK_MLTQ_BROADCAST_H_ */
