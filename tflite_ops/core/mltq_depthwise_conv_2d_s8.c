#include <stdbool.h>

#include "mltq_code_stream.h"
#include "mltq_kernels.h"

#if MLTQ_HELIUM
#include <arm_mve.h>
#endif

/* Depthwise convolution. Few entries share an input here, so nothing is packed. Instead the levels
 * are added up, tap by tap:
 *
 *     acc = bias + sum over taps of coefficient[tap] * (x[tap] - z),
 *     coefficient[tap] = sum over m of multiplier[m] * T[m][tap]
 *
 * which is the same integer, and costs one multiplication for every tap that is not zero in all
 * levels. Sums are modulo 2^32; Prepare has shown that the result fits. */

typedef struct {
  int32_t offset;      /* bytes from the tap at the origin of the filter */
  int32_t coefficient; /* not 0 */
  int32_t y;           /* input rows and columns from the origin */
  int32_t x;
} Tap;

/* Outputs of a row whose windows lie inside the input. */
typedef struct {
  int32_t begin;
  int32_t end;
} Interior;

/* Indices of taps are 16 bits, and offsets in the image 31. */
#define MAX_TAPS 65535u
#define MAX_IMAGE_BYTES (1u << 30)

/* What is the same for all outputs of a channel. */
typedef struct {
  uint32_t bias;
  uint32_t shift;
  int32_t minimum;
  int32_t maximum;
  int32_t zero_point;
} Channel;

static inline int8_t requantize(const Channel* channel, uint32_t accumulator) {
  return mltq_requantize((int32_t)accumulator, channel->shift, channel->minimum, channel->maximum);
}

static inline uint32_t load(const int8_t* value) {
  const int32_t widened = *value;
  return (uint32_t)widened;
}

size_t mltq_depthwise_conv_2d_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {
  const uint64_t rows = (uint64_t)(uint32_t)shape->input_h + layer->filter_h * layer->dilation_h;
  const uint64_t columns = (uint64_t)(uint32_t)shape->input_w + layer->filter_w * layer->dilation_w;
  if (layer->row_size > MAX_TAPS || rows * columns > MAX_IMAGE_BYTES ||
      rows * columns * layer->input_channels > MAX_IMAGE_BYTES) {
    return 0;
  }
  /* Taps twice: all, and those inside the input for one output row. Then the coefficients, and a
   * table and a list of indices. */
  return (size_t)layer->row_size * (2u * sizeof(Tap) + sizeof(int32_t) + sizeof(uint16_t)) +
         2u * MLTQ_MAX_LANE_ENTRIES * sizeof(uint16_t);
}

typedef struct {
  Tap* taps;
  Tap* row_taps;
  int32_t* coefficients;
  uint16_t* table;
  uint16_t* list;
} Buffers;

/* Adds up the levels of the channel at which the streams stand. Returns the number of taps. */
static uint32_t find_taps(const MltqLayer* layer, const MltqShape* shape, uint32_t channel,
                          MltqCodeStream* streams, const Buffers* buffers) {
  for (uint32_t i = 0; i < layer->row_size; i++) buffers->coefficients[i] = 0;
  for (uint32_t level = 0; level < layer->levels; level++) {
    MltqCodeStream* stream = &streams[level];
    const int32_t multiplier = mltq_layer_multiplier(layer, channel, level);
    mltq_code_stream_begin_row(stream);
    while (stream->positive + stream->negative > 0) {
      MltqRun run;
      mltq_code_stream_read_run(stream, buffers->table, buffers->list, &run);
      const uint16_t* list = run.list;
      for (uint32_t i = 0; i < run.positive; i++) buffers->coefficients[*list++] += multiplier;
      for (uint32_t i = 0; i < run.negative; i++) buffers->coefficients[*list++] -= multiplier;
    }
  }
  uint32_t count = 0;
  uint32_t index = 0;
  for (int32_t ky = 0; ky < layer->filter_h; ky++) {
    for (int32_t kx = 0; kx < layer->filter_w; kx++, index++) {
      if (buffers->coefficients[index] == 0) continue;
      Tap* tap = &buffers->taps[count++];
      tap->coefficient = buffers->coefficients[index];
      tap->y = ky * layer->dilation_h;
      tap->x = kx * layer->dilation_w;
      tap->offset = (tap->y * shape->input_w + tap->x) * (int32_t)layer->input_channels;
    }
  }
  return count;
}

/* Outputs of a row from column `begin` on whose windows may leave the input: taps outside add
 * nothing. `input` is the start of the row under the origin of the filter. */
static void border(const MltqLayer* layer, const MltqShape* shape, const Channel* channel,
                   const Tap* taps, uint32_t count, const int8_t* input, int32_t begin, int32_t end,
                   int8_t* output) {
  const int32_t channels = (int32_t)layer->input_channels;
  int32_t x = begin * layer->stride_w - shape->pad_left;
  output += (size_t)begin * layer->output_channels;
  for (; begin < end; begin++, x += layer->stride_w, output += layer->output_channels) {
    uint32_t accumulator = channel->bias;
    for (const Tap* tap = taps; tap < taps + count; tap++) {
      /* One comparison for both sides. */
      if ((uint32_t)(x + tap->x) >= (uint32_t)shape->input_w) continue;
      const int32_t value = input[x * channels + tap->offset] - channel->zero_point;
      accumulator += (uint32_t)tap->coefficient * (uint32_t)value;
    }
    *output = requantize(channel, accumulator);
  }
}

