#include <stdbool.h>

#include "mltq_activation.h"
#include "mltq_bit_count.h"
#include "mltq_bits.h"
#include "mltq_kernel.h"
#include "mltq_machine_word.h"

/* Convolutions and fully connected layers on bit planes: logic and population counts.
 *
 * Both sides are planes of bits, 32 entries to a machine word: for every entry whether it is not
 * zero, and whether it is negative. With w the machine words of a plane of weights and x those of a
 * plane of activations, the products of their entries are not zero in n and negative in s,
 *
 *     n = w.nonzero & x.nonzero        s = (w.negative ^ x.negative) & n
 *
 * and their sum is count(n) - 2 * count(s). Where neither side has zeros, n is all ones.
 *
 * The input is cut into planes row by row, into a ring of as many rows as the filter spans. Then
 * the windows of a few neighbouring output positions are gathered, each a string of row_size bits
 * for every level and machine word, and every plane of weights is counted against all of them.
 * Machine words of weights without any entry are not in the packed tensor, and nothing is
 * done for them.
 *
 * A fully connected layer is a convolution of images with one pixel. */

/* Output positions whose windows are gathered at once. */
#define TILE 8
/* Machine words of a row are numbered by uint16_t. */
#define MAX_ROW_WORDS 65536u
#define MAX_BAND_WORDS (UINT32_C(1) << 24)

/* Where the cut of a value has the two bits of a level: not zero, negative. */
#define CUT_SHIFT(level) (2u * (level))

typedef struct {
  uint32_t streams;       /* machine words for 32 entries of a level: 1 if none is zero, else 2 */
  uint32_t channel_words; /* of one stream of a pixel */
  uint32_t pixel_words;   /* of all streams of all levels */
  uint32_t band_rows;
  uint32_t row_words;    /* of one stream of a window */
  uint32_t window_words; /* of all streams of all levels */
  uint32_t tile;
} Plan;

/* Whether no entry is zero on either side: no weight, no value of the activations, no padding. */
static bool without_zeros(const MltqLayer* layer, const uint8_t cuts[256]) {
  if (layer->padding == MLTQ_PADDING_SAME && layer->row_size != layer->input_channels) return false;
  uint32_t nonzero = 0;
  for (uint32_t level = 0; level < layer->levels; level++) {
    if ((layer->encoding[level] & MLTQ_ENCODING_MASK) != MLTQ_ENCODING_SIGN_BITS) return false;
  }
  for (uint32_t level = 0; level < layer->activation_levels; level++) {
    nonzero |= 1u << CUT_SHIFT(level);
  }
  for (uint32_t i = 0; i < 256u; i++) {
    if ((cuts[i] & nonzero) != nonzero) return false;
  }
  return true;
}

/* Returns false if the layer is too large. */
static bool make_plan(const MltqLayer* layer, const MltqShape* shape, const uint8_t cuts[256],
                      Plan* plan) {
  const uint64_t span = (uint64_t)(layer->filter_h - 1u) * layer->dilation_h + 1u;
  plan->streams = without_zeros(layer, cuts) ? 1u : 2u;
  plan->channel_words = mltq_machine_words_of(layer->input_channels);
  plan->pixel_words = plan->channel_words * layer->activation_levels * plan->streams;
  plan->row_words = mltq_machine_words_of(layer->row_size);
  plan->window_words = plan->row_words * layer->activation_levels * plan->streams;
  plan->tile = shape->output_w < TILE ? (uint32_t)shape->output_w : TILE;
  /* Rows that no filter reads are not kept. */
  const uint64_t rows = span < (uint64_t)(uint32_t)shape->input_h ? span : (uint32_t)shape->input_h;
  plan->band_rows = (uint32_t)rows;
  return plan->row_words <= MAX_ROW_WORDS &&
         rows * (uint32_t)shape->input_w <= MAX_BAND_WORDS / plan->pixel_words;
}

static uint32_t band_words(const MltqShape* shape, const Plan* plan) {
  return plan->band_rows * (uint32_t)shape->input_w * plan->pixel_words;
}

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  uint8_t cuts[256];
  Plan plan;
  mltq_layer_activation_cuts(layer, cuts);
  if (!make_plan(layer, shape, cuts, &plan)) return MLTQ_ERROR_KERNEL;
  const size_t words = (size_t)band_words(shape, &plan) + (size_t)plan.tile * plan.window_words;
  *bytes = sizeof(uint32_t) * words + sizeof(uint16_t) * plan.row_words;
  return MLTQ_OK;
}

