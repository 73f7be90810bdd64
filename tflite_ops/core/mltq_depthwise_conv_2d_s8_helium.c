#include <stdbool.h>
#include <string.h>

#include "mltq_activation.h"
#include "mltq_code_stream.h"
#include "mltq_compiler.h"
#include "mltq_kernel.h"

#if MLTQ_HELIUM

#include <arm_mve.h>

/* Depthwise convolution for Helium: a vector is four channels of one pixel. As in
 * mltq_depthwise_conv_2d_s8.c the levels are added up, tap by tap,
 *
 *     acc = bias + sum over taps of coefficient[tap] * (x[tap] - z),
 *
 * modulo 2^32, with a vector of coefficients for every tap that not all four channels leave out.
 *
 * Some channels of the input rows that some output rows need, a step, are copied into a band with
 * the padding around them, so that no tap has to be compared with the borders:
 *
 *     band[row][column][channel] */

/* A step should not have a larger band, if one row of output allows it. */
#define STEP_BYTES 4096u
#define MAX_BAND_BYTES (UINT32_C(1) << 24)
/* Indices of taps are 16 bits. */
#define MAX_TAPS 65535u
/* Channels of a vector. */
#define LANES 4u
/* Channels of the band, if the layer has as many. */
#define BAND_CHANNELS 16u

typedef struct {
  uint32_t channels;    /* a multiple of LANES */
  uint32_t pitch;       /* bytes from one row to the next */
  uint32_t input_rows;  /* of a step */
  uint32_t output_rows; /* of a step */
} Band;

typedef struct {
  int32_t coefficients[LANES]; /* not all 0 */
  uint32_t offset;             /* bytes in the band, from the origin of the filter */
} Tap;

/* What is the same for all outputs of four channels. */
typedef struct {
  const Tap* taps;
  const Tap* end;
  int32_t biases[LANES]; /* the zero point is in them */
  int32_t shifts[LANES]; /* to the left: not above 0 */
  int32_t minimum;
  int32_t maximum;
  uint32_t stride;   /* columns, in bytes of the band */
  uint32_t width;    /* of a row of outputs */
  uint32_t channels; /* that there are, up to LANES */
  size_t pitch;      /* bytes from one output to the next */
} Filter;

typedef struct {
  Tap* taps;
  uint16_t* table;
  uint16_t* list;
  int8_t* band;
  const int8_t* map; /* values of the activations; NULL if they are int8 */
} Buffers;

static uint32_t at_most(uint32_t value, uint32_t limit) { return value < limit ? value : limit; }

/* Lays out the band. Returns false if it would be too large. */
static MLTQ_NOINLINE bool plan_band(const MltqLayer* layer, const MltqShape* shape, Band* band) {
  const uint32_t stride = layer->stride_h;
  const uint32_t left = (uint32_t)shape->pad_left;
  const uint32_t width = (uint32_t)shape->input_w;
  const uint32_t height = (uint32_t)shape->output_h;
  const uint64_t span_w = (uint64_t)(layer->filter_w - 1u) * layer->dilation_w + 1u;
  const uint64_t span_h = (uint64_t)(layer->filter_h - 1u) * layer->dilation_h + 1u;
  const uint64_t reach = (uint64_t)((uint32_t)shape->output_w - 1u) * layer->stride_w + span_w;
  const uint64_t columns = reach > (uint64_t)left + width ? reach : (uint64_t)left + width;
  band->channels = at_most((layer->output_channels + LANES - 1u) / LANES * LANES, BAND_CHANNELS);
  const uint64_t pitch = columns * band->channels;
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
  *bytes = (size_t)layer->row_size * (sizeof(Tap) + sizeof(uint16_t)) +
           2u * MLTQ_MAX_LANE_ENTRIES * sizeof(uint16_t) + (size_t)band.input_rows * band.pitch;
  return MLTQ_OK;
}

/* Adds a level of the channel at which the stream stands to the coefficients of a lane. */
static void add_level(MltqCodeStream* stream, int32_t multiplier, uint32_t lane,
                      const Buffers* buffers) {
  mltq_code_stream_begin_row(stream);
  while (stream->positive + stream->negative > 0) {
    MltqRun run;
    mltq_code_stream_read_run(stream, buffers->table, buffers->list, &run);
    const uint16_t* list = run.list;
    for (uint32_t i = 0; i < run.positive; i++) {
      buffers->taps[*list++].coefficients[lane] += multiplier;
    }
    for (uint32_t i = 0; i < run.negative; i++) {
      buffers->taps[*list++].coefficients[lane] -= multiplier;
    }
  }
}

