#include <stdbool.h>

#include "mltq_activation.h"
#include "mltq_kernel.h"
#include "mltq_plane_reader.h"

/* Reference convolutions: the oracle for every faster kernel, so plain rather than fast.
 *
 * An entry is decoded once and used for all outputs of a row. The cost of decoding then does not
 * depend on the width, and the scratch is two sums per output of one row, not a feature map.
 *
 * Filter entries run over (filter_h, filter_w, input channels), the order of a TFLite OHWI filter.
 * A depthwise filter has one input channel per output channel: channel / depth_multiplier. */

/* Where the filter window of an output row lies. */
typedef struct {
  const int8_t* map;      /* values of the activations; NULL if they are int8 */
  const int8_t* input;    /* one image */
  int32_t origin_y;       /* input row under the first filter row; negative in the padding */
  uint32_t first_channel; /* input channels that a filter tap covers */
  uint32_t channel_count;
} RowWindow;

/* Adds sign * (x - z) of one filter entry to the sums of a row; padding adds nothing. */
static void add_entry(const MltqLayer* layer, const MltqShape* shape, const RowWindow* window,
                      uint32_t index, int32_t sign, int32_t* sums) {
  const uint32_t tap = index / window->channel_count;
  const uint32_t channel = window->first_channel + index % window->channel_count;
  const int32_t y = window->origin_y + (int32_t)(tap / layer->filter_w * layer->dilation_h);
  if (y < 0 || y >= shape->input_h) return;
  const int8_t* line = window->input + (size_t)y * (size_t)shape->input_w * layer->input_channels;
  int32_t x = (int32_t)(tap % layer->filter_w * layer->dilation_w) - shape->pad_left;
  for (int32_t column = 0; column < shape->output_w; column++, x += layer->stride_w) {
    if (x < 0 || x >= shape->input_w) continue;
    const int8_t value = line[(size_t)x * layer->input_channels + channel];
    const int32_t centered =
        window->map != NULL ? window->map[(uint8_t)value] : value - layer->input_zero_point;
    sums[column] += sign * centered;
  }
}

/* Reads the planes of `channel` and writes its output row, output_channels apart. */
static void filter_row(const MltqLayer* layer, const MltqShape* shape, const RowWindow* window,
                       MltqPlaneReader* readers, uint32_t channel, int32_t* scratch,
                       int8_t* output) {
  int32_t* accumulators = scratch;
  int32_t* sums = scratch + shape->output_w;
  const int32_t bias = mltq_layer_bias(layer, channel);
  for (int32_t column = 0; column < shape->output_w; column++) accumulators[column] = bias;

  for (uint32_t level = 0; level < layer->levels; level++) {
    uint32_t index;
    int32_t sign;
    for (int32_t column = 0; column < shape->output_w; column++) sums[column] = 0;
    mltq_plane_reader_begin_row(&readers[level]);
    while (mltq_plane_reader_next(&readers[level], &index, &sign)) {
      add_entry(layer, shape, window, index, sign, sums);
    }
    const int32_t multiplier = mltq_layer_multiplier(layer, channel, level);
    for (int32_t column = 0; column < shape->output_w; column++) {
      accumulators[column] += multiplier * sums[column];
    }
  }
  for (int32_t column = 0; column < shape->output_w; column++) {
    output[(size_t)column * layer->output_channels] =
        mltq_layer_requantize(layer, channel, accumulators[column]);
  }
}

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  (void)layer;
  *bytes = 2u * sizeof(int32_t) * (size_t)shape->output_w;
  return MLTQ_OK;
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  const bool depthwise = layer->kind == MLTQ_KIND_DEPTHWISE_CONV_2D;
  const uint32_t depth_multiplier = layer->output_channels / layer->input_channels;
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    for (int32_t y = 0; y < shape->output_h; y++) {
      MltqPlaneReader readers[MLTQ_MAX_LEVELS];
      mltq_plane_readers_init(layer, readers);
      RowWindow window = {map, input, y * layer->stride_h - shape->pad_top, 0,
                          depthwise ? 1 : layer->input_channels};
      for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
        if (depthwise) window.first_channel = channel / depth_multiplier;
        filter_row(layer, shape, &window, readers, channel, (int32_t*)scratch, output + channel);
      }
      output += (size_t)shape->output_w * layer->output_channels;
    }
    input += (size_t)shape->input_h * (size_t)shape->input_w * layer->input_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_conv_2d_reference = {
    .kinds = MLTQ_TAKES_CONV_2D | MLTQ_TAKES_DEPTHWISE_CONV_2D,
    .planes = MLTQ_PLANES_CODED | MLTQ_PLANES_BITS,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
