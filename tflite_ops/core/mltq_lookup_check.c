#include "mltq.h"
#include "mltq_status_text.h"

MltqStatus mltq_lookup_check(MltqTensorShape input, MltqTensorShape table, MltqTensorShape output) {
  const int32_t size = mltq_tensor_size(input);
  if (mltq_tensor_size(table) != MLTQ_LOOKUP_TABLE_SIZE) return MLTQ_ERROR_TABLE_SIZE;
  if (size < 0) return MLTQ_ERROR_INPUT_SHAPE;
  if (mltq_tensor_size(output) != size) return MLTQ_ERROR_OUTPUT_SHAPE;
  return MLTQ_OK;
}

static const MltqStatusText kTexts[] = {
    {MLTQ_ERROR_TENSOR_COUNT, "tensors: expected an input, a table and one output"},
    {MLTQ_ERROR_TENSOR_TYPE, "tensors: input, table and output must be int8"},
    {MLTQ_ERROR_NOT_CONSTANT, "table tensor: must be constant"},
    {MLTQ_ERROR_TABLE_SIZE, "table tensor: must have 256 values"},
    {MLTQ_ERROR_INPUT_SHAPE, "input tensor: shape is out of range"},
    {MLTQ_ERROR_OUTPUT_SHAPE, "output tensor: must have as many values as the input"},
};

const char* mltq_lookup_message(MltqStatus status) {
  return mltq_status_text(kTexts, sizeof kTexts / sizeof kTexts[0], status);
}
