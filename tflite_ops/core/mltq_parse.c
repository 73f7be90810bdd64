#include <stdbool.h>

#include "mltq.h"
#include "mltq_activation.h"
#include "mltq_encodings.h"
#include "mltq_plane_reader.h"

static uint32_t load_u16(const uint8_t* bytes) {
  return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8);
}

static uint32_t load_u32(const uint8_t* bytes) {
  return load_u16(bytes) | (load_u16(bytes + 2) << 16);
}

/* Largest number of entries whose sum of |x - z| <= 255 stays below 2^31. */
#define MAX_ROW_SIZE (INT32_MAX / 255)
/* Keeps every product of sizes and positions inside 32 bits, also where size_t has 32. */
#define MAX_CHANNELS (UINT32_C(1) << 24)

static MltqStatus parse_header(const uint8_t* packed, size_t packed_bytes, uint8_t kind,
                               MltqLayer* layer) {
  if (packed_bytes < MLTQ_HEADER_BYTES) return MLTQ_ERROR_TRUNCATED;
  if ((uintptr_t)packed % MLTQ_MACHINE_WORD_BYTES != 0) return MLTQ_ERROR_ALIGNMENT;
  if (packed[0] != MLTQ_MAGIC_0 || packed[1] != MLTQ_MAGIC_1 || packed[2] != MLTQ_MAGIC_2 ||
      packed[3] != MLTQ_MAGIC_3) {
    return MLTQ_ERROR_MAGIC;
  }
  if (packed[MLTQ_OFFSET_VERSION] != MLTQ_FORMAT_VERSION) return MLTQ_ERROR_VERSION;
  if (packed[MLTQ_OFFSET_KIND] != kind) return MLTQ_ERROR_KIND;
  if (load_u32(packed + MLTQ_OFFSET_TOTAL_BYTES) != packed_bytes) return MLTQ_ERROR_TOTAL_BYTES;

  layer->kind = kind;
  layer->levels = packed[MLTQ_OFFSET_LEVELS];
  const uint8_t activations = packed[MLTQ_OFFSET_ACTIVATION_LEVELS];
  layer->activation_levels = activations & MLTQ_ACTIVATION_LEVELS_MASK;
  layer->output_levels = activations >> MLTQ_OUTPUT_LEVELS_SHIFT;
  layer->input_channels = load_u32(packed + MLTQ_OFFSET_INPUT_CHANNELS);
  layer->output_channels = load_u32(packed + MLTQ_OFFSET_OUTPUT_CHANNELS);
  layer->filter_h = (uint16_t)load_u16(packed + MLTQ_OFFSET_FILTER_H);
  layer->filter_w = (uint16_t)load_u16(packed + MLTQ_OFFSET_FILTER_W);
  layer->stride_h = (uint16_t)load_u16(packed + MLTQ_OFFSET_STRIDE_H);
  layer->stride_w = (uint16_t)load_u16(packed + MLTQ_OFFSET_STRIDE_W);
  layer->dilation_h = (uint16_t)load_u16(packed + MLTQ_OFFSET_DILATION_H);
  layer->dilation_w = (uint16_t)load_u16(packed + MLTQ_OFFSET_DILATION_W);
  layer->padding = packed[MLTQ_OFFSET_PADDING];
  layer->input_zero_point = (int8_t)packed[MLTQ_OFFSET_INPUT_ZERO_POINT];
  layer->activation_min = (int8_t)packed[MLTQ_OFFSET_ACTIVATION_MIN];
  layer->activation_max = (int8_t)packed[MLTQ_OFFSET_ACTIVATION_MAX];

  if (layer->levels < 1 || layer->levels > MLTQ_MAX_LEVELS) return MLTQ_ERROR_LEVELS;
  if (layer->activation_levels > MLTQ_MAX_LEVELS || layer->output_levels > MLTQ_MAX_LEVELS ||
      (layer->activation_levels > 0 && layer->input_zero_point != 0)) {
    return MLTQ_ERROR_ACTIVATION_LEVELS;
  }
  for (uint32_t level = 0; level < MLTQ_MAX_LEVELS; level++) {
    layer->encoding[level] = packed[MLTQ_OFFSET_ENCODING + level];
    if (!mltq_encoding_is_known(layer->encoding[level])) return MLTQ_ERROR_ENCODING;
  }
  layer->planes = (uint8_t)mltq_encoding_planes(layer->encoding[0]);
  if ((layer->planes & MLTQ_PLANES_READ) == 0u) return MLTQ_ERROR_ENCODING;
  if (layer->planes == MLTQ_PLANES_BITS &&
      (layer->activation_levels == 0 || kind == MLTQ_KIND_DEPTHWISE_CONV_2D)) {
    return MLTQ_ERROR_BITWISE;
  }
  if (layer->planes == MLTQ_PLANES_INDICES && kind != MLTQ_KIND_FULLY_CONNECTED) {
    return MLTQ_ERROR_INDICES;
  }
  for (uint32_t level = 0; level < layer->levels; level++) {
    if (mltq_encoding_planes(layer->encoding[level]) != layer->planes) return MLTQ_ERROR_MIXED;
  }
  if (layer->input_channels == 0 || layer->input_channels > MAX_CHANNELS ||
      layer->output_channels == 0 || layer->output_channels > MAX_CHANNELS) {
    return MLTQ_ERROR_CHANNELS;
  }
  if (kind == MLTQ_KIND_DEPTHWISE_CONV_2D && layer->output_channels % layer->input_channels != 0) {
    return MLTQ_ERROR_CHANNELS;
  }
  const uint64_t taps = (uint64_t)layer->filter_h * layer->filter_w;
  const uint64_t row_size =
      kind == MLTQ_KIND_DEPTHWISE_CONV_2D ? taps : taps * layer->input_channels;
  if (taps == 0 || row_size > MAX_ROW_SIZE) return MLTQ_ERROR_FILTER;
  if (kind == MLTQ_KIND_FULLY_CONNECTED && taps != 1) return MLTQ_ERROR_FILTER;
  layer->row_size = (uint32_t)row_size;
  if (layer->stride_h == 0 || layer->stride_w == 0) return MLTQ_ERROR_STRIDE;
  if (layer->dilation_h == 0 || layer->dilation_w == 0) return MLTQ_ERROR_DILATION;
  if ((uint64_t)layer->filter_h * layer->dilation_h > MLTQ_MAX_EXTENT ||
      (uint64_t)layer->filter_w * layer->dilation_w > MLTQ_MAX_EXTENT) {
    return MLTQ_ERROR_DILATION;
  }
  if (layer->padding > MLTQ_PADDING_SAME) return MLTQ_ERROR_PADDING;
  if (layer->activation_min > layer->activation_max) return MLTQ_ERROR_ACTIVATION_RANGE;
  return MLTQ_OK;
}

