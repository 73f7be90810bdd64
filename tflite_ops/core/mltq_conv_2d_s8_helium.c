#include <stdbool.h>

#include "mltq_activation.h"
#include "mltq_channel.h"
#include "mltq_compiler.h"
#include "mltq_kernel.h"

#if MLTQ_HELIUM

#include <arm_mve.h>

/* Convolution by gather-add for Helium: a vector is eight neighbouring positions in 16 bits, and
 * one widening load and one addition serve them all.
 *
 * The output rows are computed some at a time, a step. The input that a step needs is unpacked into
 * a band of bytes, channel by channel and phase by phase, where a phase is the rows and columns of
 * the same remainder modulo the stride:
 *
 *     band[channel][row phase][column phase][row][column]
 *
 * In a phase, the positions of all rows of the step lie in one sequence, at the same distances in
 * the output and under every tap of the filter. So vectors run on over the ends of rows: columns
 * between the rows are computed for nothing, and every vector is full. */

/* Scratch that a step should not exceed, if one row of output allows it. */
#define STEP_BYTES 8192u
/* Offsets, in bytes, are 16 bits. */
#define MAX_BAND_BYTES 65535u
#define MAX_SUM_BYTES (UINT32_C(1) << 26)
/* Positions of a vector. */
#define LANES 8u
/* Vectors that are added up at a time: there are eight registers. */
#define TILE 7u

typedef struct {
  uint32_t phases_h; /* phases of rows and columns that the filter reads */
  uint32_t phases_w;
  uint32_t pitch;       /* columns of a phase, from one row to the next */
  uint32_t phase_bytes; /* all rows */
  uint32_t bytes;
  uint32_t input_rows;  /* of a step, without phases */
  uint32_t output_rows; /* of a step */
  uint32_t vectors;     /* of a step */
  uint32_t last_width;  /* of the last row, which is shorter if positions are regrouped */
} Band;

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

static uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1u) / b; }

/* A pointwise convolution has no rows: its positions are regrouped into rows of one vector. */
static void regroup(const MltqLayer* layer, const MltqShape* shape, MltqShape* rows,
                    uint32_t* last_width) {
  *rows = *shape;
  *last_width = (uint32_t)shape->input_w;
  if (!mltq_is_pointwise(layer)) return;
  const uint64_t positions = (uint64_t)(uint32_t)shape->input_h * (uint32_t)shape->input_w;
  if (positions > MLTQ_MAX_POSITIONS) return;
  const uint32_t height = divide_up((uint32_t)positions, LANES);
  rows->input_h = rows->output_h = (int32_t)height;
  rows->input_w = rows->output_w = (int32_t)LANES;
  *last_width = (uint32_t)positions - (height - 1u) * LANES;
}

/* Bytes of the sums of a step; whole vectors. */
static uint64_t sum_bytes(const MltqLayer* layer, const Band* band) {
  return (uint64_t)layer->max_sums * band->vectors * LANES * sizeof(int16_t);
}

/* Scratch of a step. */
static uint64_t step_bytes(const MltqLayer* layer, const Band* band) {
  return sum_bytes(layer, band) + (uint64_t)layer->row_size * sizeof(uint16_t) + band->bytes;
}

/* Lays out the band of a step of so many output rows. Returns false if it would be too large. */
static bool plan_step(const MltqLayer* layer, const MltqShape* shape, uint32_t output_rows,
                      Band* band) {
  const uint32_t stride_h = layer->stride_h;
  const uint32_t span = (uint32_t)(layer->filter_h - 1u) * layer->dilation_h;
  const uint64_t input_rows = (uint64_t)(output_rows - 1u) * stride_h + span + 1u;
  const uint64_t phase_rows = (uint64_t)output_rows + span / stride_h;
  const uint64_t phase_bytes = phase_rows * band->pitch;
  /* Vectors and padding run on past the last row. */
  const uint64_t bytes =
      phase_bytes * band->phases_h * band->phases_w * layer->input_channels + band->pitch + LANES;
  if (phase_rows > MAX_BAND_BYTES || phase_bytes > MAX_BAND_BYTES || bytes > MAX_BAND_BYTES) {
    return false;
  }
  band->output_rows = output_rows;
  band->input_rows = (uint32_t)input_rows;
  band->phase_bytes = (uint32_t)phase_bytes;
  band->bytes = (uint32_t)bytes;
  band->vectors = divide_up((output_rows - 1u) * band->pitch + (uint32_t)shape->output_w, LANES);
  return true;
}

