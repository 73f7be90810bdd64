#include "mltq_tflm.h"

#include "../core/mltq.h"

typedef struct {
  MltqLayer layer;
  MltqShape shape;
  int scratch_index; /* -1 where the kernel needs no scratch */
} OpData;

enum { kInputTensor = 0, kPlanesTensor = 1, kOutputTensor = 0 };

/* By kind. */
static const char* const kNames[] = {MLTQ_CONV_2D_NAME, MLTQ_DEPTHWISE_CONV_2D_NAME,
                                     MLTQ_FULLY_CONNECTED_NAME};

static void* op_init(TfLiteContext* context, const char* buffer, size_t length) {
  (void)buffer;
  (void)length;
  return context->AllocatePersistentBuffer(context, sizeof(OpData));
}

static TfLiteStatus refuse(TfLiteContext* context, uint8_t kind, MltqStatus status) {
  context->ReportError(context, "%s: %s", kNames[kind], mltq_status_message(status));
  return kTfLiteError;
}

static MltqStatus check_tensors(TfLiteContext* context, const TfLiteNode* node, uint8_t kind,
                                OpData* data) {
  /* A negative index is an optional tensor that is absent. */
  if (node->inputs->size != 2 || node->outputs->size != 1 || node->inputs->data[kInputTensor] < 0 ||
      node->inputs->data[kPlanesTensor] < 0) {
    return MLTQ_ERROR_TENSOR_COUNT;
  }
  const TfLiteEvalTensor* input = context->GetEvalTensor(context, node->inputs->data[kInputTensor]);
  const TfLiteEvalTensor* planes =
      context->GetEvalTensor(context, node->inputs->data[kPlanesTensor]);
  const TfLiteEvalTensor* output =
      context->GetEvalTensor(context, node->outputs->data[kOutputTensor]);
  if (input->type != kTfLiteInt8 || planes->type != kTfLiteUInt8 || output->type != kTfLiteInt8) {
    return MLTQ_ERROR_TENSOR_TYPE;
  }
  /* Only a constant has its data before the memory is planned. */
  if (planes->data.data == NULL) return MLTQ_ERROR_NOT_CONSTANT;
  if (planes->dims->size != 1 || planes->dims->data[0] < 0) return MLTQ_ERROR_TOTAL_BYTES;
  const MltqStatus status =
      mltq_layer_parse(planes->data.uint8, (size_t)planes->dims->data[0], kind, &data->layer);
  if (status != MLTQ_OK) return status;
  return mltq_layer_bind_shape(&data->layer, input->dims->data, input->dims->size,
                               output->dims->data, output->dims->size, &data->shape);
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node, uint8_t kind) {
  OpData* data = node->user_data;
  if (data == NULL) return kTfLiteError; /* the arena is full, and TFLM has said so */
  size_t scratch_bytes = 0;
  MltqStatus status = check_tensors(context, node, kind, data);
  if (status == MLTQ_OK) {
    status = mltq_layer_scratch_bytes(&data->layer, &data->shape, &scratch_bytes);
  }
  if (status != MLTQ_OK) return refuse(context, kind, status);
  data->scratch_index = -1;
  if (scratch_bytes == 0) return kTfLiteOk;
  return context->RequestScratchBufferInArena(context, scratch_bytes, &data->scratch_index);
}

static TfLiteStatus prepare_conv_2d(TfLiteContext* context, TfLiteNode* node) {
  return prepare(context, node, MLTQ_KIND_CONV_2D);
}

static TfLiteStatus prepare_depthwise_conv_2d(TfLiteContext* context, TfLiteNode* node) {
  return prepare(context, node, MLTQ_KIND_DEPTHWISE_CONV_2D);
}

static TfLiteStatus prepare_fully_connected(TfLiteContext* context, TfLiteNode* node) {
  return prepare(context, node, MLTQ_KIND_FULLY_CONNECTED);
}

static TfLiteStatus op_invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = node->user_data;
  const TfLiteEvalTensor* input = context->GetEvalTensor(context, node->inputs->data[kInputTensor]);
  TfLiteEvalTensor* output = context->GetEvalTensor(context, node->outputs->data[kOutputTensor]);
  void* scratch = NULL;
  if (data->scratch_index >= 0) scratch = context->GetScratchBuffer(context, data->scratch_index);
  const MltqStatus status =
      mltq_layer_eval_s8(&data->layer, &data->shape, input->data.int8, output->data.data, scratch);
  return status == MLTQ_OK ? kTfLiteOk : refuse(context, data->layer.kind, status);
}

static const struct TFLMRegistration kConv2D = {
    op_init, NULL, prepare_conv_2d, op_invoke, NULL, MLTQ_BUILTIN_CUSTOM, MLTQ_CONV_2D_NAME};
static const struct TFLMRegistration kDepthwiseConv2D = {op_init,
                                                         NULL,
                                                         prepare_depthwise_conv_2d,
                                                         op_invoke,
                                                         NULL,
                                                         MLTQ_BUILTIN_CUSTOM,
                                                         MLTQ_DEPTHWISE_CONV_2D_NAME};
static const struct TFLMRegistration kFullyConnected = {op_init,
                                                        NULL,
                                                        prepare_fully_connected,
                                                        op_invoke,
                                                        NULL,
                                                        MLTQ_BUILTIN_CUSTOM,
                                                        MLTQ_FULLY_CONNECTED_NAME};

const struct TFLMRegistration* mltq_tflm_conv_2d(void) { return &kConv2D; }
const struct TFLMRegistration* mltq_tflm_depthwise_conv_2d(void) { return &kDepthwiseConv2D; }
const struct TFLMRegistration* mltq_tflm_fully_connected(void) { return &kFullyConnected; }
