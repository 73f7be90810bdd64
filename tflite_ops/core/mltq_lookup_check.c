#include "mltq.h"

MltqStatus mltq_lookup_check(MltqTensorShape input, MltqTensorShape table, MltqTensorShape output) {
  const int32_t size = mltq_tensor_size(input);
  if (mltq_tensor_size(table) != MLTQ_LOOKUP_TABLE_SIZE) return MLTQ_ERROR_TABLE_SIZE;
  if (size < 0) return MLTQ_ERROR_INPUT_SHAPE;
  if (mltq_tensor_size(output) != size) return MLTQ_ERROR_OUTPUT_SHAPE;
  return MLTQ_OK;
}

const char* mltq_lookup_message(MltqStatus status) {
  switch (status) {
    case MLTQ_ERROR_TENSOR_COUNT:
      return "tensors: the operator takes an input and a table, and one output";
    case MLTQ_ERROR_TENSOR_TYPE:
      return "tensors: input, table and output must be int8";
    case MLTQ_ERROR_NOT_CONSTANT:
      return "table tensor: must be constant";
    case MLTQ_ERROR_TABLE_SIZE:
      return "table tensor: must have 256 values";
    case MLTQ_ERROR_INPUT_SHAPE:
      return "input tensor: shape is out of range";
    case MLTQ_ERROR_OUTPUT_SHAPE:
      return "output tensor: must have as many values as the input";
    default:
      return mltq_status_message(status);
  }
}
