#include "../core/mltq.h"
#include "mltq_tflm.h"

enum { kInputTensor = 0, kPackedTensor = 1, kOutputTensor = 0 };

static MltqTensorShape shape_of(const TfLiteEvalTensor* tensor) {
  const MltqTensorShape shape = {tensor->dims->data, tensor->dims->size};
  return shape;
}

static MltqStatus check_tensors(TfLiteContext* context, const TfLiteNode* node) {
  /* A negative index is an optional tensor that is absent. */
  if (node->inputs->size != 2 || node->outputs->size != 1 || node->inputs->data[kInputTensor] < 0 ||
      node->inputs->data[kPackedTensor] < 0) {
    return MLTQ_ERROR_TENSOR_COUNT;
  }
  const TfLiteEvalTensor* input = context->GetEvalTensor(context, node->inputs->data[kInputTensor]);
  const TfLiteEvalTensor* packed =
      context->GetEvalTensor(context, node->inputs->data[kPackedTensor]);
  const TfLiteEvalTensor* output =
      context->GetEvalTensor(context, node->outputs->data[kOutputTensor]);
  if (input->type != kTfLiteInt8 || packed->type != kTfLiteUInt8 || output->type != kTfLiteInt8) {
    return MLTQ_ERROR_TENSOR_TYPE;
  }
  /* Only a constant has its data before the memory is planned. */
  if (packed->data.data == NULL) return MLTQ_ERROR_NOT_CONSTANT;
  const int32_t bytes = mltq_tensor_size(shape_of(packed));
  return mltq_normalization_check(packed->data.uint8, bytes < 0 ? 0 : (size_t)bytes,
                                  shape_of(input), shape_of(output));
}

static TfLiteStatus op_prepare(TfLiteContext* context, TfLiteNode* node) {
  const MltqStatus status = check_tensors(context, node);
  if (status == MLTQ_OK) return kTfLiteOk;
  context->ReportError(context, "%s: %s", MLTQ_NORMALIZATION_NAME,
                       mltq_normalization_message(status));
  return kTfLiteError;
}

static TfLiteStatus op_invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = context->GetEvalTensor(context, node->inputs->data[kInputTensor]);
  const TfLiteEvalTensor* packed =
      context->GetEvalTensor(context, node->inputs->data[kPackedTensor]);
  TfLiteEvalTensor* output = context->GetEvalTensor(context, node->outputs->data[kOutputTensor]);
  mltq_normalization_s8(packed->data.uint8, input->data.int8, output->data.data);
  return kTfLiteOk;
}

static const struct TFLMRegistration kNormalization = {
    NULL, NULL, op_prepare, op_invoke, NULL, MLTQ_BUILTIN_CUSTOM, MLTQ_NORMALIZATION_NAME};

const struct TFLMRegistration* mltq_tflm_normalization(void) { return &kNormalization; }
