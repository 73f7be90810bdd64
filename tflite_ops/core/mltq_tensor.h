/* Shapes of tensors, as interpreters have them. */
#ifndef TFLITE_OPS_CORE_MLTQ_TENSOR_H_
#define TFLITE_OPS_CORE_MLTQ_TENSOR_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const int* dims;
  int rank;
} MltqTensorShape;

/* Values of a tensor; -1 where a dimension is negative, or there are more than 2^31 - 1. */
static inline int32_t mltq_tensor_size(MltqTensorShape shape) {
  int64_t size = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dims[i] < 0) return -1;
    size *= shape.dims[i];
    if (size > INT32_MAX) return -1;
  }
  return (int32_t)size;
}

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_TENSOR_H_ */
