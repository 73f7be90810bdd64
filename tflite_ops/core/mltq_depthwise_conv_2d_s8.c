#include <stdbool.h>

#include "mltq_activation.h"
#include "mltq_channel.h"
#include "mltq_code_stream.h"
#include "mltq_compiler.h"
#include "mltq_kernel.h"

#if !MLTQ_HELIUM

/* Depthwise convolution. Few entries share an input here, so lanes are not worth their packing.
 * Instead the levels are added up, tap by tap:
 *
 *     acc = bias + sum over taps of coefficient[tap] * (x[tap] - z),
 *     coefficient[tap] = sum over m of multiplier[m] * T[m][tap]
 *
 * which is the same integer, and costs one multiplication for every tap that is not zero in all
 * levels. Sums are modulo 2^32; Prepare has shown that the result fits.
 *
 * One channel of the input rows that some output rows need, a step, is copied into a band with the
 * padding around it, so that no tap has to be compared with the borders. */

/* A step should not have a larger band, if one row of output allows it. */
#define STEP_BYTES 4096u
#define MAX_BAND_BYTES (UINT32_C(1) << 24)
/* Indices of taps are 16 bits. */
#define MAX_TAPS 65535u

typedef struct {
  uint32_t pitch;       /* bytes from one row to the next */
  uint32_t input_rows;  /* of a step */
  uint32_t output_rows; /* of a step */
} Band;

typedef struct {
  uint32_t offset;     /* bytes in the band, from the origin of the filter */
  int32_t coefficient; /* not 0 */
} Tap;

/* What is the same for all outputs of a channel. */
typedef struct {
  const Tap* taps;
  const Tap* end;
  uint32_t bias; /* the zero point is in it */
  uint32_t shift;
  int32_t minimum;
  int32_t maximum;
  uint32_t stride; /* columns, in bytes of the band */
  uint32_t width;  /* of a row of outputs */
  size_t pitch;    /* bytes from one output to the next */
} Filter;

typedef struct {
  Tap* taps;
  int32_t* coefficients;
  uint16_t* table;
  uint16_t* list;
  int8_t* band;
  const int8_t* map; /* values of the activations; NULL if they are int8 */
} Buffers;

/* Lays out the band. Returns false if it would be too large. */
static MLTQ_NOINLINE bool plan_band(const MltqLayer* layer, const MltqShape* shape, Band* band) {
  const uint32_t stride = layer->stride_h;
  const uint32_t left = (uint32_t)shape->pad_left;
  const uint32_t width = (uint32_t)shape->input_w;
  const uint32_t height = (uint32_t)shape->output_h;
  const uint64_t span_w = (uint64_t)(layer->filter_w - 1u) * layer->dilation_w + 1u;
  const uint64_t span_h = (uint64_t)(layer->filter_h - 1u) * layer->dilation_h + 1u;
  const uint64_t reach = (uint64_t)((uint32_t)shape->output_w - 1u) * layer->stride_w + span_w;
  const uint64_t pitch = reach > (uint64_t)left + width ? reach : (uint64_t)left + width;
  if (layer->row_size > MAX_TAPS || pitch > MAX_BAND_BYTES || span_h > MAX_BAND_BYTES ||
      pitch * span_h > MAX_BAND_BYTES) {
    return false;
  }
  uint32_t rows = 1;
  while (rows < height && pitch * ((uint64_t)rows * stride + span_h) <= STEP_BYTES) rows++;
  /* Steps of the same size, as far as possible. */
  const uint32_t steps = (height + rows - 1u) / rows;
  band->output_rows = (height + steps - 1u) / steps;
  band->input_rows = (band->output_rows - 1u) * stride + (uint32_t)span_h;
  band->pitch = (uint32_t)pitch;
  return true;
}

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  Band band;
  if (!plan_band(layer, shape, &band)) return MLTQ_ERROR_KERNEL;
  *bytes = (size_t)layer->row_size * (sizeof(Tap) + sizeof(int32_t) + sizeof(uint16_t)) +
           2u * MLTQ_MAX_LANE_ENTRIES * sizeof(uint16_t) + (size_t)band.input_rows * band.pitch;
  return MLTQ_OK;
}

