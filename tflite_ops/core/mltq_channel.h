/* What is the same for all positions of an output channel of a convolution, as the kernels that add
 * entries in 16 bits use it. */
#ifndef TFLITE_OPS_CORE_MLTQ_CHANNEL_H_
#define TFLITE_OPS_CORE_MLTQ_CHANNEL_H_

#include <stdbool.h>

#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

#include "mltq_code_stream.h"
#include "mltq_compiler.h"

typedef struct {
  int32_t multipliers[MLTQ_MAX_LEVELS]; /* of the levels that have entries */
  uint32_t sums[MLTQ_MAX_LEVELS];       /* sums that these levels are cut into */
  uint8_t level[MLTQ_MAX_LEVELS];       /* which levels they are */
  uint32_t levels;                      /* how many they are */
  bool one_sum_each;
  uint32_t bias; /* modulo 2^32, as the sums that it is added to */
  uint8_t shift;
  int8_t minimum;
  int8_t maximum;
} MltqChannel;

/* Whether the rows of the image do not matter, so that positions may be regrouped into others. */
static inline bool mltq_is_pointwise(const MltqLayer* layer) {
  return layer->row_size == layer->input_channels && layer->stride_h == 1 && layer->stride_w == 1;
}

/* Keeps the arithmetic of regrouped positions inside 31 bits. */
#define MLTQ_MAX_POSITIONS (UINT32_C(1) << 30)

/* Enters the rows of channel `index`, at which the streams stand. The kernels add the int8 values
 * as they are: the input zero point goes into the bias. */
static inline void mltq_channel_begin(const MltqLayer* layer, uint32_t index,
                                      MltqCodeStream* streams, MltqChannel* channel) {
  channel->bias = (uint32_t)mltq_layer_bias(layer, index);
  channel->levels = 0;
  channel->one_sum_each = true;
  channel->multipliers[0] = 0; /* for a channel without entries, which is stored as one level */
  for (uint32_t level = 0; level < layer->levels; level++) {
    MltqCodeStream* stream = &streams[level];
    mltq_code_stream_begin_row(stream);
    const uint32_t sums = mltq_lane_sums(stream->positive, stream->negative);
    if (sums == 0u) continue;
    const int32_t multiplier = mltq_layer_multiplier(layer, index, level);
    const int32_t excess = (int32_t)stream->positive - (int32_t)stream->negative;
    channel->multipliers[channel->levels] = multiplier;
    channel->sums[channel->levels] = sums;
    channel->level[channel->levels] = (uint8_t)level;
    channel->levels++;
    channel->one_sum_each = channel->one_sum_each && sums == 1u;
    channel->bias -= (uint32_t)(multiplier * (layer->input_zero_point * excess));
  }
  channel->shift = layer->shifts[index];
  channel->minimum = layer->activation_min;
  channel->maximum = layer->activation_max;
}

/* mltq_requantize for the loops that store rows, where this form takes fewer instructions. `clamp`
 * is false for bounds that are those of int8. */
static inline int8_t mltq_channel_requantize(int32_t accumulator, uint32_t shift, const bool clamp,
                                             int32_t minimum, int32_t maximum) {
#if defined(__ARM_FEATURE_SAT)
  if (!clamp) return (int8_t)__ssat(accumulator >> shift, 8);
#endif
  (void)clamp;
  int32_t value = accumulator >> shift;
  if (value < minimum) value = minimum;
  if (value > maximum) value = maximum;
  return (int8_t)value;
}

#endif /* TFLITE_OPS_CORE_MLTQ_CHANNEL_H_ */
