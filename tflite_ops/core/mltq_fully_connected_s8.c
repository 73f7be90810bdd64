#include "mltq_activation.h"
#include "mltq_code_stream.h"
#include "mltq_kernel.h"

/* Adds the inputs that a row names while it is decoded: with one output position there is nothing
 * to share the decoding with. The rows of a level are decoded in one go. */

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  (void)shape;
  const size_t mapped = layer->activation_levels > 0 ? layer->input_channels : 0u;
  *bytes = (size_t)layer->output_channels * sizeof(int32_t) + mapped;
  return MLTQ_OK;
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  int32_t* accumulators = (int32_t*)scratch;
  int8_t* mapped = (int8_t*)(accumulators + layer->output_channels);
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  const size_t step = sizeof(int16_t) * layer->levels;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    const int8_t* from = input;
    if (map != NULL) {
      for (uint32_t i = 0; i < layer->input_channels; i++) mapped[i] = map[(uint8_t)input[i]];
      from = mapped;
    }
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_code_streams_init(layer, streams);
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      accumulators[channel] = mltq_layer_bias(layer, channel);
    }
    for (uint32_t level = 0; level < layer->levels; level++) {
      mltq_code_stream_add_rows(&streams[level], from, layer->input_zero_point,
                                layer->multipliers + sizeof(int16_t) * level, step,
                                layer->output_channels, accumulators);
    }
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      output[channel] = mltq_layer_requantize(layer, channel, accumulators[channel]);
    }
    input += layer->input_channels;
    output += layer->output_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_fully_connected_s8 = {
    .kinds = MLTQ_TAKES_FULLY_CONNECTED,
    .planes = MLTQ_PLANES_CODED,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
