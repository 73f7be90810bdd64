/* A MLTQ_NORMALIZATION, checked once by the adapters of interpreters. */
#ifndef TFLITE_OPS_CORE_MLTQ_NORMALIZATION_CHECK_H_
#define TFLITE_OPS_CORE_MLTQ_NORMALIZATION_CHECK_H_

#include <stddef.h>

#include "mltq_lookup_shape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL where the operator can run; otherwise a static text that names the field or tensor and the
 * rule that it breaks. */
const char* mltq_normalization_problem(const uint8_t* packed, size_t packed_bytes,
                                       MltqTensorShape input, MltqTensorShape output);

/* What the adapters say of everything else. */
#define MLTQ_NORMALIZATION_TENSOR_COUNT \
  "tensors: the operator takes an input and a packed tensor, and one output"
#define MLTQ_NORMALIZATION_TENSOR_TYPE \
  "tensors: input and output must be int8 and the packed tensor uint8"
#define MLTQ_NORMALIZATION_NOT_CONSTANT "packed tensor: must be constant"

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_NORMALIZATION_CHECK_H_ */
