#include <stdbool.h>

#include "mltq_activation.h"
#include "mltq_compiler.h"
#include "mltq_kernel.h"

#if !MLTQ_HELIUM

#include "mltq_lanes.h"

/* Convolution by gather-add on packed lanes.
 *
 * For every non-zero entry of a plane, a tile of output positions adds or subtracts one input
 * value each. The output rows are cut into MLTQ_LANES equal parts; row t of all parts, a step, is
 * computed together, one part per lane. The input rows that a step needs are packed into a band,
 * channel by channel, so that neighbouring output positions of a row read neighbouring machine
 * words:
 *
 *     band[row][channel][column]
 *
 * With a horizontal stride, the columns of a channel are sorted by their phase, column % stride.
 * Columns in the padding hold the input zero point. The band is a ring of as many rows as the
 * filter spans; where the whole input fits, it has all rows, and every filter row is decoded once.
 *
 * A filter row is decoded into a list of offsets in the band, which all tiles of the step use. The
 * lane sums of all levels are scaled, rounded and stored together at the end of the row. */

/* A band that has all input rows may be so large. */
#define WHOLE_BAND_BYTES 8192u
/* Keeps sizes inside 32 bits. */
#define MAX_SUM_WORDS (UINT32_C(1) << 24)
/* Offsets, in bytes, are 16 bits. */
#define MAX_BAND_WORDS 16384u
/* Rows that a pointwise convolution is cut into have at most so many positions. */
#define MAX_POINTWISE_WIDTH 64u
/* Entries that one run of the kernel keeps decoded. */
#define LIST_ENTRIES (2u * MLTQ_MAX_LANE_ENTRIES)

typedef struct {
  uint32_t channels;     /* input channels of a row of the filter */
  uint32_t lead;         /* machine words before column 0 of the first channel */
  uint32_t phases;       /* phases of the columns that the filter reads */
  uint32_t phase_words;  /* columns of a phase */
  uint32_t pitch;        /* machine words from one channel to the next */
  uint32_t row_words;    /* machine words from one row to the next */
  uint32_t rows;         /* rows in the ring */
  uint32_t words;        /* all machine words */
  int32_t steps;         /* output rows of a lane */
  int32_t steps_at_once; /* steps for which the band has all rows: 1, or all */
  int32_t last_width;    /* columns of the last row, which is shorter if positions are regrouped */
  uint32_t sum_words;    /* sums of a step */
} Band;

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* A pointwise convolution has no rows: its positions are regrouped into rows that suit the lanes,
 * the tiles and the band. The last row may be shorter. */
static void regroup(const MltqLayer* layer, const MltqShape* shape, MltqShape* rows,
                    int32_t* last_width) {
  *rows = *shape;
  *last_width = shape->input_w;
  if (!mltq_is_pointwise(layer)) return;
  const uint64_t positions = (uint64_t)(uint32_t)shape->input_h * (uint32_t)shape->input_w;
  if (positions > MLTQ_MAX_POSITIONS) return;
  uint32_t widest = WHOLE_BAND_BYTES / (uint32_t)sizeof(uint32_t) / layer->input_channels;
  widest = widest > MAX_POINTWISE_WIDTH ? MAX_POINTWISE_WIDTH : widest;
  widest = widest < 4u ? 4u : widest;
  const uint32_t words = ((uint32_t)positions + MLTQ_LANES - 1u) / MLTQ_LANES;
  const uint32_t steps = (words + widest - 1u) / widest;
  /* Tiles have four machine words at least: one more costs less than three single ones. */
  uint32_t width = (words + steps - 1u) / steps;
  if (width % 4u == 3u) width++;
  const uint32_t height = ((uint32_t)positions + width - 1u) / width;
  rows->input_h = rows->output_h = (int32_t)height;
  rows->input_w = rows->output_w = (int32_t)width;
  *last_width = (int32_t)((uint32_t)positions - (height - 1u) * width);
}

