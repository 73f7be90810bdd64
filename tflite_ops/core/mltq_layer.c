#include "mltq_layer.h"

#include <stdbool.h>

#include "mltq_compiler.h"
#include "mltq_kernels.h"

static uint32_t load_u16(const uint8_t* bytes) {
  return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8);
}

static uint32_t load_u32(const uint8_t* bytes) {
  return load_u16(bytes) | (load_u16(bytes + 2) << 16);
}

/* Largest number of entries whose sum of |x - z| <= 255 stays below 2^31. */
#define MAX_ROW_SIZE (INT32_MAX / 255)
/* 3 to the number of levels. */
#define MAX_ACTIVATION_CODES 81u
/* Keep every product of sizes and positions inside 32 bits, also where size_t has 32. */
#define MAX_CHANNELS (1u << 24)
#define MAX_EXTENT (1 << 24)

static MltqStatus parse_header(const uint8_t* packed, size_t packed_bytes, uint8_t kind,
                               MltqLayer* layer) {
  if (packed_bytes < MLTQ_HEADER_BYTES) return MLTQ_ERROR_TRUNCATED;
  if ((uintptr_t)packed % MLTQ_WORD_BYTES != 0) return MLTQ_ERROR_ALIGNMENT;
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
    if (!mltq_plane_reader_knows(layer->encoding[level])) return MLTQ_ERROR_ENCODING;
  }
  const bool bitwise = mltq_layer_is_bitwise(layer);
  if (bitwise && (layer->activation_levels == 0 || kind == MLTQ_KIND_DEPTHWISE_CONV_2D)) {
    return MLTQ_ERROR_BITWISE;
  }
  for (uint32_t level = 0; level < layer->levels; level++) {
    if (mltq_encoding_is_bitwise(layer->encoding[level]) != bitwise) return MLTQ_ERROR_BITWISE;
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
  if ((uint64_t)layer->filter_h * layer->dilation_h > MAX_EXTENT ||
      (uint64_t)layer->filter_w * layer->dilation_w > MAX_EXTENT) {
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
  layer->activation = layer->shifts + channels;
  layer->output_activation = layer->activation + input_table;
  size_t begin = (MLTQ_HEADER_BYTES + (size_t)tables + MLTQ_WORD_BYTES - 1u) / MLTQ_WORD_BYTES *
                 MLTQ_WORD_BYTES;
  for (uint32_t level = 0; level < layer->levels; level++) {
    const uint8_t* next = packed + MLTQ_OFFSET_LEVEL_OFFSETS + 4u * (level + 1u);
    const size_t end = level + 1u < layer->levels ? load_u32(next) : packed_bytes;
    if (load_u32(next - 4) != begin || end < begin || end > packed_bytes ||
        end % MLTQ_WORD_BYTES != 0) {
      return MLTQ_ERROR_LEVEL_OFFSETS;
    }
    layer->level_begin[level] = packed + begin;
    layer->level_end[level] = packed + end;
    begin = end;
  }
  return MLTQ_OK;
}

void mltq_layer_init_readers(const MltqLayer* layer, MltqPlaneReader readers[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    mltq_plane_reader_init(&readers[level], layer->level_begin[level], layer->level_end[level],
                           layer->encoding[level], layer->output_channels, layer->row_size);
  }
}

/* Largest sum of the scales of a table, and so largest value of an activation. Returns false if the
 * table is not one. */
static bool check_activation(const uint8_t* table, uint32_t levels, int64_t* largest) {
  uint32_t codes = 1;
  *largest = 0;
  for (uint32_t level = 0; level < levels; level++) {
    const int8_t scale = (int8_t)table[level];
    if (scale < 0) return false;
    *largest += scale;
    codes *= 3u;
  }
  for (uint32_t i = 0; i < 256u; i++) {
    if (table[MLTQ_MAX_LEVELS + i] >= codes) return false;
  }
  return *largest <= INT8_MAX;
}

/* The sum of the levels of every int8 value x of a table, values[(uint8_t)x]. */
static void table_values(const uint8_t* table, uint32_t levels, int8_t values[256]) {
  int8_t sums[MAX_ACTIVATION_CODES]; /* of every code; counted up, without divisions */
  int32_t scales[MLTQ_MAX_LEVELS] = {0};
  uint32_t digits[MLTQ_MAX_LEVELS] = {0};
  int32_t sum = 0;
  for (uint32_t level = 0; level < levels; level++) {
    scales[level] = (int8_t)table[level];
    sum -= scales[level];
  }
  for (uint32_t code = 0; code < MAX_ACTIVATION_CODES; code++) {
    sums[code] = (int8_t)sum;
    for (uint32_t level = 0; level < MLTQ_MAX_LEVELS; level++) {
      sum += scales[level];
      if (++digits[level] < 3u) break;
      sum -= 3 * scales[level];
      digits[level] = 0;
    }
  }
  for (uint32_t i = 0; i < 256u; i++) {
    values[i ^ 0x80u] = sums[table[MLTQ_MAX_LEVELS + i]];
  }
}

const int8_t* mltq_layer_activation_values(const MltqLayer* layer, int8_t values[256]) {
  if (layer->activation_levels == 0) return NULL;
  table_values(layer->activation, layer->activation_levels, values);
  return values;
}

void mltq_layer_activation_cuts(const MltqLayer* layer, uint8_t cuts[256]) {
  uint8_t codes[MAX_ACTIVATION_CODES];
  uint32_t cut = (1u << 2u * layer->activation_levels) - 1u; /* all digits 0: all levels -1 */
  for (uint32_t code = 0; code < MAX_ACTIVATION_CODES; code++) {
    codes[code] = (uint8_t)cut;
    for (uint32_t shift = 0; shift < 2u * MLTQ_MAX_LEVELS; shift += 2u) {
      const uint32_t entry = (cut >> shift) & 3u;
      cut &= ~(3u << shift);
      if (entry == 3u) break; /* from -1 to 0 */
      cut |= (entry == 0u ? 1u : 3u) << shift;
      if (entry == 0u) break; /* from 0 to 1; from 1 to -1 and on to the next level */
    }
  }
  for (uint32_t i = 0; i < 256u; i++) {
    cuts[i ^ 0x80u] = codes[layer->activation[MLTQ_MAX_LEVELS + i]];
  }
}

static int64_t magnitude(int64_t value) { return value < 0 ? -value : value; }

/* Decodes every row and bounds the accumulator of its channel. */
static MltqStatus check_planes(MltqLayer* layer) {
  int64_t above = 127 - (int64_t)layer->input_zero_point; /* x - z is at most this */
  int64_t below = 128 + (int64_t)layer->input_zero_point; /* and at least minus this */
  if (layer->activation_levels > 0) {
    if (!check_activation(layer->activation, layer->activation_levels, &above)) {
      return MLTQ_ERROR_ACTIVATION_LEVELS;
    }
    below = above;
  }
  int64_t unused;
  if (layer->output_levels > 0 &&
      !check_activation(layer->output_activation, layer->output_levels, &unused)) {
    return MLTQ_ERROR_ACTIVATION_LEVELS;
  }
  MltqPlaneReader readers[MLTQ_MAX_LEVELS];
  mltq_layer_init_readers(layer, readers);
  layer->max_sums = 1; /* also without any entry: such a channel is stored as one sum times 0 */
  for (uint32_t channel = 0; channel < layer->output_channels; channel++) {
    if (layer->shifts[channel] > MLTQ_MAX_SHIFT) return MLTQ_ERROR_SHIFT;
    int64_t bound = magnitude(mltq_layer_bias(layer, channel));
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
      sums += mltq_code_stream_sums((uint32_t)positive, (uint32_t)negative);
      const int64_t largest = positive * above + negative * below;
      const int64_t smallest = positive * below + negative * above;
      bound += magnitude(mltq_layer_multiplier(layer, channel, level)) *
               (largest > smallest ? largest : smallest);
    }
    if (bound > INT32_MAX) return MLTQ_ERROR_ACCUMULATOR;
    if (sums > layer->max_sums) layer->max_sums = sums;
  }
  for (uint32_t level = 0; level < layer->levels; level++) {
    if (readers[level].end - readers[level].cursor >= MLTQ_WORD_BYTES) return MLTQ_ERROR_PLANES;
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

void mltq_layer_init_streams(const MltqLayer* layer, MltqCodeStream streams[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    mltq_code_stream_init(&streams[level], layer->level_begin[level], layer->encoding[level],
                          layer->output_channels, layer->row_size);
  }
}

/* Output size and padding before the first element, as TensorFlow defines SAME and VALID. Returns
 * false where the filter does not fit. */
static MLTQ_NOINLINE bool axis_geometry(int32_t input, uint32_t filter, uint32_t stride,
                                        uint32_t dilation, uint8_t padding, int32_t* output,
                                        int32_t* pad_before) {
  const int64_t extent = (int64_t)(filter - 1u) * dilation + 1;
  if (padding == MLTQ_PADDING_VALID) {
    if (extent > input) return false;
    *output = (int32_t)((input - extent) / stride + 1);
    *pad_before = 0;
    return true;
  }
  const int64_t size = ((int64_t)input + stride - 1) / stride;
  const int64_t pad = (size - 1) * stride + extent - input;
  *output = (int32_t)size;
  *pad_before = pad > 0 ? (int32_t)(pad / 2) : 0;
  return true;
}

static MltqStatus bind_fully_connected(const MltqLayer* layer, const int* input_dims,
                                       int input_rank, const int* output_dims, int output_rank,
                                       MltqShape* shape) {
  int64_t input_values = 1;
  int64_t output_values = 1;
  for (int i = 0; i < input_rank; i++) {
    if (input_dims[i] <= 0) return MLTQ_ERROR_INPUT_SHAPE;
    input_values *= input_dims[i];
    if (input_values > INT32_MAX) return MLTQ_ERROR_INPUT_SHAPE;
  }
  if (input_rank < 1 || input_values % layer->input_channels != 0) return MLTQ_ERROR_INPUT_SHAPE;
  for (int i = 0; i < output_rank; i++) {
    if (output_dims[i] <= 0) return MLTQ_ERROR_OUTPUT_SHAPE;
    output_values *= output_dims[i];
    if (output_values > INT32_MAX) return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  const int64_t batches = input_values / layer->input_channels;
  if (output_rank < 1 || output_values != batches * (int64_t)layer->output_channels) {
    return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  shape->batches = (int32_t)batches;
  shape->input_h = shape->input_w = shape->output_h = shape->output_w = 1;
  shape->pad_top = shape->pad_left = 0;
  return MLTQ_OK;
}

MltqStatus mltq_layer_bind_shape(const MltqLayer* layer, const int* input_dims, int input_rank,
                                 const int* output_dims, int output_rank, MltqShape* shape) {
  if (layer->kind == MLTQ_KIND_FULLY_CONNECTED) {
    return bind_fully_connected(layer, input_dims, input_rank, output_dims, output_rank, shape);
  }
  if (input_rank != 4 || input_dims[0] <= 0 || input_dims[1] <= 0 || input_dims[1] > MAX_EXTENT ||
      input_dims[2] <= 0 || input_dims[2] > MAX_EXTENT || input_dims[3] < 0 ||
      (uint32_t)input_dims[3] != layer->input_channels) {
    return MLTQ_ERROR_INPUT_SHAPE;
  }
  shape->batches = input_dims[0];
  shape->input_h = input_dims[1];
  shape->input_w = input_dims[2];
  if (!axis_geometry(shape->input_h, layer->filter_h, layer->stride_h, layer->dilation_h,
                     layer->padding, &shape->output_h, &shape->pad_top) ||
      !axis_geometry(shape->input_w, layer->filter_w, layer->stride_w, layer->dilation_w,
                     layer->padding, &shape->output_w, &shape->pad_left)) {
    return MLTQ_ERROR_INPUT_SHAPE;
  }
  if (output_rank != 4 || output_dims[0] != shape->batches || output_dims[1] != shape->output_h ||
      output_dims[2] != shape->output_w || output_dims[3] < 0 ||
      (uint32_t)output_dims[3] != layer->output_channels) {
    return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  return MLTQ_OK;
}

/* Scratch of the optimised kernel; 0 where it does not take the layer. */
static size_t optimised_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {
  if (mltq_layer_is_bitwise(layer)) return mltq_bit_planes_s8_scratch_bytes(layer, shape);
  switch (layer->kind) {
    case MLTQ_KIND_CONV_2D:
      return mltq_conv_2d_s8_scratch_bytes(layer, shape);
    case MLTQ_KIND_DEPTHWISE_CONV_2D:
      return mltq_depthwise_conv_2d_s8_scratch_bytes(layer, shape);
    default:
      return mltq_fully_connected_s8_scratch_bytes(layer, shape);
  }
}

size_t mltq_layer_reference_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {
  if (layer->kind == MLTQ_KIND_FULLY_CONNECTED) return 0;
  return mltq_conv_s8_reference_scratch_bytes(shape);
}

size_t mltq_layer_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {
  const size_t optimised = optimised_scratch_bytes(layer, shape);
  return optimised > 0 ? optimised : mltq_layer_reference_scratch_bytes(layer, shape);
}

/* Puts the sums of levels in the place of the int8 values of an output that has levels. */
static void map_output(const MltqLayer* layer, const MltqShape* shape, int8_t* output) {
  if (layer->output_levels == 0) return;
  int8_t values[256];
  table_values(layer->output_activation, layer->output_levels, values);
  const int8_t* end = output + (size_t)shape->batches * (size_t)shape->output_h *
                                   (size_t)shape->output_w * layer->output_channels;
  for (; output != end; output++) *output = values[(uint8_t)*output];
}

static void run_reference(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                          int8_t* output, void* scratch) {
  switch (layer->kind) {
    case MLTQ_KIND_CONV_2D:
      mltq_conv_2d_s8_reference(layer, shape, input, output, scratch);
      break;
    case MLTQ_KIND_DEPTHWISE_CONV_2D:
      mltq_depthwise_conv_2d_s8_reference(layer, shape, input, output, scratch);
      break;
    default:
      mltq_fully_connected_s8_reference(layer, shape, input, output, scratch);
      break;
  }
}

void mltq_layer_eval_s8_reference(const MltqLayer* layer, const MltqShape* shape,
                                  const int8_t* input, int8_t* output, void* scratch) {
  run_reference(layer, shape, input, output, scratch);
  map_output(layer, shape, output);
}

static void run_optimised(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                          int8_t* output, void* scratch) {
  if (mltq_layer_is_bitwise(layer)) {
    mltq_bit_planes_s8(layer, shape, input, output, scratch);
    return;
  }
  switch (layer->kind) {
    case MLTQ_KIND_CONV_2D:
      mltq_conv_2d_s8(layer, shape, input, output, scratch);
      break;
    case MLTQ_KIND_DEPTHWISE_CONV_2D:
      mltq_depthwise_conv_2d_s8(layer, shape, input, output, scratch);
      break;
    default:
      mltq_fully_connected_s8(layer, shape, input, output, scratch);
      break;
  }
}

void mltq_layer_eval_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                        int8_t* output, void* scratch) {
  if (optimised_scratch_bytes(layer, shape) == 0) {
    run_reference(layer, shape, input, output, scratch);
  } else {
    run_optimised(layer, shape, input, output, scratch);
  }
  map_output(layer, shape, output);
}
