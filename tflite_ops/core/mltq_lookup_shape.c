#include "mltq_lookup_shape.h"

#include <stddef.h>

#include "mltq_lookup_s8.h"

int32_t mltq_tensor_size(MltqTensorShape shape) {
  int64_t size = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dims[i] < 0) return -1;
    size *= shape.dims[i];
    if (size > INT32_MAX) return -1;
  }
  return (int32_t)size;
}

const char* mltq_lookup_shape_problem(MltqTensorShape input, MltqTensorShape table,
                                      MltqTensorShape output) {
  const int32_t size = mltq_tensor_size(input);
  if (mltq_tensor_size(table) != MLTQ_LOOKUP_TABLE_SIZE) {
    return "table tensor: must have 256 values";
  }
  if (size < 0) return "input tensor: shape is out of range";
  if (mltq_tensor_size(output) != size) {
    return "output tensor: must have as many values as the input";
  }
  return NULL;
}