/* Lays out the band. Returns false if it would be too large. */
static MLTQ_NOINLINE bool plan_band(const MltqLayer* layer, const MltqShape* shape, Band* band) {
  const uint32_t stride = layer->stride_w;
  const uint32_t width = (uint32_t)shape->input_w;
  const uint32_t left = (uint32_t)shape->pad_left;
  const uint64_t reach = (uint64_t)((uint32_t)shape->output_w - 1u) * stride +
                         (uint64_t)(layer->filter_w - 1u) * layer->dilation_w + 1u;
  const uint64_t right = reach > (uint64_t)left + width ? reach - left - width : 0u;
  if (left + width + right > MAX_BAND_WORDS) return false;
  const uint64_t span = (uint64_t)(layer->filter_h - 1u) * layer->dilation_h + 1u;
  band->channels = layer->input_channels;
  if (stride == 1u) {
    /* The right padding of a channel is the left padding of the next. */
    band->lead = left;
    band->phases = 1u;
    band->phase_words = width + larger(left, (uint32_t)right);
  } else {
    band->lead = 0u;
    band->phases = layer->dilation_w == 1 && layer->filter_w < stride ? layer->filter_w : stride;
    band->phase_words = (left + width + (uint32_t)right + stride - 1u) / stride;
  }
  const uint64_t pitch = (uint64_t)band->phases * band->phase_words;
  const uint64_t row_words = pitch * band->channels;
  const uint64_t ring_words = row_words * span + band->lead;
  const uint64_t sums =
      (uint64_t)layer->max_sums * (uint32_t)shape->output_w * MLTQ_SUMS_PER_MACHINE_WORD;
  if (pitch > MAX_BAND_WORDS || row_words > MAX_BAND_WORDS || ring_words > MAX_BAND_WORDS ||
      sums > MAX_SUM_WORDS) {
    return false;
  }
  band->sum_words = (uint32_t)sums;
  band->pitch = (uint32_t)pitch;
  band->row_words = (uint32_t)row_words;
  band->steps = (shape->output_h + MLTQ_LANES - 1) / MLTQ_LANES;
  band->rows = (uint32_t)span;
  band->steps_at_once = 1;
  const uint64_t all_rows = (uint64_t)(uint32_t)(band->steps - 1) * layer->stride_h + span;
  if ((uint64_t)layer->levels * layer->row_size <= LIST_ENTRIES &&
      (all_rows * row_words + band->lead) * sizeof(uint32_t) <= WHOLE_BAND_BYTES) {
    band->rows = (uint32_t)all_rows;
    band->steps_at_once = band->steps;
  }
  band->words = band->rows * band->row_words + band->lead;
  return true;
}

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  Band band;
  MltqShape rows;
  regroup(layer, shape, &rows, &band.last_width);
  if (!plan_band(layer, &rows, &band)) return MLTQ_ERROR_KERNEL;
  *bytes = sizeof(uint32_t) * ((size_t)band.words + band.sum_words) +
           sizeof(uint16_t) * (size_t)layer->row_size;
  return MLTQ_OK;
}

/* Columns of the input row of a lane; none in the padding. */
typedef struct {
  const int8_t* values[MLTQ_LANES];
  uint32_t width[MLTQ_LANES];
  uint32_t full;   /* columns that all lanes have */
  uint32_t widest; /* lane with most columns */
} LaneRows;

/* Packs a column that all lanes have. */
static MLTQ_NOINLINE void pack_full_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                           uint32_t channels, uint32_t* words, size_t pitch) {
  mltq_lanes_pack_column(rows, at, channels, words, pitch, false, 0u, 0);
}

/* Packs a column of the lanes that have a bit in `inside`; the others get the zero point. */
static MLTQ_NOINLINE void pack_masked_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                             uint32_t channels, uint32_t* words, size_t pitch,
                                             uint32_t inside, int8_t zero_point) {
  mltq_lanes_pack_column(rows, at, channels, words, pitch, true, inside, zero_point);
}