/* Adds up the levels of the channels from `channel` on, at which the streams stand. */
static void find_taps(const MltqLayer* layer, const Band* band, uint32_t channel,
                      MltqCodeStream* streams, const Buffers* buffers, Filter* filter) {
  const int32x4_t zero = vdupq_n_s32(0);
  for (uint32_t i = 0; i < layer->row_size; i++) vstrwq_s32(buffers->taps[i].coefficients, zero);
  filter->channels = at_most(layer->output_channels - channel, LANES);
  for (uint32_t lane = 0; lane < LANES; lane++) {
    const bool is_there = lane < filter->channels;
    filter->biases[lane] = is_there ? mltq_layer_bias(layer, channel + lane) : 0;
    filter->shifts[lane] = is_there ? -(int32_t)layer->shifts[channel + lane] : 0;
    for (uint32_t level = 0; is_there && level < layer->levels; level++) {
      add_level(&streams[level], mltq_layer_multiplier(layer, channel + lane, level), lane,
                buffers);
    }
  }
  /* Those that are not all 0, moved to the front. */
  const Tap* from = buffers->taps;
  Tap* tap = buffers->taps;
  int32x4_t sum = zero;
  for (uint32_t ky = 0; ky < layer->filter_h; ky++) {
    uint32_t at = ky * (uint32_t)layer->dilation_h * band->pitch;
    for (uint32_t kx = 0; kx < layer->filter_w; kx++, from++) {
      const int32x4_t coefficients = vldrwq_s32(from->coefficients);
      if (vmaxavq_s32(0, coefficients) != 0) {
        vstrwq_s32(tap->coefficients, coefficients);
        tap->offset = at;
        tap++;
        sum = vaddq_s32(sum, coefficients);
      }
      at += (uint32_t)layer->dilation_w * band->channels;
    }
  }
  filter->taps = buffers->taps;
  filter->end = tap;
  const int32x4_t biases = vldrwq_s32(filter->biases);
  vstrwq_s32(filter->biases, vmlaq_n_s32(biases, sum, -(int32_t)layer->input_zero_point));
}

/* Copies the inputs of `count` output channels from `channel` on, of the input rows from `first`
 * on. */
static void fill_band(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      const int8_t* input, int32_t first, uint32_t channel, uint32_t count,
                      const Buffers* buffers) {
  const uint32_t multiplier = layer->output_channels / layer->input_channels;
  const uint32_t width = (uint32_t)shape->input_w;
  const size_t row_bytes = (size_t)width * layer->input_channels;
  const mve_pred16_t some = vctp8q(count);
  uint8_t places[BAND_CHANNELS]; /* of the inputs, from that of `channel` on */
  for (uint32_t i = 0; i < BAND_CHANNELS; i++) {
    places[i] = (uint8_t)((channel % multiplier + i) / multiplier);
  }
  const uint8x16_t offsets = vldrbq_u8(places);
  int8_t* row = buffers->band + (size_t)shape->pad_left * band->channels;
  for (uint32_t i = 0; i < band->input_rows; i++, row += band->pitch) {
    const int32_t y = first + (int32_t)i;
    int8_t* to = row;
    if (y < 0 || y >= shape->input_h) {
      memset(to, layer->input_zero_point, (size_t)width * band->channels);
      continue;
    }
    const int8_t* from = input + (size_t)y * row_bytes + channel / multiplier;
    for (uint32_t x = 0; x < width; x++, from += layer->input_channels, to += band->channels) {
      int8x16_t values = multiplier == 1u ? vldrbq_z_s8(from, some)
                                          : vldrbq_gather_offset_z_s8(from, offsets, some);
      if (buffers->map != NULL) {
        const uint8x16_t codes = vreinterpretq_u8_s8(values);
        values = vldrbq_gather_offset_z_s8(buffers->map, codes, some);
      }
      vstrbq_p_s8(to, values, some);
    }
  }
}

