/* LiteRT external delegate: claims the MLTQ_* custom operators, which no stock runtime knows, and
 * runs them on the C core. Everything else stays with the runtime's own kernels, unless the option
 * "tflm_fully_connected" is "1": see fully_connected_tflm.h. */
#include <stdlib.h>
#include <string.h>

#include "../core/mltq.h"
#include "fully_connected_tflm.h"
#include "litert_abi.h"
#include "lookup.h"
#include "normalization.h"

#define OPTION_TFLM_FULLY_CONNECTED "tflm_fully_connected"

typedef struct {
  TfLiteDelegate base; /* first, so that a TfLiteDelegate* is one of these */
  bool tflm_fully_connected;
} MltqDelegate;

typedef struct {
  MltqLayer layer;
  MltqShape shape;
  const char* name;
  void* scratch;
  int input_index;
  int planes_index;
  int output_index;
  uint8_t kind;
  bool well_formed;
} OpData;

static const struct {
  const char* name;
  uint8_t kind;
} kOperators[] = {
    {"MLTQ_CONV_2D", MLTQ_KIND_CONV_2D},
    {"MLTQ_DEPTHWISE_CONV_2D", MLTQ_KIND_DEPTHWISE_CONV_2D},
    {"MLTQ_FULLY_CONNECTED", MLTQ_KIND_FULLY_CONNECTED},
};
#define OPERATOR_COUNT ((int)(sizeof(kOperators) / sizeof(kOperators[0])))

/* Index into kOperators, or -1 for an operator that is not ours. */
static int find_operator(const TfLiteRegistration* registration) {
  if (registration->builtin_code != kTfLiteBuiltinCustom || registration->custom_name == NULL) {
    return -1;
  }
  for (int i = 0; i < OPERATOR_COUNT; i++) {
    if (strcmp(registration->custom_name, kOperators[i].name) == 0) return i;
  }
  return -1;
}

static void* kernel_init(TfLiteContext* context, const char* buffer, size_t length) {
  (void)length;
  const TfLiteDelegateParams* params = (const TfLiteDelegateParams*)(const void*)buffer;
  TfLiteNode* node;
  TfLiteRegistration* registration;
  OpData* data = calloc(1, sizeof(OpData));
  if (data == NULL || params->nodes_to_replace->size != 1 ||
      context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node,
                                      &registration) != kTfLiteOk) {
    return data;
  }
  const int operator_index = find_operator(registration);
  if (operator_index < 0) return data;
  data->name = kOperators[operator_index].name;
  data->kind = kOperators[operator_index].kind;
  /* A negative index is an optional tensor that is absent. */
  if (node->inputs->size == 2 && node->outputs->size == 1 && node->inputs->data[0] >= 0 &&
      node->inputs->data[1] >= 0) {
    data->input_index = node->inputs->data[0];
    data->planes_index = node->inputs->data[1];
    data->output_index = node->outputs->data[0];
    data->well_formed = true;
  }
  return data;
}

static void kernel_free(TfLiteContext* context, void* buffer) {
  (void)context;
  OpData* data = buffer;
  if (data == NULL) return;
  free(data->scratch);
  free(data);
}

static MltqStatus check_tensors(const TfLiteContext* context, OpData* data) {
  if (!data->well_formed) return MLTQ_ERROR_TENSOR_COUNT;
  const TfLiteTensor* input = &context->tensors[data->input_index];
  const TfLiteTensor* planes = &context->tensors[data->planes_index];
  const TfLiteTensor* output = &context->tensors[data->output_index];
  if (input->type != kTfLiteInt8 || planes->type != kTfLiteUInt8 || output->type != kTfLiteInt8) {
    return MLTQ_ERROR_TENSOR_TYPE;
  }
  if (planes->allocation_type != kTfLiteMmapRo || planes->data == NULL) {
    return MLTQ_ERROR_NOT_CONSTANT;
  }
  const MltqStatus status = mltq_layer_parse(planes->data, planes->bytes, data->kind, &data->layer);
  if (status != MLTQ_OK) return status;
  return mltq_layer_bind_shape(&data->layer, input->dims->data, input->dims->size,
                               output->dims->data, output->dims->size, &data->shape);
}

static TfLiteStatus refuse(TfLiteContext* context, const OpData* data, MltqStatus status) {
  context->ReportError(context, "%s: %s", data->name, mltq_status_message(status));
  return kTfLiteError;
}

static TfLiteStatus kernel_prepare(TfLiteContext* context, TfLiteNode* node) {
  OpData* data = node->user_data;
  if (data == NULL || data->name == NULL) return kTfLiteError;
  size_t scratch_bytes = 0;
  MltqStatus status = check_tensors(context, data);
  if (status == MLTQ_OK) {
    status = mltq_layer_scratch_bytes(&data->layer, &data->shape, &scratch_bytes);
  }
  if (status != MLTQ_OK) return refuse(context, data, status);
  /* Prepare runs again when a tensor is resized. */
  free(data->scratch);
  data->scratch = NULL;
  if (scratch_bytes == 0) return kTfLiteOk;
  data->scratch = malloc(scratch_bytes);
  if (data->scratch == NULL) {
    context->ReportError(context, "%s: out of memory", data->name);
    return kTfLiteError;
  }
  return kTfLiteOk;
}