/* Lays out the band, with as many rows as fit. Returns false if one row would be too large. */
static MLTQ_NOINLINE bool plan_band(const MltqLayer* layer, const MltqShape* shape, Band* band) {
  const uint32_t stride = layer->stride_w;
  const uint32_t left = (uint32_t)shape->pad_left;
  const uint32_t span = (uint32_t)(layer->filter_w - 1u) * layer->dilation_w;
  const uint32_t width = (uint32_t)shape->input_w;
  const uint64_t reach = (uint64_t)((uint32_t)shape->output_w - 1u) * stride + span + 1u;
  const uint64_t columns = reach > (uint64_t)left + width ? reach : (uint64_t)left + width;
  /* The offsets of a gather are 16 bits too. */
  if (columns > MAX_BAND_BYTES ||
      (uint64_t)(LANES - 1u) * stride * layer->input_channels > MAX_BAND_BYTES) {
    return false;
  }
  const bool one_w = layer->dilation_w == 1 && layer->filter_w < stride;
  const bool one_h = layer->dilation_h == 1 && layer->filter_h < layer->stride_h;
  band->phases_w = one_w ? layer->filter_w : stride;
  band->phases_h = one_h ? layer->filter_h : layer->stride_h;
  /* Without phases, the right padding of a row is the left padding of the next. */
  band->pitch = stride == 1u ? width + larger(left, (uint32_t)columns - left - width)
                             : divide_up((uint32_t)columns, stride);
  const uint32_t height = (uint32_t)shape->output_h;
  if (!plan_step(layer, shape, 1u, band)) return false;
  uint32_t rows = 1;
  while (rows < height && plan_step(layer, shape, rows + 1u, band) &&
         step_bytes(layer, band) <= STEP_BYTES) {
    rows++;
  }
  /* Steps of the same size, as far as possible. */
  return plan_step(layer, shape, divide_up(height, divide_up(height, rows)), band) &&
         sum_bytes(layer, band) <= MAX_SUM_BYTES;
}

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  Band band;
  MltqShape rows;
  regroup(layer, shape, &rows, &band.last_width);
  if (!plan_band(layer, &rows, &band)) return MLTQ_ERROR_KERNEL;
  *bytes = (size_t)step_bytes(layer, &band);
  return MLTQ_OK;
}

/* Unpacks one row of one phase of columns: `count` columns from `from` on, `step` bytes apart, of
 * all channels. */
static MLTQ_NOINLINE void unpack_row(const int8_t* from, uint32_t step, uint32_t count,
                                     uint32_t channels, int8_t* to, size_t channel_bytes) {
  const uint16x8_t offsets = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
  for (uint32_t i = 0; i < count; i += LANES, from += LANES * step, to += LANES) {
    const int8_t* source = from;
    int8_t* target = to;
    if (count - i >= LANES) {
      for (uint32_t channel = 0; channel < channels; channel++, target += channel_bytes) {
        vstrbq_s16(target, vldrbq_gather_offset_s16(source++, offsets));
      }
      continue;
    }
    const mve_pred16_t inside = vctp16q(count - i);
    for (uint32_t channel = 0; channel < channels; channel++, target += channel_bytes) {
      vstrbq_p_s16(target, vldrbq_gather_offset_z_s16(source++, offsets, inside), inside);
    }
  }
}

/* The same for activations with levels: their values. */
static MLTQ_NOINLINE void unpack_mapped_row(const int8_t* from, uint32_t step, uint32_t count,
                                            uint32_t channels, const int8_t* values, int8_t* to,
                                            size_t channel_bytes) {
  const uint16x8_t offsets = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
  for (uint32_t i = 0; i < count; i += LANES, from += LANES * step, to += LANES) {
    const uint8_t* source = (const uint8_t*)from;
    int8_t* target = to;
    const mve_pred16_t inside = vctp16q(count - i);
    for (uint32_t channel = 0; channel < channels; channel++, target += channel_bytes) {
      const uint16x8_t index = vldrbq_gather_offset_z_u16(source++, offsets, inside);
      vstrbq_p_s16(target, vldrbq_gather_offset_z_s16(values, index, inside), inside);
    }
  }
}

/* Fills a row of padding. */
static void fill_row(int8_t zero_point, uint32_t count, uint32_t channels, int8_t* to,
                     size_t channel_bytes) {
  for (; channels > 0; channels--, to += channel_bytes) {
    for (uint32_t i = 0; i < count; i++) to[i] = zero_point;
  }
}

