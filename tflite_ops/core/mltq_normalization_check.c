#include "mltq_normalization_check.h"

#include "mltq_normalization_s8.h"
#include "mltq_word.h"

#define FIELD(name) MLTQ_NORMALIZATION_OFFSET_##name

/* The product of sizes of at least 1; 0 where one of them is 0, or the product above `most`. */
static uint32_t product(uint32_t a, uint32_t b, uint32_t most) {
  const uint64_t both = (uint64_t)a * b;
  return both > most ? 0 : (uint32_t)both;
}

static const char* header_problem(const uint8_t* packed, size_t packed_bytes) {
  if (packed_bytes < MLTQ_NORMALIZATION_HEADER_BYTES) {
    return "packed tensor: shorter than its header";
  }
  if (((uintptr_t)packed & (MLTQ_WORD_BYTES - 1)) != 0) {
    return "packed tensor: must start at a multiple of 4 bytes in memory";
  }
  if (mltq_load_word(packed + FIELD(MAGIC)) != MLTQ_NORMALIZATION_MAGIC) {
    return "packed tensor: magic is not 'MLTN'";
  }
  if (packed[FIELD(VERSION)] != MLTQ_NORMALIZATION_VERSION) {
    return "packed tensor: version is not 1; use the library that matches the converter";
  }
  if (packed[FIELD(SUBTRACT_MEAN)] > 1) return "packed tensor: subtract_mean is not 0 or 1";
  if ((int8_t)packed[FIELD(ACTIVATION_MIN)] > (int8_t)packed[FIELD(ACTIVATION_MAX)]) {
    return "packed tensor: activation_min is above activation_max";
  }
  if (packed[FIELD(SHIFT)] > MLTQ_NORMALIZATION_MAX_SHIFT) {
    return "packed tensor: shift is above 30";
  }
  if (packed[FIELD(RESERVED)] != 0) return "packed tensor: reserved is not 0";
  if (mltq_load_word(packed + FIELD(EPSILON) + 4) >= UINT32_C(0x40000000)) {
    return "packed tensor: epsilon is 2^62 or above";
  }
  return NULL;
}

const char* mltq_normalization_problem(const uint8_t* packed, size_t packed_bytes,
                                       MltqTensorShape input, MltqTensorShape output) {
  const char* problem = header_problem(packed, packed_bytes);
  if (problem != NULL) return problem;
  const uint32_t channels = mltq_load_word(packed + FIELD(CHANNELS));
  const uint32_t group =
      product(mltq_load_word(packed + FIELD(MEMBERS)), channels, MLTQ_NORMALIZATION_MAX_GROUP);
  if (group == 0) return "packed tensor: members times channels is not 1 to 262143";
  const uint32_t part = product(group, mltq_load_word(packed + FIELD(GROUPS)), INT32_MAX);
  const uint32_t size = product(part, mltq_load_word(packed + FIELD(OUTER)), INT32_MAX);
  if (size == 0) return "packed tensor: groups or outer is out of range";
  const uint32_t table_size = mltq_load_word(packed + FIELD(TABLE_SIZE));
  if (table_size == 0 || table_size % channels != 0 || size % table_size != 0) {
    return "packed tensor: table_size is no multiple of channels that divides all values";
  }
  const uint64_t bytes =
      MLTQ_NORMALIZATION_HEADER_BYTES + (uint64_t)table_size * 2 * MLTQ_WORD_BYTES;
  if (mltq_load_word(packed + FIELD(TOTAL_BYTES)) != bytes || packed_bytes != bytes) {
    return "packed tensor: total_bytes differs from the tensor size or from the tables";
  }
  if (mltq_tensor_size(input) != (int32_t)size) {
    return "input tensor: its size is not outer times members times groups times channels";
  }
  if (mltq_tensor_size(output) != (int32_t)size) {
    return "output tensor: must have as many values as the input";
  }
  return NULL;
}