/* Cuts the channels of a pixel: for every level one or two streams of machine words. */
static void cut_pixel(const MltqLayer* layer, const Plan* plan, const uint8_t cuts[256],
                      const int8_t* pixel, uint32_t* words) {
  for (uint32_t level = 0; level < layer->activation_levels; level++) {
    const int8_t* from = pixel;
    uint32_t left = layer->input_channels;
    while (left > 0) {
      const uint32_t count = left < 32u ? left : 32u;
      uint32_t nonzero = 0;
      uint32_t negative = 0;
      for (uint32_t i = 0; i < count; i++) {
        const uint32_t cut = (uint32_t)cuts[(uint8_t)*from++] >> CUT_SHIFT(level);
        nonzero = (nonzero >> 1) | (cut << 31);
        negative = (negative >> 1) | (cut >> 1 << 31);
      }
      if (plan->streams == 2u) *words++ = nonzero >> (32u - count);
      *words++ = negative >> (32u - count);
      left -= count;
    }
  }
}

/* Appends the first `bits` bits of a stream, in which the others are 0, to the string of bits that
 * ends at `position`; NULL stands for zeros. The machine words of both are `step` apart. */
static void append(uint32_t* to, uint32_t position, const uint32_t* from, uint32_t bits,
                   uint32_t step) {
  const uint32_t shift = position % 32u;
  to += position / 32u * step;
  for (;;) {
    const uint32_t word = from == NULL ? 0u : *from;
    *to = (shift == 0u ? 0u : *to) | (word << shift);
    to += step;
    if (shift != 0u && shift + bits > 32u) *to = word >> (32u - shift);
    if (bits <= 32u) return;
    bits -= 32u;
    if (from != NULL) from += step;
  }
}

/* Gathers the windows of `count` outputs of row `y` from column `x` on. */
static void gather_windows(const MltqLayer* layer, const MltqShape* shape, const Plan* plan,
                           const uint32_t* band, int32_t y, int32_t x, uint32_t count,
                           uint32_t* windows) {
  const uint32_t channels = layer->input_channels;
  const uint32_t streams = plan->streams;
  uint32_t begin = 0;
  int32_t row = y * layer->stride_h - shape->pad_top;
  for (uint32_t ky = 0; ky < layer->filter_h; ky++, row += layer->dilation_h) {
    const uint32_t* line = NULL; /* in the padding */
    if (row >= 0 && row < shape->input_h) {
      line = band + (uint32_t)row % plan->band_rows * (uint32_t)shape->input_w * plan->pixel_words;
    }
    uint32_t* window = windows;
    for (uint32_t i = 0; i < count; i++, window += plan->window_words) {
      int32_t column = (x + (int32_t)i) * layer->stride_w - shape->pad_left;
      uint32_t position = begin;
      for (uint32_t kx = 0; kx < layer->filter_w; kx++, column += layer->dilation_w) {
        const bool inside = line != NULL && column >= 0 && column < shape->input_w;
        const uint32_t* from = inside ? line + (uint32_t)column * plan->pixel_words : NULL;
        uint32_t* to = window;
        for (uint32_t level = 0; level < layer->activation_levels; level++) {
          for (uint32_t stream = 0; stream < streams; stream++) {
            append(to + stream, position, inside ? from + stream : NULL, channels, streams);
          }
          if (inside) from += plan->channel_words * streams;
          to += plan->row_words * streams;
        }
        position += channels;
      }
    }
    begin += channels * layer->filter_w;
  }
}

/* One plane of one output channel. */
typedef struct {
  const uint8_t* words;   /* sign bits, or pairs of machine words: not zero, negative */
  const uint16_t* places; /* pairs: which machine words of the row they are */
  uint32_t groups;        /* whole groups of machine words that are counted together */
  uint32_t rest;          /* machine words before them */
  int32_t ones;           /* entries, where none is zero; else 0 */
} Row;

/* What is counted: signs that differ, where no entry is zero; sign bits of weights against planes
 * of activations; planes of both. */
enum { SIGNS, SIGNS_AND_PLANES, PLANES };