/* Finds the tables and the levels, which follow each other up to the end of the tensor. */
static MltqStatus locate(const uint8_t* packed, size_t packed_bytes, MltqLayer* layer) {
  const size_t channels = layer->output_channels;
  const uint64_t input_table = layer->activation_levels > 0 ? MLTQ_ACTIVATION_TABLE_BYTES : 0u;
  const uint64_t output_table = layer->output_levels > 0 ? MLTQ_ACTIVATION_TABLE_BYTES : 0u;
  const uint64_t tables =
      (uint64_t)channels * (4u + 2u * layer->levels + 1u) + input_table + output_table;
  if (tables > packed_bytes - MLTQ_HEADER_BYTES) return MLTQ_ERROR_TRUNCATED;
  layer->biases = packed + MLTQ_HEADER_BYTES;
  layer->multipliers = layer->biases + 4u * channels;
  layer->shifts = layer->multipliers + 2u * channels * layer->levels;
  layer->activation_table = layer->shifts + channels;
  layer->output_activation_table = layer->activation_table + input_table;
  size_t begin = (MLTQ_HEADER_BYTES + (size_t)tables + MLTQ_MACHINE_WORD_BYTES - 1u) /
                 MLTQ_MACHINE_WORD_BYTES * MLTQ_MACHINE_WORD_BYTES;
  for (uint32_t level = 0; level < layer->levels; level++) {
    const uint8_t* next = packed + MLTQ_OFFSET_LEVEL_OFFSETS + 4u * (level + 1u);
    const size_t end = level + 1u < layer->levels ? load_u32(next) : packed_bytes;
    if (load_u32(next - 4) != begin || end < begin || end > packed_bytes ||
        end % MLTQ_MACHINE_WORD_BYTES != 0) {
      return MLTQ_ERROR_LEVEL_OFFSETS;
    }
    layer->level_begin[level] = packed + begin;
    layer->level_end[level] = packed + end;
    begin = end;
  }
  return MLTQ_OK;
}