/* Adds up the levels of the channel at which the streams stand. */
static void find_taps(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      uint32_t channel, MltqCodeStream* streams, const Buffers* buffers,
                      Filter* filter) {
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
  Tap* tap = buffers->taps;
  const int32_t* coefficient = buffers->coefficients;
  const int32_t zero_point = layer->input_zero_point;
  uint32_t sum = 0;
  for (uint32_t ky = 0; ky < layer->filter_h; ky++) {
    uint32_t at = ky * (uint32_t)layer->dilation_h * band->pitch;
    for (uint32_t kx = 0; kx < layer->filter_w; kx++, at += layer->dilation_w, coefficient++) {
      if (*coefficient == 0) continue;
      tap->offset = at;
      tap->coefficient = *coefficient;
      sum += (uint32_t)*coefficient;
      tap++;
    }
  }
  filter->taps = buffers->taps;
  filter->end = tap;
  filter->bias = (uint32_t)mltq_layer_bias(layer, channel) - sum * (uint32_t)zero_point;
  filter->shift = layer->shifts[channel];
  filter->minimum = layer->activation_min;
  filter->maximum = layer->activation_max;
  filter->stride = layer->stride_w;
  filter->width = (uint32_t)shape->output_w;
  filter->pitch = layer->output_channels;
}

/* Copies one channel of the input rows from `first` on. `input` is its first value. */
static void fill_band(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      const int8_t* input, int32_t first, const Buffers* buffers) {
  int8_t* to = buffers->band + shape->pad_left;
  const size_t channels = layer->input_channels;
  const uint32_t width = (uint32_t)shape->input_w;
  for (uint32_t row = 0; row < band->input_rows; row++, to += band->pitch) {
    const int32_t y = first + (int32_t)row;
    if (y < 0 || y >= shape->input_h) {
      for (uint32_t x = 0; x < width; x++) to[x] = layer->input_zero_point;
      continue;
    }
    const int8_t* from = input + (size_t)y * width * channels;
    uint32_t x = 0;
    if (buffers->map != NULL) {
      for (; x < width; x++, from += channels) to[x] = buffers->map[(uint8_t)*from];
      continue;
    }
    for (; x + 4u <= width; x += 4u) {
      for (uint32_t i = 0; i < 4u; i++, from += channels) to[x + i] = *from;
    }
    for (; x < width; x++, from += channels) to[x] = *from;
  }
}

static inline uint32_t load(const int8_t* value) {
  const int32_t widened = *value;
  return (uint32_t)widened;
}

/* `rows` rows of outputs, whose inputs are `down` apart. `stride` is a constant where this is
 * inlined, if it is 1, and so is `clamp`, which is false for bounds that are those of int8. */
static inline void filter_rows(const Filter* filter, const int8_t* band, size_t down, uint32_t rows,
                               uint32_t stride, const bool clamp, int8_t* out) {
  for (; rows > 0; rows--, band += down) {
    const int8_t* input = band;
    uint32_t count = filter->width;
    for (; count >= 4u; count -= 4u, input += 4u * stride) {
      MLTQ_IN_ORDER();
      uint32_t a = filter->bias;
      uint32_t b = a, c = a, d = a;
      for (const Tap* tap = filter->taps; tap != filter->end; tap++) {
        const int8_t* at = input + tap->offset;
        uint32_t coefficient = (uint32_t)tap->coefficient;
        MLTQ_IN_REGISTER(at);
        MLTQ_IN_REGISTER(coefficient);
        a += coefficient * load(at);
        b += coefficient * load(at + stride);
        at += 2u * stride;
        c += coefficient * load(at);
        d += coefficient * load(at + stride);
      }
      MLTQ_IN_ORDER();
      const size_t pitch = filter->pitch;
      const uint32_t shift = filter->shift;
      const int32_t minimum = filter->minimum;
      const int32_t maximum = filter->maximum;
      *out = mltq_channel_requantize((int32_t)a, shift, clamp, minimum, maximum);
      out += pitch;
      *out = mltq_channel_requantize((int32_t)b, shift, clamp, minimum, maximum);
      out += pitch;
      *out = mltq_channel_requantize((int32_t)c, shift, clamp, minimum, maximum);
      out += pitch;
      *out = mltq_channel_requantize((int32_t)d, shift, clamp, minimum, maximum);
      out += pitch;
    }
    for (; count > 0; count--, input += stride, out += filter->pitch) {
      MLTQ_IN_ORDER();
      uint32_t a = filter->bias;
      for (const Tap* tap = filter->taps; tap != filter->end; tap++) {
        a += (uint32_t)tap->coefficient * load(input + tap->offset);
      }
      *out = mltq_channel_requantize((int32_t)a, filter->shift, clamp, filter->minimum,
                                     filter->maximum);
    }
  }
}

