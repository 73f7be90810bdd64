#include "mltq.h"
#include "mltq_machine_word.h"
#include "mltq_normalization_format.h"
#include "mltq_status_text.h"

#define FIELD(name) MLTQ_NORMALIZATION_OFFSET_##name

/* The product of sizes of at least 1; 0 where one of them is 0, or the product above `most`. */
static uint32_t product(uint32_t a, uint32_t b, uint32_t most) {
  const uint64_t both = (uint64_t)a * b;
  return both > most ? 0 : (uint32_t)both;
}

static MltqStatus check_header(const uint8_t* packed, size_t packed_bytes) {
  if (packed_bytes < MLTQ_NORMALIZATION_HEADER_BYTES) {
    return MLTQ_ERROR_TRUNCATED;
  }
  if (((uintptr_t)packed & (MLTQ_MACHINE_WORD_BYTES - 1)) != 0) {
    return MLTQ_ERROR_ALIGNMENT;
  }
  if (mltq_load_machine_word(packed + FIELD(MAGIC)) != MLTQ_NORMALIZATION_MAGIC) {
    return MLTQ_ERROR_MAGIC;
  }
  if (packed[FIELD(VERSION)] != MLTQ_NORMALIZATION_VERSION) {
    return MLTQ_ERROR_VERSION;
  }
  if (packed[FIELD(SUBTRACT_MEAN)] > 1) return MLTQ_ERROR_SUBTRACT_MEAN;
  if ((int8_t)packed[FIELD(ACTIVATION_MIN)] > (int8_t)packed[FIELD(ACTIVATION_MAX)]) {
    return MLTQ_ERROR_ACTIVATION_RANGE;
  }
  if (packed[FIELD(SHIFT)] > MLTQ_NORMALIZATION_MAX_SHIFT) {
    return MLTQ_ERROR_SHIFT;
  }
  if (packed[FIELD(RESERVED)] != 0) return MLTQ_ERROR_RESERVED;
  if (mltq_load_machine_word(packed + FIELD(EPSILON) + 4) >= UINT32_C(0x40000000)) {
    return MLTQ_ERROR_EPSILON;
  }
  return MLTQ_OK;
}

MltqStatus mltq_normalization_check(const uint8_t* packed, size_t packed_bytes,
                                    MltqTensorShape input, MltqTensorShape output) {
  const MltqStatus status = check_header(packed, packed_bytes);
  if (status != MLTQ_OK) return status;
  const uint32_t channels = mltq_load_machine_word(packed + FIELD(CHANNELS));
  const uint32_t group = product(mltq_load_machine_word(packed + FIELD(MEMBERS)), channels,
                                 MLTQ_NORMALIZATION_MAX_GROUP);
  if (group == 0) return MLTQ_ERROR_GROUP_SIZE;
  const uint32_t part = product(group, mltq_load_machine_word(packed + FIELD(GROUPS)), INT32_MAX);
  const uint32_t size = product(part, mltq_load_machine_word(packed + FIELD(OUTER)), INT32_MAX);
  if (size == 0) return MLTQ_ERROR_GROUPS;
  const uint32_t table_size = mltq_load_machine_word(packed + FIELD(TABLE_SIZE));
  if (table_size == 0 || table_size % channels != 0 || size % table_size != 0) {
    return MLTQ_ERROR_TABLE_SIZE;
  }
  const uint64_t bytes =
      MLTQ_NORMALIZATION_HEADER_BYTES + (uint64_t)table_size * 2 * MLTQ_MACHINE_WORD_BYTES;
  if (mltq_load_machine_word(packed + FIELD(TOTAL_BYTES)) != bytes || packed_bytes != bytes) {
    return MLTQ_ERROR_TOTAL_BYTES;
  }
  if (mltq_tensor_size(input) != (int32_t)size) {
    return MLTQ_ERROR_INPUT_SHAPE;
  }
  if (mltq_tensor_size(output) != (int32_t)size) {
    return MLTQ_ERROR_OUTPUT_SHAPE;
  }
  return MLTQ_OK;
}

static const MltqStatusText kTexts[] = {
    {MLTQ_ERROR_TENSOR_COUNT, "tensors: expected an input, a packed tensor and one output"},
    {MLTQ_ERROR_TENSOR_TYPE, "tensors: input and output must be int8 and the packed tensor uint8"},
    {MLTQ_ERROR_TRUNCATED, "packed tensor: shorter than its header"},
    {MLTQ_ERROR_MAGIC, "packed tensor: bad magic"},
    {MLTQ_ERROR_VERSION,
     "packed tensor: unsupported version; use the library that matches the converter"},
    {MLTQ_ERROR_SUBTRACT_MEAN, "packed tensor: subtract_mean must be 0 or 1"},
    {MLTQ_ERROR_SHIFT, "packed tensor: shift exceeds 30"},
    {MLTQ_ERROR_RESERVED, "packed tensor: reserved must be 0"},
    {MLTQ_ERROR_EPSILON, "packed tensor: epsilon must be below 2^62"},
    {MLTQ_ERROR_GROUP_SIZE, "packed tensor: members times channels must be 1 to 262143"},
    {MLTQ_ERROR_GROUPS, "packed tensor: groups or outer is out of range"},
    {MLTQ_ERROR_TABLE_SIZE,
     "packed tensor: table_size must be a multiple of channels and divide the number of values"},
    {MLTQ_ERROR_TOTAL_BYTES,
     "packed tensor: total_bytes differs from the tensor size or from the tables"},
    {MLTQ_ERROR_INPUT_SHAPE,
     "input tensor: size must be outer times members times groups times channels"},
    {MLTQ_ERROR_OUTPUT_SHAPE, "output tensor: must have as many values as the input"},
};

const char* mltq_normalization_message(MltqStatus status) {
  return mltq_status_text(kTexts, sizeof kTexts / sizeof kTexts[0], status);
}
