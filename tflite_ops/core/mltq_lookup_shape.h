/* The shapes of a MLTQ_LOOKUP, checked once by the adapters of interpreters. */
#ifndef TFLITE_OPS_CORE_MLTQ_LOOKUP_SHAPE_H_
#define TFLITE_OPS_CORE_MLTQ_LOOKUP_SHAPE_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Dimensions of a tensor, as both interpreters have them. */
typedef struct {
  const int* dims;
  int rank;
} MltqTensorShape;

/* Values of a tensor; -1 where a dimension is negative, or there are more than 2^31 - 1. */
int32_t mltq_tensor_size(MltqTensorShape shape);

/* NULL where the shapes fit each other; otherwise a static text that names the tensor and the rule
 * that it breaks. */
const char* mltq_lookup_shape_problem(MltqTensorShape input, MltqTensorShape table,
                                      MltqTensorShape output);

/* What the adapters say of everything else. */
#define MLTQ_LOOKUP_TENSOR_COUNT "tensors: the operator takes an input and a table, and one output"
#define MLTQ_LOOKUP_TENSOR_TYPE "tensors: input, table and output must be int8"
#define MLTQ_LOOKUP_NOT_CONSTANT "table tensor: must be constant"

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_LOOKUP_SHAPE_H_ */