/* Channels that are mapped at a time. */
#define MAPPED_CHANNELS 16u

/* Packs a column of activations with levels: their values, of the lanes that have a bit in
 * `inside`. */
static MLTQ_NOINLINE void pack_mapped_column(const int8_t* const rows[MLTQ_LANES], size_t at,
                                             uint32_t channels, uint32_t* words, size_t pitch,
                                             uint32_t inside, const int8_t* values) {
  int8_t mapped[MLTQ_LANES][MAPPED_CHANNELS];
  const int8_t* lanes[MLTQ_LANES];
  for (uint32_t lane = 0; lane < MLTQ_LANES; lane++) lanes[lane] = mapped[lane];
  while (channels > 0) {
    const uint32_t count = channels < MAPPED_CHANNELS ? channels : MAPPED_CHANNELS;
    for (uint32_t lane = 0; lane < MLTQ_LANES; lane++) {
      const int8_t* from = rows[lane] + at;
      for (uint32_t i = 0; i < count; i++) {
        MLTQ_IN_ORDER();
        mapped[lane][i] = values[(uint8_t)from[i]];
      }
    }
    if (inside == (1u << MLTQ_LANES) - 1u) {
      pack_full_column(lanes, 0, count, words, pitch);
    } else {
      pack_masked_column(lanes, 0, count, words, pitch, inside, 0);
    }
    at += count;
    words += count * pitch;
    channels -= count;
  }
}

/* Packs one row of all channels. */
static void pack_row(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                     const LaneRows* rows, const int8_t* map, uint32_t* packed) {
  const uint32_t stride = layer->stride_w;
  const uint32_t left = (uint32_t)shape->pad_left;
  /* Regrouped positions may end before any row does; in the padding there is no row at all. */
  const uint32_t widest = rows->width[rows->widest];
  const uint32_t width = widest > 0u ? widest : (uint32_t)shape->input_w;
  const size_t pitch = band->pitch;
  for (uint32_t phase = 0; phase < band->phases; phase++) {
    /* With stride 1, `lead` stands for the padding. */
    uint32_t column = stride == 1u ? 0u : (phase + stride - left % stride) % stride;
    uint32_t* to = packed + band->lead + phase * band->phase_words;
    if (stride != 1u) to += (column + left) / stride;
    for (; column < width; column += stride, to++) {
      const size_t at = (size_t)column * layer->input_channels;
      if (column < rows->full && map == NULL) {
        pack_full_column(rows->values, at, band->channels, to, pitch);
        continue;
      }
      /* A lane that has ended reads the values of another, which are thrown away. */
      const int8_t* values[MLTQ_LANES];
      uint32_t inside = 0;
      for (uint32_t lane = 0; lane < MLTQ_LANES; lane++) {
        const bool has_column = column < rows->width[lane];
        values[lane] = rows->values[has_column ? lane : rows->widest];
        if (has_column) inside |= 1u << lane;
      }
      if (map != NULL) {
        pack_mapped_column(values, at, band->channels, to, pitch, inside, map);
      } else {
        pack_masked_column(values, at, band->channels, to, pitch, inside, layer->input_zero_point);
      }
    }
  }
}

/* The lanes' input rows for row `y` of lane 0, counted without the padding. */
static void find_rows(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      const int8_t* input, int32_t y, LaneRows* rows) {
  const size_t row_bytes = (size_t)shape->input_w * layer->input_channels;
  rows->full = (uint32_t)shape->input_w;
  rows->widest = 0;
  for (uint32_t lane = 0; lane < MLTQ_LANES; lane++, y += band->steps * layer->stride_h) {
    const bool inside = y >= 0 && y < shape->input_h;
    const int32_t width = y + 1 == shape->input_h ? band->last_width : shape->input_w;
    rows->values[lane] = inside ? input + (size_t)y * row_bytes : input;
    rows->width[lane] = inside ? (uint32_t)width : 0u;
    if (rows->width[lane] < rows->full) rows->full = rows->width[lane];
    if (rows->width[lane] > rows->width[rows->widest]) rows->widest = lane;
  }
}