/* Unpacks the input rows of the step that begins with output row `first`. */
static void fill_band(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      const int8_t* input, int32_t first, const int8_t* map, int8_t* packed) {
  const uint32_t channels = layer->input_channels;
  const uint32_t stride = layer->stride_w;
  const uint32_t left = (uint32_t)shape->pad_left;
  const size_t channel_bytes = (size_t)band->phases_h * band->phases_w * band->phase_bytes;
  int32_t y = first * layer->stride_h - shape->pad_top;
  for (uint32_t row = 0; row < band->input_rows; row++, y++) {
    const uint32_t phase_h = row % layer->stride_h;
    if (phase_h >= band->phases_h) continue;
    const bool inside = y >= 0 && y < shape->input_h;
    const uint32_t width = y + 1 == shape->input_h ? band->last_width : (uint32_t)shape->input_w;
    int8_t* to =
        packed + phase_h * band->phases_w * band->phase_bytes + row / layer->stride_h * band->pitch;
    for (uint32_t phase_w = 0; phase_w < band->phases_w; phase_w++, to += band->phase_bytes) {
      const uint32_t column = (phase_w + stride - left % stride) % stride;
      if (column >= width) continue;
      const uint32_t count = divide_up(width - column, stride);
      int8_t* values = to + (column + left) / stride;
      if (inside) {
        const int8_t* from = input + ((size_t)y * (uint32_t)shape->input_w + column) * channels;
        if (map != NULL) {
          unpack_mapped_row(from, stride * channels, count, channels, map, values, channel_bytes);
        } else {
          unpack_row(from, stride * channels, count, channels, values, channel_bytes);
        }
      } else {
        fill_row(layer->input_zero_point, count, channels, values, channel_bytes);
      }
    }
  }
}

/* Offset in the band of every entry of a row of the filter, for the first position of a step. */
static void build_table(const MltqLayer* layer, const Band* band, uint16_t* table) {
  for (uint32_t ky = 0; ky < layer->filter_h; ky++) {
    const uint32_t row = ky * layer->dilation_h;
    const uint32_t phase_h = row % layer->stride_h;
    for (uint32_t kx = 0; kx < layer->filter_w; kx++) {
      const uint32_t column = kx * layer->dilation_w;
      const uint32_t phase = phase_h * band->phases_w + column % layer->stride_w;
      uint32_t at = phase * band->phase_bytes + row / layer->stride_h * band->pitch +
                    column / layer->stride_w;
      for (uint32_t channel = 0; channel < layer->input_channels; channel++) {
        *table++ = (uint16_t)at;
        at += band->phases_h * band->phases_w * band->phase_bytes;
      }
    }
  }
}

/* Eight values, as 16 bits. Left to themselves, compilers compute the addresses one by one. */
#if defined(__GNUC__)
#define LOAD_VECTOR(value, at, offset)                \
  int16x8_t value;                                    \
  __asm__("vldrb.s16 %q[vector], [%[address], %[by]]" \
          : [vector] "=w"(value)                      \
          : [address] "r"(at), [by] "i"(offset), "m"(*(const int8_t (*)[(offset) + 8])(at)))
#else
#define LOAD_VECTOR(value, at, offset) const int16x8_t value = vldrbq_s16((at) + (offset))
#endif

/* Defines the sum of so many vectors over the entries of a run. */
#define SUM_VECTORS(name, REPEAT)                                                           \
  static MLTQ_NOINLINE void name(const int8_t* packed, const MltqRun* run, int16_t* sums) { \
    const uint16_t* list = run->list;                                                       \
    const uint16_t* end = list + run->positive;                                             \
    REPEAT(SUM_BEGIN)                                                                       \
    while (list != end) {                                                                   \
      const int8_t* at = packed + *list++;                                                  \
      REPEAT(SUM_ADD)                                                                       \
    }                                                                                       \
    end += run->negative;                                                                   \
    while (list != end) {                                                                   \
      const int8_t* at = packed + *list++;                                                  \
      REPEAT(SUM_SUBTRACT)                                                                  \
    }                                                                                       \
    REPEAT(SUM_END)                                                                         \
  }
#define SUM_BEGIN(i) int16x8_t total##i = vdupq_n_s16(0);
#define SUM_ADD(i)                         \
  {                                        \
    LOAD_VECTOR(value, at, 8 * (i));       \
    total##i = vaddq_s16(total##i, value); \
  }
