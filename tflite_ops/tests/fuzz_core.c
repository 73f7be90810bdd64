/* libFuzzer target: any bytes, as a packed layer with sizes of its input.
 *
 * The sanitizers find what is out of bounds or undefined; here, an accepted layer must give the
 * same output with the optimised kernel and with the reference kernel. tools/fuzz_core.py builds
 * it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mltq.h"
#include "../core/mltq_eval.h"

/* Larger layers only take time. */
#define MAX_VALUES (1 << 16)
#define MAX_SCRATCH (1u << 24)
#define MAX_PRODUCTS 4000000.0

enum { SIZE_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void* allocate(size_t bytes) {
  void* memory = malloc(bytes > 0 ? bytes : 1);
  if (memory == NULL) abort();
  return memory;
}

static int output_size(int input, uint32_t filter, uint32_t stride, uint32_t dilation,
                       uint8_t padding) {
  const int64_t extent = padding == MLTQ_PADDING_SAME ? 1 : (int64_t)(filter - 1u) * dilation + 1;
  return extent > input ? 0 : (int)((input - extent) / stride + 1);
}

static int8_t* evaluate(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                        size_t outputs, const MltqKernel* const* kernels) {
  size_t scratch_bytes = 0;
  if (mltq_scratch_bytes_with(kernels, layer, shape, &scratch_bytes) != MLTQ_OK) abort();
  if (scratch_bytes > MAX_SCRATCH) return NULL;
  void* scratch = allocate(scratch_bytes);
  int8_t* output = allocate(outputs);
  memset(scratch, 0xA5, scratch_bytes);
  if (mltq_eval_s8_with(kernels, layer, shape, input, output, scratch) != MLTQ_OK) abort();
  free(scratch);
  return output;
}

static void run(const MltqLayer* layer, const uint8_t* sizes) {
  const int batches = 1 + sizes[0] % 2;
  int in_dims[4] = {batches, 1 + sizes[1] % 40, 1 + sizes[2] % 40, (int)layer->input_channels};
  int out_dims[4] = {batches, 0, 0, (int)layer->output_channels};
  int rank = 4;
  if (layer->kind == MLTQ_KIND_FULLY_CONNECTED) {
    in_dims[1] = in_dims[3];
    out_dims[1] = out_dims[3];
    rank = 2;
  } else {
    out_dims[1] = output_size(in_dims[1], layer->filter_h, layer->stride_h, layer->dilation_h,
                              layer->padding);
    out_dims[2] = output_size(in_dims[2], layer->filter_w, layer->stride_w, layer->dilation_w,
                              layer->padding);
  }
  double inputs = 1.0, outputs = 1.0;
  for (int i = 0; i < rank; i++) {
    inputs *= in_dims[i];
    outputs *= out_dims[i];
  }
  const double products = outputs * layer->row_size * layer->levels;
  if (inputs > MAX_VALUES || outputs > MAX_VALUES || products > MAX_PRODUCTS) return;
  MltqShape shape;
  if (mltq_layer_bind_shape(layer, in_dims, rank, out_dims, rank, &shape) != MLTQ_OK) return;
  int8_t* input = allocate((size_t)inputs);
  uint32_t state = 2463534242u + sizes[3];
  for (size_t i = 0; i < (size_t)inputs; i++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    input[i] = (int8_t)(uint8_t)(state >> 24);
  }
  int8_t* fast = evaluate(layer, &shape, input, (size_t)outputs, mltq_kernels);
  int8_t* plain = evaluate(layer, &shape, input, (size_t)outputs, mltq_reference_kernels);
  if (fast != NULL && plain != NULL && memcmp(fast, plain, (size_t)outputs) != 0) abort();
  free(fast);
  free(plain);
  free(input);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < SIZE_BYTES) return 0;
  const size_t packed_bytes = size - SIZE_BYTES;
  uint8_t* packed = allocate(packed_bytes);
  memcpy(packed, data + SIZE_BYTES, packed_bytes);
  for (int kind = 0; kind <= MLTQ_KIND_FULLY_CONNECTED; kind++) {
    MltqLayer layer;
    if (mltq_layer_parse(packed, packed_bytes, (uint8_t)kind, &layer) == MLTQ_OK) run(&layer, data);
  }
  free(packed);
  return 0;
}