/* The next machine word of the products of a row, and its step to the one after it. */
static inline void next_products(const int operands, const uint8_t** words, const uint16_t** places,
                                 const uint32_t** window, uint32_t* nonzero, uint32_t* negative) {
  const uint32_t first = mltq_load_machine_word(*words);
  *words += MLTQ_MACHINE_WORD_BYTES;
  if (operands == SIGNS) {
    *nonzero = 0; /* not counted */
    *negative = first ^ *(*window)++;
    return;
  }
  if (operands == SIGNS_AND_PLANES) {
    *nonzero = *(*window)++;
    *negative = (first ^ *(*window)++) & *nonzero;
    return;
  }
  const uint32_t* pair = *window + 2u * *(*places)++;
  *nonzero = first & pair[0];
  *negative = (mltq_load_machine_word(*words) ^ pair[1]) & *nonzero;
  *words += MLTQ_MACHINE_WORD_BYTES;
}

/* Adds `weight` times the sum of the products of a row and each of `count` windows, which are
 * `pitch` machine words apart, to the accumulators. */
static inline void add_dots(const int operands, const Row* row, const uint32_t* windows,
                            uint32_t count, uint32_t pitch, int32_t weight, int32_t* accumulators) {
  const MltqBitCountMasks masks = mltq_bit_count_masks();
  for (; count > 0; count--, windows += pitch) {
    const uint8_t* words = row->words;
    const uint16_t* places = row->places;
    const uint32_t* window = windows;
    uint32_t n[MLTQ_BIT_COUNT_MACHINE_WORDS] = {0, 0, 0};
    uint32_t s[MLTQ_BIT_COUNT_MACHINE_WORDS] = {0, 0, 0};
    uint32_t nonzero_bytes = 0;
    uint32_t negative_bytes = 0;
    int32_t sum = row->ones;
    if (row->rest > 0u) {
      next_products(operands, &words, &places, &window, &n[0], &s[0]);
      if (row->rest > 1u) next_products(operands, &words, &places, &window, &n[1], &s[1]);
      if (operands != SIGNS) nonzero_bytes = mltq_bit_count_bytes(&masks, n[0], n[1], 0);
      negative_bytes = mltq_bit_count_bytes(&masks, s[0], s[1], 0);
    }
    uint32_t left = row->groups;
    for (;;) {
      uint32_t groups = left < MLTQ_BIT_COUNT_GROUPS - 1u ? left : MLTQ_BIT_COUNT_GROUPS - 1u;
      left -= groups;
      for (; groups > 0; groups--) {
        next_products(operands, &words, &places, &window, &n[0], &s[0]);
        next_products(operands, &words, &places, &window, &n[1], &s[1]);
        next_products(operands, &words, &places, &window, &n[2], &s[2]);
        if (operands != SIGNS) nonzero_bytes += mltq_bit_count_bytes(&masks, n[0], n[1], n[2]);
        negative_bytes += mltq_bit_count_bytes(&masks, s[0], s[1], s[2]);
      }
      if (operands != SIGNS) sum += (int32_t)mltq_bit_count_sum(nonzero_bytes);
      sum -= 2 * (int32_t)mltq_bit_count_sum(negative_bytes);
      if (left == 0) break;
      nonzero_bytes = negative_bytes = 0;
    }
    *accumulators++ += weight * sum;
  }
}

/* Each in a function of its own: its loop needs all the registers that small cores have. */
#define ADD_DOTS(name, operands)                                                          \
  static MLTQ_NOINLINE void name(const Row* row, const uint32_t* windows, uint32_t count, \
                                 uint32_t pitch, int32_t weight, int32_t* accumulators) { \
    add_dots(operands, row, windows, count, pitch, weight, accumulators);                 \
  }
ADD_DOTS(add_dots_of_signs, SIGNS)
ADD_DOTS(add_dots_of_signs_and_planes, SIGNS_AND_PLANES)
ADD_DOTS(add_dots_of_planes, PLANES)

/* Reads the next row of a level and returns what follows it. `places` has room for all machine
 * words. */
static const uint8_t* read_row(const uint8_t* from, bool pairs, uint32_t words, uint16_t* places,
                               Row* row) {
  uint32_t count;
  from = mltq_bits_read_row(from, pairs, words, places, &row->words, &count);
  row->places = places;
  row->groups = count / MLTQ_BIT_COUNT_MACHINE_WORDS;
  row->rest = count - MLTQ_BIT_COUNT_MACHINE_WORDS * row->groups;
  return from;
}

