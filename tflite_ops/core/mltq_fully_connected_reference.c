#include <stddef.h>

#include "mltq_activation.h"
#include "mltq_kernel.h"
#include "mltq_plane_reader.h"

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  (void)layer;
  (void)shape;
  *bytes = 0;
  return MLTQ_OK;
}

/* Every row of input_channels values gives a row of output_channels values. */
static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  (void)scratch;
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    MltqPlaneReader readers[MLTQ_MAX_LEVELS];
    mltq_plane_readers_init(layer, readers);
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      uint32_t accumulator = (uint32_t)mltq_layer_bias(layer, channel);
      for (uint32_t level = 0; level < layer->levels; level++) {
        int32_t sum = 0;
        uint32_t index;
        int32_t sign;
        mltq_plane_reader_begin_row(&readers[level]);
        while (mltq_plane_reader_next(&readers[level], &index, &sign)) {
          sum += sign * (map != NULL ? map[(uint8_t)input[index]]
                                     : input[index] - layer->input_zero_point) +
                 mltq_layer_offset(layer, sign);
        }
        accumulator += (uint32_t)mltq_layer_multiplier(layer, channel, level) * (uint32_t)sum;
      }
      output[channel] = mltq_layer_requantize(layer, channel, (int32_t)accumulator);
    }
    input += layer->input_channels;
    output += layer->output_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_fully_connected_reference = {
    .kinds = MLTQ_TAKES_FULLY_CONNECTED,
    .planes = MLTQ_PLANES_CODED | MLTQ_PLANES_BITS | MLTQ_PLANES_INDICES,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