#define SUM_SUBTRACT(i)                    \
  {                                        \
    LOAD_VECTOR(value, at, 8 * (i));       \
    total##i = vsubq_s16(total##i, value); \
  }
#define SUM_END(i) vst1q_s16(sums + 8 * (i), total##i);
#define REPEAT_1(X) X(0)
#define REPEAT_2(X) REPEAT_1(X) X(1)
#define REPEAT_3(X) REPEAT_2(X) X(2)
#define REPEAT_4(X) REPEAT_3(X) X(3)
#define REPEAT_5(X) REPEAT_4(X) X(4)
#define REPEAT_6(X) REPEAT_5(X) X(5)
#define REPEAT_7(X) REPEAT_6(X) X(6)
SUM_VECTORS(sum_1, REPEAT_1)
SUM_VECTORS(sum_2, REPEAT_2)
SUM_VECTORS(sum_3, REPEAT_3)
SUM_VECTORS(sum_4, REPEAT_4)
SUM_VECTORS(sum_5, REPEAT_5)
SUM_VECTORS(sum_6, REPEAT_6)
SUM_VECTORS(sum_7, REPEAT_7)

/* Sums of all positions of a step. */
static void sum_run(const int8_t* packed, const MltqRun* run, uint32_t vectors, int16_t* sums) {
  for (; vectors >= TILE; vectors -= TILE, packed += LANES * TILE, sums += LANES * TILE) {
    sum_7(packed, run, sums);
  }
  switch (vectors) {
    case 6:
      sum_6(packed, run, sums);
      break;
    case 5:
      sum_5(packed, run, sums);
      break;
    case 4:
      sum_4(packed, run, sums);
      break;
    case 3:
      sum_3(packed, run, sums);
      break;
    case 2:
      sum_2(packed, run, sums);
      break;
    case 1:
      sum_1(packed, run, sums);
      break;
    default:
      break;
  }
}

/* What the stores of a channel have in registers. */
typedef struct {
  uint32x4_t offsets;
  int32x4_t bias;
  int32x4_t minimum;
  int32x4_t maximum;
  int32_t shift; /* to the left */
} Output;

/* Four positions, scaled and rounded. The sums of a level, and of the parts that it may be cut
 * into, are `next` apart; `levels`, and whether there are such parts, are constants where this is
 * inlined. */
static inline int32x4_t requantize(const MltqChannel* channel, const Output* output,
                                   const int16_t* sums, size_t next, const uint32_t levels,
                                   const bool parts) {
  int32x4_t value = output->bias;
  for (uint32_t level = 0; level < levels; level++) {
    for (uint32_t part = 0; part < (parts ? channel->sums[level] : 1u); part++, sums += next) {
      value = vmlaq_n_s32(value, vldrhq_s32(sums), channel->multipliers[level]);
    }
  }
  value = vshlq_r_s32(value, output->shift);
  return vminq_s32(vmaxq_s32(value, output->minimum), output->maximum);
}

/* Scales, rounds and stores `rows` rows of `count` positions, whose sums are `pitch` apart. */
static inline void store_rows(const MltqChannel* constants, const int16_t* sums, size_t next,
                              uint32_t rows, uint32_t count, size_t pitch, const uint32_t levels,
                              const bool parts, size_t channels, int8_t* out) {
  /* A copy, which the stores of bytes cannot change. */
  const MltqChannel channel = *constants;
  Output output;
  output.offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)channels);
  output.bias = vdupq_n_s32((int32_t)channel.bias);
  output.minimum = vdupq_n_s32(channel.minimum);
  output.maximum = vdupq_n_s32(channel.maximum);
  output.shift = -(int32_t)channel.shift;
  for (; rows > 0; rows--, sums += pitch, out += count * channels) {
    const int16_t* sum = sums;
    int8_t* to = out;
    for (uint32_t i = count / 4u; i > 0; i--, sum += 4, to += 4u * channels) {
      vstrbq_scatter_offset_s32(to, output.offsets,
                                requantize(&channel, &output, sum, next, levels, parts));
    }
    if (count % 4u != 0u) {
      vstrbq_scatter_offset_p_s32(to, output.offsets,
                                  requantize(&channel, &output, sum, next, levels, parts),
                                  vctp32q(count % 4u));
    }
  }
}