/* Adds the levels of the activations for one row. */
static void add_row(const MltqLayer* layer, const Plan* plan, const Row* row, bool pairs,
                    int32_t multiplier, const uint32_t* windows, uint32_t count,
                    int32_t* accumulators) {
  for (uint32_t k = 0; k < layer->activation_levels; k++) {
    const int32_t weight = multiplier * (int8_t)layer->activation_table[k];
    if (plan->streams == 1u) {
      add_dots_of_signs(row, windows, count, plan->window_words, weight, accumulators);
    } else if (pairs) {
      add_dots_of_planes(row, windows, count, plan->window_words, weight, accumulators);
    } else {
      add_dots_of_signs_and_planes(row, windows, count, plan->window_words, weight, accumulators);
    }
    windows += plan->row_words * plan->streams;
  }
}

/* All output channels of a tile of `count` positions. */
static void run_tile(const MltqLayer* layer, const Plan* plan, const uint32_t* windows,
                     uint32_t count, uint16_t* places, int8_t* output) {
  const size_t channels = layer->output_channels;
  const uint8_t* next[MLTQ_MAX_LEVELS];
  for (uint32_t level = 0; level < layer->levels; level++) next[level] = layer->level_begin[level];
  for (uint32_t channel = 0; channel < channels; channel++, output++) {
    int32_t accumulators[TILE];
    const int32_t bias = mltq_layer_bias(layer, channel);
    for (uint32_t i = 0; i < TILE; i++) accumulators[i] = bias;
    for (uint32_t level = 0; level < layer->levels; level++) {
      const bool pairs = (layer->encoding[level] & MLTQ_ENCODING_MASK) == MLTQ_ENCODING_BIT_PLANES;
      Row row;
      next[level] = read_row(next[level], pairs, plan->row_words, places, &row);
      row.ones = plan->streams == 1u ? (int32_t)layer->row_size : 0;
      add_row(layer, plan, &row, pairs, mltq_layer_multiplier(layer, channel, level), windows,
              count, accumulators);
    }
    const uint32_t shift = layer->shifts[channel];
    const int32_t minimum = layer->activation_min;
    const int32_t maximum = layer->activation_max;
    int8_t* out = output;
    for (uint32_t i = 0; i < count; i++, out += channels) {
      *out = mltq_requantize(accumulators[i], shift, minimum, maximum);
    }
  }
}

/* One image. */
static void run_image(const MltqLayer* layer, const MltqShape* shape, const Plan* plan,
                      const uint8_t cuts[256], const int8_t* input, uint32_t* scratch,
                      int8_t* output) {
  uint32_t* windows = scratch + band_words(shape, plan);
  uint16_t* places = (uint16_t*)(windows + plan->tile * plan->window_words);
  const size_t row_bytes = (size_t)shape->input_w * layer->input_channels;
  const int32_t span = (int32_t)(layer->filter_h - 1u) * layer->dilation_h + 1;
  int32_t next = 0;
  for (int32_t y = 0; y < shape->output_h; y++) {
    const int32_t first = y * layer->stride_h - shape->pad_top;
    if (next < first) next = first;
    for (; next < first + span && next < shape->input_h; next++) {
      const uint32_t line = (uint32_t)next % plan->band_rows * (uint32_t)shape->input_w;
      uint32_t* to = scratch + line * plan->pixel_words;
      const int8_t* from = input + (size_t)next * row_bytes;
      for (int32_t x = 0; x < shape->input_w; x++) {
        cut_pixel(layer, plan, cuts, from, to);
        from += layer->input_channels;
        to += plan->pixel_words;
      }
    }
    for (int32_t x = 0; x < shape->output_w; x += (int32_t)plan->tile) {
      const uint32_t left = (uint32_t)(shape->output_w - x);
      const uint32_t count = left < plan->tile ? left : plan->tile;
      gather_windows(layer, shape, plan, scratch, y, x, count, windows);
      run_tile(layer, plan, windows, count, places, output);
      output += (size_t)count * layer->output_channels;
    }
  }
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  uint8_t cuts[256];
  Plan plan;
  mltq_layer_activation_cuts(layer, cuts);
  if (!make_plan(layer, shape, cuts, &plan)) return MLTQ_ERROR_KERNEL;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    run_image(layer, shape, &plan, cuts, input, (uint32_t*)scratch, output);
    input += (size_t)shape->input_h * (size_t)shape->input_w * layer->input_channels;
    output += (size_t)shape->output_h * (size_t)shape->output_w * layer->output_channels;
  }
  return MLTQ_OK;
}

/* mltq_parse.c says which operators may have bits. */
const MltqKernel mltq_bit_planes_s8 = {
    .kinds = MLTQ_TAKES_ALL_KINDS,
    .planes = MLTQ_PLANES_BITS,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
