#include "mltq_tensor.h"

int32_t mltq_tensor_size(MltqTensorShape shape) {
  int64_t size = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dims[i] < 0) return -1;
    size *= shape.dims[i];
    if (size > INT32_MAX) return -1;
  }
  return (int32_t)size;
}
