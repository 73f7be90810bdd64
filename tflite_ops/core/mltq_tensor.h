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
int32_t mltq_tensor_size(MltqTensorShape shape);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_TENSOR_H_ */