/* Packs the input rows from `*next` on that the steps up to `last_step` need. */
static void fill_band(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                      const int8_t* input, int32_t first_step, int32_t last_step, int32_t* next,
                      const int8_t* map, uint32_t* packed) {
  const int32_t span = (int32_t)(layer->filter_h - 1u) * layer->dilation_h + 1;
  const int32_t first = first_step * layer->stride_h;
  if (*next < first) *next = first;
  for (; *next < last_step * layer->stride_h + span; (*next)++) {
    LaneRows rows;
    find_rows(layer, shape, band, input, *next - shape->pad_top, &rows);
    pack_row(layer, shape, band, &rows, map,
             packed + (uint32_t)*next % band->rows * band->row_words);
  }
}

/* Offset in the band of every entry of a filter row, for output column 0 of `step`. */
static void build_table(const MltqLayer* layer, const MltqShape* shape, const Band* band,
                        int32_t step, uint16_t* table) {
  /* Small cores have no division: quotients and remainders are counted up. */
  const uint32_t stride = layer->stride_w;
  uint32_t row = (uint32_t)step * layer->stride_h % band->rows;
  for (uint32_t ky = 0; ky < layer->filter_h; ky++) {
    uint32_t column = stride == 1u ? band->lead - (uint32_t)shape->pad_left : 0u;
    uint32_t phase = 0;
    for (uint32_t kx = 0; kx < layer->filter_w; kx++) {
      uint32_t at = row * band->row_words + phase * band->phase_words + column;
      for (uint32_t channel = 0; channel < band->channels; channel++, at += band->pitch) {
        *table++ = (uint16_t)(at * sizeof(uint32_t));
      }
      for (phase += layer->dilation_w; phase >= stride; phase -= stride) column++;
    }
    for (row += layer->dilation_h; row >= band->rows;) row -= band->rows;
  }
}

/* Scales, rounds and stores a row: any number of lane sums per level, and lanes past the last
 * output row, which are left out. The last of `lanes` has `last_width` positions. */
static void store_row_general(const MltqChannel* channel, const uint32_t* sums, uint32_t row,
                              uint32_t positions, size_t pitch, int8_t* out, size_t lane_stride,
                              int lanes, uint32_t last_width) {
  for (uint32_t i = 0; i < positions; i++, out += pitch, sums += MLTQ_SUMS_PER_MACHINE_WORD) {
    if (i == last_width) lanes--;
    for (int lane = 0; lane < lanes; lane++) {
      const uint32_t* sum = sums;
      uint32_t accumulator = channel->bias;
      for (uint32_t level = 0; level < channel->levels; level++) {
        for (uint32_t j = 0; j < channel->sums[level]; j++, sum += row) {
          accumulator += (uint32_t)(channel->multipliers[level] * mltq_lanes_get(sum, lane));
        }
      }
      out[(size_t)lane * lane_stride] =
          mltq_requantize((int32_t)accumulator, channel->shift, channel->minimum, channel->maximum);
    }
  }
}

/* The positions of one or more steps for one output channel. `packed` is the band and `output` the
 * first value of the channel in the output image. */
typedef struct {
  const MltqLayer* layer;
  const MltqShape* shape;
  const Band* band;
  uint32_t* packed;
  uint16_t* table;
  uint32_t* sums;
  const int8_t* map; /* values of the activations; NULL if they are int8 */
} Work;

/* mltq_lanes_store for the usual cases, each in a function of its own: its loop needs all the
 * registers that small cores have. */
