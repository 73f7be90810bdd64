#include "mltq.h"

MltqStatus mltq_lookup_check(MltqTensorShape input, MltqTensorShape table, MltqTensorShape output) {
  const int32_t size = mltq_tensor_size(input);
  if (mltq_tensor_size(table) != MLTQ_LOOKUP_TABLE_SIZE) return MLTQ_ERROR_TABLE_SIZE;
  if (size < 0) return MLTQ_ERROR_INPUT_SHAPE;
  if (mltq_tensor_size(output) != size) return MLTQ_ERROR_OUTPUT_SHAPE;
  return MLTQ_OK;
}

const char* mltq_lookup_message(MltqStatus status) {
  const char* text = NULL;
  switch (status) {
    case MLTQ_ERROR_TENSOR_COUNT:
      text = "tensors: the operator takes an input and a table, and one output";
      break;
    case MLTQ_ERROR_TENSOR_TYPE:
      text = "tensors: input, table and output must be int8";
      break;
    case MLTQ_ERROR_NOT_CONSTANT:
      text = "table tensor: must be constant";
      break;
    case MLTQ_ERROR_TABLE_SIZE:
      text = "table tensor: must have 256 values";
      break;
    case MLTQ_ERROR_INPUT_SHAPE:
      text = "input tensor: shape is out of range";
      break;
    case MLTQ_ERROR_OUTPUT_SHAPE:
      text = "output tensor: must have as many values as the input";
      break;
    default:
      break;
  }
  return text != NULL ? text : mltq_status_message(status);
}
