#include "mltq_code_stream.h"
#include "mltq_kernels.h"

/* Adds the inputs that a row names while it is decoded: with one output position there is nothing
 * to share the decoding with. The input zero point is taken off afterwards, once per entry. */
static int32_t row_sum(MltqCodeStream* stream, const int8_t* input, int32_t zero_point) {
  mltq_code_stream_begin_row(stream);
  const int32_t positive = (int32_t)stream->positive;
  const int32_t negative = (int32_t)stream->negative;
  return mltq_code_stream_sum_row(stream, input) - zero_point * (positive - negative);
}

void mltq_fully_connected_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                             int8_t* output, void* scratch) {
  (void)scratch;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_layer_init_streams(layer, streams);
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      int32_t accumulator = mltq_layer_bias(layer, channel);
      for (uint32_t level = 0; level < layer->levels; level++) {
        accumulator += mltq_layer_multiplier(layer, channel, level) *
                       row_sum(&streams[level], input, layer->input_zero_point);
      }
      output[channel] = mltq_layer_requantize(layer, channel, accumulator);
    }
    input += layer->input_channels;
    output += layer->output_channels;
  }
}