static TfLiteStatus kernel_invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = node->user_data;
  const int8_t* input = context->tensors[data->input_index].data;
  int8_t* output = context->tensors[data->output_index].data;
  /* The runtime allocates no output that nothing reads. */
  if (output == NULL) return kTfLiteOk;
  if (input == NULL) return kTfLiteError;
  const MltqStatus status =
      mltq_layer_eval_s8(&data->layer, &data->shape, input, output, data->scratch);
  return status == MLTQ_OK ? kTfLiteOk : refuse(context, data, status);
}

/* The replaced node is all that the kernel needs. Its struct moves when the graph grows, so it is
 * copied; the arrays that it points to stay. */
static void* copied_node_init(TfLiteContext* context, const char* buffer, size_t length) {
  (void)length;
  const TfLiteDelegateParams* params = (const TfLiteDelegateParams*)(const void*)buffer;
  TfLiteNode* node;
  TfLiteRegistration* registration;
  if (params->nodes_to_replace->size != 1 ||
      context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node,
                                      &registration) != kTfLiteOk) {
    return NULL;
  }
  TfLiteNode* copy = malloc(sizeof(TfLiteNode));
  if (copy != NULL) *copy = *node;
  return copy;
}

static void copied_node_free(TfLiteContext* context, void* buffer) {
  (void)context;
  free(buffer);
}

static TfLiteStatus fully_connected_invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteNode* replaced = node->user_data;
  if (replaced == NULL || replaced->builtin_data == NULL) return kTfLiteError;
  const TfLiteFullyConnectedParams* params = replaced->builtin_data;
  return mltq_fully_connected_tflm(context, replaced, params->activation);
}

/* Chooses the kernel of a node. Returns false where the node stays with the runtime. */
static bool choose_kernel(const TfLiteContext* context, const TfLiteDelegate* delegate,
                          const TfLiteNode* node, const TfLiteRegistration* registration,
                          TfLiteRegistration* kernel) {
  memset(kernel, 0, sizeof(*kernel));
  kernel->init = copied_node_init;
  kernel->free = copied_node_free;
  if (find_operator(registration) >= 0) {
    kernel->init = kernel_init;
    kernel->free = kernel_free;
    kernel->prepare = kernel_prepare;
    kernel->invoke = kernel_invoke;
    return true;
  }
  if (mltq_is_lookup(registration)) {
    kernel->prepare = mltq_lookup_prepare;
    kernel->invoke = mltq_lookup_invoke;
    return true;
  }
  if (mltq_is_normalization(registration)) {
    kernel->prepare = mltq_normalization_prepare;
    kernel->invoke = mltq_normalization_invoke;
    return true;
  }
  kernel->invoke = fully_connected_invoke;
  return ((const MltqDelegate*)delegate)->tflm_fully_connected &&
         mltq_is_int8_fully_connected(context, node, registration);
}

/* One call a node: nodes replaced in one call may be merged into one kernel, and the tensors
 * between them would then be nobody's to allocate. */
static TfLiteStatus claim_node(TfLiteContext* context, TfLiteDelegate* delegate, int node_index,
                               TfLiteRegistration kernel) {
  kernel.builtin_code = kTfLiteBuiltinDelegate;
  kernel.custom_name = "MltqDelegate";
  kernel.version = 1;
  TfLiteIntArray* nodes = malloc(sizeof(TfLiteIntArray) + sizeof(int));
  if (nodes == NULL) return kTfLiteError;
  nodes->size = 1;
  nodes->data[0] = node_index;
  const TfLiteStatus status =
      context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, nodes, delegate);
  free(nodes);
  return status;
}

static TfLiteStatus delegate_prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  if (plan->size == 0) return kTfLiteOk;
  /* Claiming a node changes the plan, so the nodes are collected first. */
  const int plan_size = plan->size;
  int* nodes = malloc((size_t)plan_size * sizeof(int));
  if (nodes == NULL) return kTfLiteError;
  memcpy(nodes, plan->data, (size_t)plan_size * sizeof(int));

  TfLiteStatus status = kTfLiteOk;
  for (int i = 0; i < plan_size && status == kTfLiteOk; i++) {
    TfLiteNode* node;
    TfLiteRegistration* registration;
    TfLiteRegistration kernel;
    status = context->GetNodeAndRegistration(context, nodes[i], &node, &registration);
    if (status != kTfLiteOk) break;
    if (choose_kernel(context, delegate, node, registration, &kernel)) {
      status = claim_node(context, delegate, nodes[i], kernel);
    }
  }
  free(nodes);
  return status;
}

__attribute__((visibility("default"))) TfLiteDelegate* tflite_plugin_create_delegate(
    char** option_keys, char** option_values, size_t option_count,
    void (*report_error)(const char*)) {
  MltqDelegate* delegate = calloc(1, sizeof(MltqDelegate));
  if (delegate == NULL) return NULL;
  for (size_t i = 0; i < option_count; i++) {
    if (strcmp(option_keys[i], OPTION_TFLM_FULLY_CONNECTED) != 0) {
      if (report_error != NULL) {
        report_error("the MLTQ delegate has one option, " OPTION_TFLM_FULLY_CONNECTED);
      }
      free(delegate);
      return NULL;
    }
    delegate->tflm_fully_connected = strcmp(option_values[i], "1") == 0;
  }
  delegate->base.Prepare = delegate_prepare;
  /* Without this flag the runtime stops at the operators nobody registered before it asks the
   * delegates. */
  delegate->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return &delegate->base;
}

__attribute__((visibility("default"))) void tflite_plugin_destroy_delegate(
    TfLiteDelegate* delegate) {
  free(delegate);
}