static int64_t magnitude(int64_t value) { return value < 0 ? -value : value; }

/* Decodes every row and bounds the accumulator of its channel. */
static MltqStatus check_planes(MltqLayer* layer) {
  int64_t above = 127 - (int64_t)layer->input_zero_point; /* x - z is at most this */
  int64_t below = 128 + (int64_t)layer->input_zero_point; /* and at least minus this */
  if (layer->activation_levels > 0) {
    if (!mltq_activation_check(layer->activation_table, layer->activation_levels, &above)) {
      return MLTQ_ERROR_ACTIVATION_LEVELS;
    }
    below = above;
  }
  int64_t unused;
  if (layer->output_levels > 0 &&
      !mltq_activation_check(layer->output_activation_table, layer->output_levels, &unused)) {
    return MLTQ_ERROR_ACTIVATION_LEVELS;
  }
  MltqPlaneReader readers[MLTQ_MAX_LEVELS];
  mltq_plane_readers_init(layer, readers);
  layer->max_sums = 1; /* also without any entry: such a channel is stored as one sum times 0 */
  for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
    if (layer->shifts[channel] > MLTQ_MAX_SHIFT) return MLTQ_ERROR_SHIFT;
    uint32_t bias = (uint32_t)mltq_layer_bias(layer, channel);
    int64_t bound = 0;
    uint32_t sums = 0;
    for (uint32_t level = 0; level < layer->levels; level++) {
      int64_t positive = 0;
      int64_t negative = 0;
      uint32_t index;
      int32_t sign;
      mltq_plane_reader_begin_row(&readers[level]);
      while (mltq_plane_reader_next(&readers[level], &index, &sign)) {
        if (sign > 0) {
          positive++;
        } else {
          negative++;
        }
      }
      /* No entry has both signs; the kernels rely on the number that follows from it. */
      if (!readers[level].valid || positive + negative > (int64_t)layer->row_size) {
        return MLTQ_ERROR_PLANES;
      }
      sums += mltq_lane_sums((uint32_t)positive, (uint32_t)negative);
      const int32_t multiplier = mltq_layer_multiplier(layer, channel, level);
      const int64_t largest = positive * above + negative * below;
      const int64_t smallest = positive * below + negative * above;
      bound += magnitude(multiplier) * (largest > smallest ? largest : smallest);
      if (mltq_encoding_is(layer->encoding[0], MLTQ_PLANES_INDICES)) {
        bias +=
            (uint32_t)multiplier * ((uint32_t)positive * (uint32_t)mltq_layer_offset(layer, 1) +
                                    (uint32_t)negative * (uint32_t)mltq_layer_offset(layer, -1));
      }
    }
    bound += magnitude((int32_t)bias);
    if (bound > INT32_MAX) return MLTQ_ERROR_ACCUMULATOR;
    if (sums > layer->max_sums) layer->max_sums = sums;
  }
  for (uint32_t level = 0; level < layer->levels; level++) {
    if (readers[level].end - readers[level].cursor >= MLTQ_MACHINE_WORD_BYTES)
      return MLTQ_ERROR_PLANES;
  }
  return MLTQ_OK;
}

MltqStatus mltq_layer_parse(const uint8_t* packed, size_t packed_bytes, uint8_t kind,
                            MltqLayer* layer) {
  MltqStatus status = parse_header(packed, packed_bytes, kind, layer);
  if (status != MLTQ_OK) return status;
  status = locate(packed, packed_bytes, layer);
  if (status != MLTQ_OK) return status;
  return check_planes(layer);
}