static inline int32x4_t requantize(const Filter* filter, int32x4_t value) {
  value = vshlq_s32(value, vldrwq_s32(filter->shifts));
  return vminq_s32(vmaxq_s32(value, vdupq_n_s32(filter->minimum)), vdupq_n_s32(filter->maximum));
}

static inline int32x4_t add(int32x4_t sum, int32x4_t coefficients, const int8_t* at) {
  return vaddq_s32(sum, vmulq_s32(coefficients, vldrbq_s32(at)));
}

/* `rows` rows of outputs, whose inputs are `down` apart: four positions at a time. */
static MLTQ_NOINLINE void filter_rows(const Filter* filter, const int8_t* band, size_t down,
                                      uint32_t rows, int8_t* out) {
  const mve_pred16_t some = vctp32q(filter->channels);
  const int32x4_t biases = vldrwq_s32(filter->biases);
  const Tap* const end = filter->end;
  const size_t stride = filter->stride;
  const size_t pitch = filter->pitch;
  for (; rows > 0; rows--, band += down) {
    const int8_t* input = band;
    uint32_t left = filter->width;
    for (; left >= 4u; left -= 4u, input += 4u * stride) {
      int32x4_t a = biases, b = biases, c = biases, d = biases;
      for (const Tap* tap = filter->taps; tap != end; tap++) {
        const int32x4_t coefficients = vldrwq_s32(tap->coefficients);
        const int8_t* at = input + tap->offset;
        a = add(a, coefficients, at);
        b = add(b, coefficients, at += stride);
        c = add(c, coefficients, at += stride);
        d = add(d, coefficients, at + stride);
      }
      a = requantize(filter, a);
      b = requantize(filter, b);
      c = requantize(filter, c);
      d = requantize(filter, d);
      vstrbq_p_s32(out, a, some);
      vstrbq_p_s32(out += pitch, b, some);
      vstrbq_p_s32(out += pitch, c, some);
      vstrbq_p_s32(out += pitch, d, some);
      out += pitch;
    }
    for (; left > 0; left--, input += stride, out += pitch) {
      int32x4_t sum = biases;
      for (const Tap* tap = filter->taps; tap != end; tap++) {
        sum = add(sum, vldrwq_s32(tap->coefficients), input + tap->offset);
      }
      vstrbq_p_s32(out, requantize(filter, sum), some);
    }
  }
}

/* One image. */
static void convolve(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                     const Buffers* buffers, const int8_t* input, int8_t* output) {
  Filter filter;
  filter.minimum = layer->activation_min;
  filter.maximum = layer->activation_max;
  filter.stride = layer->stride_w * band->channels;
  filter.width = (uint32_t)shape->output_w;
  filter.pitch = layer->output_channels;
  const size_t down = (size_t)layer->stride_h * band->pitch;
  for (int32_t first = 0; first < shape->output_h; first += (int32_t)band->output_rows) {
    const uint32_t rows = at_most((uint32_t)(shape->output_h - first), band->output_rows);
    int8_t* out = output + (size_t)first * filter.width * filter.pitch;
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_code_streams_init(layer, streams);
    for (uint32_t begin = 0; begin < layer->output_channels; begin += band->channels) {
      const uint32_t count = at_most(layer->output_channels - begin, band->channels);
      fill_band(layer, shape, band, input, first * layer->stride_h - shape->pad_top, begin, count,
                buffers);
      for (uint32_t i = 0; i < count; i += LANES) {
        find_taps(layer, band, begin + i, streams, buffers, &filter);
        filter_rows(&filter, buffers->band + i, down, rows, out + begin + i);
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
  buffers.table = (uint16_t*)(buffers.taps + layer->row_size);
  buffers.list = buffers.table + layer->row_size;
  buffers.band = (int8_t*)(buffers.list + 2u * MLTQ_MAX_LANE_ENTRIES);
  int8_t values[256];
  buffers.map = mltq_layer_activation_values(layer, values);
  for (uint32_t i = 0; i < layer->row_size; i++) buffers.table[i] = (uint16_t)i;
  /* The padding left and right of the columns is written here and stays. */
  memset(buffers.band, layer->input_zero_point, (size_t)band.input_rows * band.pitch);
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

#endif /* MLTQ_HELIUM */