/* Each in a function of its own: the loop needs all registers. */
#define FILTER_ROWS(name, stride, clamp)                                                \
  static MLTQ_NOINLINE void name(const Filter* filter, const int8_t* band, size_t down, \
                                 uint32_t rows, int8_t* out) {                          \
    filter_rows(filter, band, down, rows, stride, clamp, out);                          \
  }
FILTER_ROWS(filter_rows_by_1, 1u, false)
FILTER_ROWS(filter_rows_by_any, filter->stride, true)

/* One image. */
static void convolve(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                     const Buffers* buffers, const int8_t* input, int8_t* output) {
  const uint32_t multiplier = layer->output_channels / layer->input_channels;
  const size_t pitch = layer->output_channels;
  const uint32_t width = (uint32_t)shape->output_w;
  const size_t down = (size_t)layer->stride_h * band->pitch;
  const bool simple = layer->stride_w == 1 && layer->activation_min == INT8_MIN &&
                      layer->activation_max == INT8_MAX;
  for (int32_t first = 0; first < shape->output_h; first += (int32_t)band->output_rows) {
    const uint32_t left = (uint32_t)(shape->output_h - first);
    const uint32_t rows = left < band->output_rows ? left : band->output_rows;
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_code_streams_init(layer, streams);
    uint32_t channel = 0;
    for (uint32_t source = 0; source < layer->input_channels; source++) {
      fill_band(layer, shape, band, input + source, first * layer->stride_h - shape->pad_top,
                buffers);
      for (uint32_t i = 0; i < multiplier; i++, channel++) {
        Filter filter;
        find_taps(layer, shape, band, channel, streams, buffers, &filter);
        int8_t* out = output + (size_t)first * width * pitch + channel;
        if (simple) {
          filter_rows_by_1(&filter, buffers->band, down, rows, out);
        } else {
          filter_rows_by_any(&filter, buffers->band, down, rows, out);
        }
      }
    }
  }
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  Band band;
  if (!plan_band(layer, shape, &band)) return MLTQ_ERROR_KERNEL;
  Buffers buffers;
  buffers.taps = (Tap*)scratch;
  buffers.coefficients = (int32_t*)(buffers.taps + layer->row_size);
  buffers.table = (uint16_t*)(buffers.coefficients + layer->row_size);
  buffers.list = buffers.table + layer->row_size;
  buffers.band = (int8_t*)(buffers.list + 2u * MLTQ_MAX_LANE_ENTRIES);
  int8_t values[256];
  buffers.map = mltq_layer_activation_values(layer, values);
  for (uint32_t i = 0; i < layer->row_size; i++) buffers.table[i] = (uint16_t)i;
  /* The padding left and right of the columns is written here and stays. */
  for (uint32_t i = 0; i < band.input_rows * band.pitch; i++) {
    buffers.band[i] = layer->input_zero_point;
  }
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    convolve(layer, shape, &band, &buffers, input, output);
    input += (size_t)shape->input_h * (size_t)shape->input_w * layer->input_channels;
    output += (size_t)shape->output_h * (size_t)shape->output_w * layer->output_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_depthwise_conv_2d_s8 = {
    .kinds = MLTQ_TAKES_DEPTHWISE_CONV_2D,
    .planes = MLTQ_PLANES_CODED,
    .scratch_bytes = scratch_bytes,
    .run = run,
};

#endif /* !MLTQ_HELIUM */
