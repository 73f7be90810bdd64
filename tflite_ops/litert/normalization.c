#include "normalization.h"

#include <string.h>

#include "../core/mltq.h"

#define NAME "MLTQ_NORMALIZATION"

enum { kInput = 0, kPacked = 1 };

bool mltq_is_normalization(const TfLiteRegistration* registration) {
  return registration->builtin_code == kTfLiteBuiltinCustom && registration->custom_name != NULL &&
         strcmp(registration->custom_name, NAME) == 0;
}

static MltqTensorShape shape_of(const TfLiteTensor* tensor) {
  const MltqTensorShape shape = {tensor->dims->data, tensor->dims->size};
  return shape;
}

static MltqStatus check_tensors(const TfLiteContext* context, const TfLiteNode* replaced) {
  /* A negative index is an optional tensor that is absent. */
  if (replaced->inputs->size != 2 || replaced->outputs->size != 1 ||
      replaced->inputs->data[kInput] < 0 || replaced->inputs->data[kPacked] < 0) {
    return MLTQ_ERROR_TENSOR_COUNT;
  }
  const TfLiteTensor* input = &context->tensors[replaced->inputs->data[kInput]];
  const TfLiteTensor* packed = &context->tensors[replaced->inputs->data[kPacked]];
  const TfLiteTensor* output = &context->tensors[replaced->outputs->data[0]];
  if (input->type != kTfLiteInt8 || packed->type != kTfLiteUInt8 || output->type != kTfLiteInt8) {
    return MLTQ_ERROR_TENSOR_TYPE;
  }
  if (packed->allocation_type != kTfLiteMmapRo || packed->data == NULL) {
    return MLTQ_ERROR_NOT_CONSTANT;
  }
  return mltq_normalization_check(packed->data, packed->bytes, shape_of(input), shape_of(output));
}

TfLiteStatus mltq_normalization_prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == NULL) return kTfLiteError;
  const MltqStatus status = check_tensors(context, node->user_data);
  if (status == MLTQ_OK) return kTfLiteOk;
  context->ReportError(context, "%s: %s", NAME, mltq_normalization_message(status));
  return kTfLiteError;
}

TfLiteStatus mltq_normalization_invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteNode* replaced = node->user_data;
  const TfLiteTensor* input = &context->tensors[replaced->inputs->data[kInput]];
  const TfLiteTensor* packed = &context->tensors[replaced->inputs->data[kPacked]];
  const TfLiteTensor* output = &context->tensors[replaced->outputs->data[0]];
  /* The runtime allocates no output that nothing reads. */
  if (output->data == NULL) return kTfLiteOk;
  if (input->data == NULL) return kTfLiteError;
  mltq_normalization_s8(packed->data, input->data, output->data);
  return kTfLiteOk;
}
