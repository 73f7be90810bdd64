#include "lookup.h"

#include <string.h>

#include "../core/mltq.h"

#define NAME "MLTQ_LOOKUP"

enum { kInput = 0, kTable = 1 };

bool mltq_is_lookup(const TfLiteRegistration* registration) {
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
      replaced->inputs->data[kInput] < 0 || replaced->inputs->data[kTable] < 0) {
    return MLTQ_ERROR_TENSOR_COUNT;
  }
  const TfLiteTensor* input = &context->tensors[replaced->inputs->data[kInput]];
  const TfLiteTensor* table = &context->tensors[replaced->inputs->data[kTable]];
  const TfLiteTensor* output = &context->tensors[replaced->outputs->data[0]];
  if (input->type != kTfLiteInt8 || table->type != kTfLiteInt8 || output->type != kTfLiteInt8) {
    return MLTQ_ERROR_TENSOR_TYPE;
  }
  if (table->allocation_type != kTfLiteMmapRo || table->data == NULL) {
    return MLTQ_ERROR_NOT_CONSTANT;
  }
  return mltq_lookup_check(shape_of(input), shape_of(table), shape_of(output));
}

TfLiteStatus mltq_lookup_prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == NULL) return kTfLiteError;
  const MltqStatus status = check_tensors(context, node->user_data);
  if (status == MLTQ_OK) return kTfLiteOk;
  context->ReportError(context, "%s: %s", NAME, mltq_lookup_message(status));
  return kTfLiteError;
}

TfLiteStatus mltq_lookup_invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteNode* replaced = node->user_data;
  const TfLiteTensor* input = &context->tensors[replaced->inputs->data[kInput]];
  const TfLiteTensor* table = &context->tensors[replaced->inputs->data[kTable]];
  const TfLiteTensor* output = &context->tensors[replaced->outputs->data[0]];
  /* The runtime allocates no output that nothing reads. */
  if (output->data == NULL) return kTfLiteOk;
  if (input->data == NULL) return kTfLiteError;
  mltq_lookup_s8(table->data, mltq_tensor_size(shape_of(input)), input->data, output->data);
  return kTfLiteOk;
}