/* Each in a function of its own: the loop needs all registers. */
#define STORE_ROWS(name, levels, parts)                                                          \
  static MLTQ_NOINLINE void name(const MltqChannel* constants, const int16_t* sums, size_t next, \
                                 uint32_t rows, uint32_t count, size_t pitch, size_t channels,   \
                                 int8_t* out) {                                                  \
    store_rows(constants, sums, next, rows, count, pitch, levels, parts, channels, out);         \
  }
STORE_ROWS(store_1, 1u, false)
STORE_ROWS(store_2, 2u, false)
STORE_ROWS(store_3, 3u, false)
STORE_ROWS(store_any, constants->levels, true)

typedef struct {
  const MltqLayer* layer;
  const MltqShape* shape;
  const Band* band;
  int8_t* packed;
  uint16_t* table;
  int16_t* sums;
  const int8_t* map; /* values of the activations; NULL if they are int8 */
} Work;

/* Stores the sums of a step whose first output row is `first`. */
static void store_step(const Work* work, const MltqChannel* channel, int32_t first,
                       int8_t* output) {
  const MltqShape* shape = work->shape;
  const Band* band = work->band;
  const uint32_t width = (uint32_t)shape->output_w;
  const size_t channels = work->layer->output_channels;
  const size_t next = (size_t)band->vectors * LANES;
  const bool is_last = first + (int32_t)band->output_rows >= shape->output_h;
  const bool is_short = is_last && band->last_width < (uint32_t)shape->input_w;
  uint32_t rows = is_last ? (uint32_t)(shape->output_h - first) : band->output_rows;
  if (is_short) rows--;
  const int16_t* sums = work->sums;
  int8_t* out = output + (size_t)first * width * channels;
  if (!channel->one_sum_each || channel->levels > 3u) {
    store_any(channel, sums, next, rows, width, band->pitch, channels, out);
  } else if (channel->levels == 3u) {
    store_3(channel, sums, next, rows, width, band->pitch, channels, out);
  } else if (channel->levels == 2u) {
    store_2(channel, sums, next, rows, width, band->pitch, channels, out);
  } else {
    store_1(channel, sums, next, rows, width, band->pitch, channels, out);
  }
  if (!is_short) return;
  store_any(channel, sums + rows * band->pitch, next, 1u, band->last_width, band->pitch, channels,
            out + rows * width * channels);
}

/* One image. */
static void convolve(const Work* work, const int8_t* input, int8_t* output) {
  const MltqLayer* layer = work->layer;
  const Band* band = work->band;
  const size_t row = (size_t)band->vectors * LANES;
  for (int32_t first = 0; first < work->shape->output_h; first += (int32_t)band->output_rows) {
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    mltq_code_streams_init(layer, streams);
    fill_band(layer, work->shape, band, input, first, work->map, work->packed);
    for (uint32_t i = 0; i < layer->output_channels; i++) {
      MltqChannel channel;
      mltq_channel_begin(layer, i, streams, &channel);
      int16_t* sums = work->sums;
      for (uint32_t level = 0; level < channel.levels; level++) {
        for (uint32_t part = 0; part < channel.sums[level]; part++, sums += row) {
          uint16_t list[2u * MLTQ_MAX_LANE_ENTRIES];
          MltqRun run;
          mltq_code_stream_read_run(&streams[channel.level[level]], work->table, list, &run);
          sum_run(work->packed, &run, band->vectors, sums);
        }
      }
      store_step(work, &channel, first, output + i);
    }
  }
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  Band band;
  MltqShape rows;
  regroup(layer, shape, &rows, &band.last_width);
  if (!plan_band(layer, &rows, &band)) return MLTQ_ERROR_KERNEL;
  int16_t* sums = (int16_t*)scratch;
  uint16_t* table = (uint16_t*)sums + (size_t)layer->max_sums * band.vectors * LANES;
  int8_t* packed = (int8_t*)(table + layer->row_size);
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  const Work work = {layer, &rows, &band, packed, table, sums, map};
  /* The padding left and right of the columns is written here and stays. */
  for (uint32_t i = 0; i < band.bytes; i++) packed[i] = layer->input_zero_point;
  build_table(layer, &band, table);
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    convolve(&work, input, output);
    input += (size_t)shape->input_h * (size_t)shape->input_w * layer->input_channels;
    output += (size_t)shape->output_h * (size_t)shape->output_w * layer->output_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_conv_2d_s8 = {
    .kinds = MLTQ_TAKES_CONV_2D,
    .planes = MLTQ_PLANES_CODED,
    .scratch_bytes = scratch_bytes,
    .run = run,
};

#endif /* MLTQ_HELIUM */