/* Outputs whose windows lie inside the input, four at a time. The zero point is in the bias. */
static void interior(const MltqLayer* layer, const Channel* channel, const Tap* taps,
                     uint32_t count, const int8_t* input, int32_t outputs, int8_t* output) {
  const int32_t step = layer->stride_w * (int32_t)layer->input_channels;
  const size_t pitch = layer->output_channels;
  const Tap* end = taps + count;
  uint32_t bias = channel->bias;
  for (const Tap* tap = taps; tap < end; tap++) {
    bias -= (uint32_t)tap->coefficient * (uint32_t)channel->zero_point;
  }
#if MLTQ_HELIUM
  const uint32x4_t input_offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)step);
  const uint32x4_t output_offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)pitch);
  for (; outputs > 0; outputs -= 4, input += 4 * step, output += 4u * pitch) {
    const mve_pred16_t inside = vctp32q((uint32_t)outputs);
    int32x4_t value = vdupq_n_s32((int32_t)bias);
    for (const Tap* tap = taps; tap < end; tap++) {
      const int8_t* x = input + tap->offset;
      value = vmlaq_n_s32(value, vldrbq_gather_offset_z_s32(x, input_offsets, inside),
                          tap->coefficient);
    }
    value = vshlq_r_s32(value, -(int32_t)channel->shift);
    value = vmaxq_s32(value, vdupq_n_s32(channel->minimum));
    value = vminq_s32(value, vdupq_n_s32(channel->maximum));
    vstrbq_scatter_offset_p_s32(output, output_offsets, value, inside);
  }
#else
  for (; outputs >= 4; outputs -= 4, input += 4 * step, output += 4u * pitch) {
    uint32_t a = bias, b = bias, c = bias, d = bias;
    for (const Tap* tap = taps; tap < end; tap++) {
      const int8_t* x = input + tap->offset;
      const uint32_t coefficient = (uint32_t)tap->coefficient;
      a += coefficient * load(x);
      b += coefficient * load(x + step);
      x += 2 * step;
      c += coefficient * load(x);
      d += coefficient * load(x + step);
    }
    output[0] = requantize(channel, a);
    output[pitch] = requantize(channel, b);
    output[2u * pitch] = requantize(channel, c);
    output[3u * pitch] = requantize(channel, d);
  }
  for (; outputs > 0; outputs--, input += step, output += pitch) {
    uint32_t accumulator = bias;
    for (const Tap* tap = taps; tap < end; tap++) {
      accumulator += (uint32_t)tap->coefficient * load(input + tap->offset);
    }
    *output = requantize(channel, accumulator);
  }
#endif
}

/* One output channel. `input` and `output` are its first values. */
static void filter_channel(const MltqLayer* layer, const MltqShape* shape, const Channel* channel,
                           uint32_t count, const Interior* inside, const Buffers* buffers,
                           const int8_t* input, int8_t* output) {
  const int32_t row_bytes = shape->input_w * (int32_t)layer->input_channels;
  const int32_t first = inside->begin * layer->stride_w - shape->pad_left;
  const int32_t first_at = first * (int32_t)layer->input_channels;
  for (int32_t row = 0; row < shape->output_h; row++) {
    const int32_t y = row * layer->stride_h - shape->pad_top;
    uint32_t used = 0;
    for (const Tap* tap = buffers->taps; tap < buffers->taps + count; tap++) {
      if ((uint32_t)(y + tap->y) >= (uint32_t)shape->input_h) continue;
      Tap* row_tap = &buffers->row_taps[used++];
      row_tap->coefficient = tap->coefficient;
      row_tap->x = tap->x;
      row_tap->offset = tap->offset + y * row_bytes;
    }
    const Tap* taps = buffers->row_taps;
    border(layer, shape, channel, taps, used, input, 0, inside->begin, output);
    interior(layer, channel, taps, used, input + first_at, inside->end - inside->begin,
             output + (size_t)inside->begin * layer->output_channels);
    border(layer, shape, channel, taps, used, input, inside->end, shape->output_w, output);
    output += (size_t)shape->output_w * layer->output_channels;
  }
}

static Interior find_interior(const MltqLayer* layer, const MltqShape* shape) {
  const int32_t stride = layer->stride_w;
  const int32_t span = (layer->filter_w - 1) * layer->dilation_w;
  const int32_t last = shape->input_w - 1 - span + shape->pad_left; /* origin, with padding */
  Interior inside;
  inside.begin = (shape->pad_left + stride - 1) / stride;
  inside.end = last < 0 ? 0 : last / stride + 1;
  if (inside.end > shape->output_w) inside.end = shape->output_w;
  if (inside.begin > inside.end) inside.begin = inside.end;
  return inside;
}

void mltq_depthwise_conv_2d_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                               int8_t* output, void* scratch) {
  Buffers buffers;
  buffers.taps = (Tap*)scratch;
  buffers.row_taps = buffers.taps + layer->row_size;
  buffers.coefficients = (int32_t*)(buffers.row_taps + layer->row_size);
  buffers.table = (uint16_t*)(buffers.coefficients + layer->row_size);
  buffers.list = buffers.table + layer->row_size;
  for (uint32_t i = 0; i < layer->row_size; i++) buffers.table[i] = (uint16_t)i;
  const Interior inside = find_interior(layer, shape);
  const uint32_t multiplier = layer->output_channels / layer->input_channels;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_layer_init_streams(layer, streams);
    for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
      const uint32_t count = find_taps(layer, shape, channel, streams, &buffers);
      const Channel constants = {(uint32_t)mltq_layer_bias(layer, channel), layer->shifts[channel],
                                 layer->activation_min, layer->activation_max,
                                 layer->input_zero_point};
      filter_channel(layer, shape, &constants, count, &inside, &buffers,
                     input + channel / multiplier, output + channel);
    }
    input += (size_t)shape->input_h * (size_t)shape->input_w * layer->input_channels;
    output += (size_t)shape->output_h * (size_t)shape->output_w * layer->output_channels;
  }
}