#define STORE_LANES(name, levels, clamp)                                                         \
  static MLTQ_NOINLINE void name(const MltqChannel* channel, const uint32_t* sums, uint32_t row, \
                                 uint32_t positions, size_t pitch, int8_t* out,                  \
                                 size_t lane_stride) {                                           \
    mltq_lanes_store(channel, sums, row, positions, levels, clamp, pitch, out, lane_stride);     \
  }
STORE_LANES(store_1, 1u, false)
STORE_LANES(store_2, 2u, false)
STORE_LANES(store_3, 3u, false)
STORE_LANES(store_any, channel->levels, true)

/* One lane of `count` positions, for one or two levels of one sum each. */
static MLTQ_NOINLINE void store_lane(const MltqChannel* channel, const uint32_t* sums, uint32_t row,
                                     uint32_t count, int lane, size_t pitch, int8_t* out) {
  const int32_t multiplier0 = channel->multipliers[0];
  const int32_t multiplier1 = channel->levels > 1u ? channel->multipliers[1] : 0;
  const uint32_t* second = sums + (channel->levels > 1u ? row : 0u);
  for (; count > 0; count--, out += pitch) {
    const uint32_t accumulator = channel->bias +
                                 (uint32_t)(multiplier0 * mltq_lanes_get(sums, lane)) +
                                 (uint32_t)(multiplier1 * mltq_lanes_get(second, lane));
    sums += MLTQ_SUMS_PER_MACHINE_WORD;
    second += MLTQ_SUMS_PER_MACHINE_WORD;
    *out = mltq_channel_requantize((int32_t)accumulator, channel->shift, true, channel->minimum,
                                   channel->maximum);
  }
}

static void store_step(const Work* work, const MltqChannel* channel, int32_t step, int8_t* output) {
  const MltqShape* shape = work->shape;
  const Band* band = work->band;
  const size_t pitch = work->layer->output_channels;
  const uint32_t width = (uint32_t)shape->output_w;
  const uint32_t row = width * MLTQ_SUMS_PER_MACHINE_WORD;
  const size_t lane_stride = (size_t)band->steps * width * pitch;
  const uint32_t* sums = work->sums;
  int8_t* out = output + (size_t)step * width * pitch;
  int lanes = MLTQ_LANES;
  while (step + (lanes - 1) * band->steps >= shape->output_h) lanes--;
  const bool has_last = step + (lanes - 1) * band->steps + 1 == shape->output_h;
  /* Where the last row is shorter, its lane ends before the others do. */
  const bool is_short = has_last && band->last_width < shape->input_w;
  const uint32_t last = is_short ? (uint32_t)band->last_width : width;
  if (!channel->one_sum_each) {
    store_row_general(channel, sums, row, width, pitch, out, lane_stride, lanes, last);
    return;
  }
  uint32_t done = 0;
  if (lanes == MLTQ_LANES) {
    done = last;
    const bool clamp = channel->minimum != INT8_MIN || channel->maximum != INT8_MAX;
    if (clamp || channel->levels > 3u) {
      store_any(channel, sums, row, done, pitch, out, lane_stride);
    } else if (channel->levels == 3u) {
      store_3(channel, sums, row, done, pitch, out, lane_stride);
    } else if (channel->levels == 2u) {
      store_2(channel, sums, row, done, pitch, out, lane_stride);
    } else {
      store_1(channel, sums, row, done, pitch, out, lane_stride);
    }
  }
  if (done == width) return;
  sums += done * MLTQ_SUMS_PER_MACHINE_WORD;
  out += done * pitch;
  if (channel->levels > 2u) {
    store_row_general(channel, sums, row, width - done, pitch, out, lane_stride, lanes,
                      last - done);
    return;
  }
  for (int lane = 0; lane < lanes; lane++, out += lane_stride) {
    const uint32_t end = lane + 1 == lanes ? last : width;
    store_lane(channel, sums, row, end - done, lane, pitch, out);
  }
}

