#include <stdbool.h>

#include "mltq.h"
#include "mltq_compiler.h"

/* Output size and padding before the first element, as TensorFlow defines SAME and VALID. Returns
 * false where the filter does not fit. */
static MLTQ_NOINLINE bool axis_geometry(int32_t input, uint32_t filter, uint32_t stride,
                                        uint32_t dilation, uint8_t padding, int32_t* output,
                                        int32_t* pad_before) {
  const int64_t extent = (int64_t)(filter - 1u) * dilation + 1;
  if (padding == MLTQ_PADDING_VALID) {
    if (extent > input) return false;
    *output = (int32_t)((input - extent) / stride + 1);
    *pad_before = 0;
    return true;
  }
  const int64_t size = ((int64_t)input + stride - 1) / stride;
  const int64_t pad = (size - 1) * stride + extent - input;
  *output = (int32_t)size;
  *pad_before = pad > 0 ? (int32_t)(pad / 2) : 0;
  return true;
}

static MltqStatus bind_fully_connected(const MltqLayer* layer, const int* input_dims,
                                       int input_rank, const int* output_dims, int output_rank,
                                       MltqShape* shape) {
  int64_t input_values = 1;
  int64_t output_values = 1;
  for (int i = 0; i < input_rank; i++) {
    if (input_dims[i] <= 0) return MLTQ_ERROR_INPUT_SHAPE;
    input_values *= input_dims[i];
    if (input_values > INT32_MAX) return MLTQ_ERROR_INPUT_SHAPE;
  }
  if (input_rank < 1 || input_values % layer->input_channels != 0) return MLTQ_ERROR_INPUT_SHAPE;
  for (int i = 0; i < output_rank; i++) {
    if (output_dims[i] <= 0) return MLTQ_ERROR_OUTPUT_SHAPE;
    output_values *= output_dims[i];
    if (output_values > INT32_MAX) return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  const int64_t batches = input_values / layer->input_channels;
  if (output_rank < 1 || output_values != batches * (int64_t)layer->output_channels) {
    return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  shape->batches = (int32_t)batches;
  shape->input_h = shape->input_w = shape->output_h = shape->output_w = 1;
  shape->pad_top = shape->pad_left = 0;
  return MLTQ_OK;
}

MltqStatus mltq_layer_bind_shape(const MltqLayer* layer, const int* input_dims, int input_rank,
                                 const int* output_dims, int output_rank, MltqShape* shape) {
  if (layer->kind == MLTQ_KIND_FULLY_CONNECTED) {
    return bind_fully_connected(layer, input_dims, input_rank, output_dims, output_rank, shape);
  }
  if (input_rank != 4 || input_dims[0] <= 0 || input_dims[1] <= 0 ||
      input_dims[1] > MLTQ_MAX_EXTENT || input_dims[2] <= 0 || input_dims[2] > MLTQ_MAX_EXTENT ||
      input_dims[3] < 0 || (uint32_t)input_dims[3] != layer->input_channels) {
    return MLTQ_ERROR_INPUT_SHAPE;
  }
  shape->batches = input_dims[0];
  shape->input_h = input_dims[1];
  shape->input_w = input_dims[2];
  if (!axis_geometry(shape->input_h, layer->filter_h, layer->stride_h, layer->dilation_h,
                     layer->padding, &shape->output_h, &shape->pad_top) ||
      !axis_geometry(shape->input_w, layer->filter_w, layer->stride_w, layer->dilation_w,
                     layer->padding, &shape->output_w, &shape->pad_left)) {
    return MLTQ_ERROR_INPUT_SHAPE;
  }
  if (output_rank != 4 || output_dims[0] != shape->batches || output_dims[1] != shape->output_h ||
      output_dims[2] != shape->output_w || output_dims[3] < 0 ||
      (uint32_t)output_dims[3] != layer->output_channels) {
    return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  return MLTQ_OK;
}