/* One step: every run is decoded and used at once. */
static void run_step(const Work* work, MltqCodeStream* streams, const MltqChannel* channel,
                     int32_t step, int8_t* output) {
  const uint32_t words = (uint32_t)work->shape->output_w;
  uint16_t list[LIST_ENTRIES];
  uint32_t* sums = work->sums;
  for (uint32_t level = 0; level < channel->levels; level++) {
    for (uint32_t i = 0; i < channel->sums[level];
         i++, sums += words * MLTQ_SUMS_PER_MACHINE_WORD) {
      MltqRun run;
      mltq_code_stream_read_run(&streams[channel->level[level]], work->table, list, &run);
      mltq_lanes_sum_row(work->packed, &run, words, sums);
    }
  }
  store_step(work, channel, step, output);
}

/* All steps, of a band that has all rows: the runs are decoded once and kept. */
static void run_all_steps(const Work* work, MltqCodeStream* streams, const MltqChannel* channel,
                          int8_t* output) {
  const uint32_t words = (uint32_t)work->shape->output_w;
  const uint32_t step_words = work->layer->stride_h * work->band->row_words;
  uint16_t list[LIST_ENTRIES];
  MltqRun runs[LIST_ENTRIES / MLTQ_MAX_LANE_ENTRIES + MLTQ_MAX_LEVELS];
  uint32_t count = 0;
  uint16_t* next = list;
  for (uint32_t level = 0; level < channel->levels; level++) {
    for (uint32_t i = 0; i < channel->sums[level]; i++, count++) {
      mltq_code_stream_read_run(&streams[channel->level[level]], work->table, next, &runs[count]);
      next += runs[count].positive + runs[count].negative;
    }
  }
  const uint32_t* packed = work->packed;
  for (int32_t step = 0; step < work->band->steps; step++, packed += step_words) {
    uint32_t* sums = work->sums;
    for (uint32_t i = 0; i < count; i++, sums += words * MLTQ_SUMS_PER_MACHINE_WORD) {
      mltq_lanes_sum_row(packed, &runs[i], words, sums);
    }
    store_step(work, channel, step, output);
  }
}

/* One image. */
static void convolve(const MltqLayer* layer, const Work* work, const int8_t* input,
                     int8_t* output) {
  const Band* band = work->band;
  int32_t next = 0;
  MltqCodeStream begin[MLTQ_MAX_LEVELS];
  mltq_code_streams_init(layer, begin);
  for (int32_t step = 0; step < band->steps; step += band->steps_at_once) {
    MltqCodeStream streams[MLTQ_MAX_LEVELS];
    for (uint32_t level = 0; level < layer->levels; level++) streams[level] = begin[level];
    fill_band(layer, work->shape, band, input, step, step + band->steps_at_once - 1, &next,
              work->map, work->packed);
    build_table(layer, work->shape, band, step, work->table);
    for (uint32_t i = 0; i < layer->output_channels; i++) {
      MltqChannel channel;
      mltq_channel_begin(layer, i, streams, &channel);
      if (band->steps_at_once == 1) {
        run_step(work, streams, &channel, step, output + i);
      } else {
        run_all_steps(work, streams, &channel, output + i);
      }
    }
  }
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  Band band;
  MltqShape rows;
  regroup(layer, shape, &rows, &band.last_width);
  if (!plan_band(layer, &rows, &band)) return MLTQ_ERROR_KERNEL;
  uint32_t* packed = (uint32_t*)scratch;
  uint32_t* sums = packed + band.words;
  uint16_t* table = (uint16_t*)(sums + band.sum_words);
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  const Work work = {layer, &rows, &band, packed, table, sums, map};
  /* The padding left and right of the columns is written here and stays. */
  const uint32_t padding = mltq_lanes_padding(layer->input_zero_point);
  for (uint32_t i = 0; i < band.words; i++) packed[i] = padding;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    convolve(layer, &work, input, output);
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

#endif /* !MLTQ_HELIUM */
