#include "mltq.h"
#include "mltq_machine_word.h"
#include "mltq_normalization_format.h"

#define FIELD(name) MLTQ_NORMALIZATION_OFFSET_##name

enum { kEpsilonBits = 12, kValueBits = 20, kNewtonSteps = 3 };

/* The values of a group: `members` runs of `channels` values, one every `stride`. */
typedef struct {
  int32_t members;
  int32_t channels;
  int32_t stride;
} GroupShape;

/* Z = (factor * q - center) * root / 2^shift, rounded; center in units of D. */
typedef struct {
  int32_t factor;
  int32_t center;
  uint32_t root;
  int shift;
} Scale;

typedef struct {
  const uint8_t* gains;
  const uint8_t* offsets;
  int shift;
  int8_t zero_point;
  int8_t min;
  int8_t max;
} Output;

static int32_t load_size(const uint8_t* aligned) {
  return (int32_t)mltq_load_machine_word(aligned);
}

/* 1 / sqrt(m * 2^-32) in units of 2^-30, for m of 2^30 and more. */
static uint32_t reciprocal_root(uint32_t m) {
  uint32_t y = UINT32_C(2290054618) - (uint32_t)(((uint64_t)m * UINT32_C(1308602639)) >> 32);
  for (int i = 0; i < kNewtonSteps; i++) {
    const uint32_t square = (uint32_t)(((uint64_t)y * y) >> 32);
    const uint32_t t = (uint32_t)(((uint64_t)square * m) >> 32);
    y = (uint32_t)(((uint64_t)y * ((UINT32_C(3) << 28) - t)) >> 29);
  }
  return y;
}

/* Fills in `root` and `shift` for W. */
static void take_root(uint64_t w, Scale* scale) {
  scale->root = 0;
  scale->shift = kValueBits;
  if (w == 0) return;
  int j = 1;
  while (j < 32 && (w >> (2 * j)) != 0) j++;
  const uint32_t m = (uint32_t)(j <= 16 ? w << (32 - 2 * j) : w >> (2 * j - 32));
  scale->root = reciprocal_root(m);
  scale->shift = j + 30 - kEpsilonBits / 2 - kValueBits;
}

static Scale measure(GroupShape shape, const uint8_t* header, uint64_t epsilon,
                     const int8_t* input) {
  int32_t sum = 0;
  uint32_t squares = 0;
  for (int32_t member = 0; member < shape.members; member++) {
    const int8_t* run = input + member * shape.stride;
    for (int32_t c = 0; c < shape.channels; c++) {
      const int32_t q = run[c];
      sum += q;
      squares += (uint32_t)(q * q);
    }
  }
  const int64_t size = (int64_t)shape.members * shape.channels;
  const int32_t zero_point = (int8_t)header[FIELD(INPUT_ZERO_POINT)];
  Scale scale = {1, zero_point, 0, 0};
  int64_t v;
  if (header[FIELD(SUBTRACT_MEAN)]) {
    scale.factor = (int32_t)size;
    scale.center = sum;
    v = size * (int64_t)squares - (int64_t)sum * sum;
  } else {
    v = (int64_t)squares - 2 * (int64_t)zero_point * sum + size * zero_point * zero_point;
  }
  take_root(((uint64_t)v << kEpsilonBits) + epsilon, &scale);
  return scale;
}

static void write_run(Scale scale, Output to, int32_t channels, const int8_t* input,
                      int8_t* output) {
  const int64_t half_of_z = (int64_t)1 << (scale.shift - 1);
  const int64_t half = (int64_t)1 << (kValueBits + to.shift - 1);
  for (int32_t c = 0; c < channels; c++) {
    const int64_t d = (int64_t)scale.factor * input[c] - scale.center;
    const int64_t z = (d * scale.root + half_of_z) >> scale.shift;
    const int32_t gain = (int32_t)mltq_load_machine_word(to.gains + MLTQ_MACHINE_WORD_BYTES * c);
    const int32_t offset =
        (int32_t)mltq_load_machine_word(to.offsets + MLTQ_MACHINE_WORD_BYTES * c);
    const int64_t sum = z * gain + offset * ((int64_t)1 << kValueBits) + half;
    int64_t value = (sum >> (kValueBits + to.shift)) + to.zero_point;
    if (value < to.min) value = to.min;
    if (value > to.max) value = to.max;
    output[c] = (int8_t)value;
  }
}

void mltq_normalization_s8(const void* packed, const int8_t* input, int8_t* output) {
  const uint8_t* header = packed;
  const int32_t outer = load_size(header + FIELD(OUTER));
  const int32_t groups = load_size(header + FIELD(GROUPS));
  const int32_t table_size = load_size(header + FIELD(TABLE_SIZE));
  const int32_t channels = load_size(header + FIELD(CHANNELS));
  const GroupShape shape = {load_size(header + FIELD(MEMBERS)), channels, groups * channels};
  const uint64_t epsilon = mltq_load_machine_word(header + FIELD(EPSILON)) |
                           (uint64_t)mltq_load_machine_word(header + FIELD(EPSILON) + 4) << 32;
  const uint8_t* gains = header + MLTQ_NORMALIZATION_HEADER_BYTES;
  Output to = {gains,
               NULL,
               header[FIELD(SHIFT)],
               (int8_t)header[FIELD(OUTPUT_ZERO_POINT)],
               (int8_t)header[FIELD(ACTIVATION_MIN)],
               (int8_t)header[FIELD(ACTIVATION_MAX)]};
  for (int32_t o = 0; o < outer; o++) {
    for (int32_t group = 0; group < groups; group++) {
      const int32_t begin = o * shape.members * shape.stride + group * channels;
      const Scale scale = measure(shape, header, epsilon, input + begin);
      for (int32_t member = 0; member < shape.members; member++) {
        const int32_t at = begin + member * shape.stride;
        to.gains = gains + MLTQ_MACHINE_WORD_BYTES * (at % table_size);
        to.offsets = to.gains + MLTQ_MACHINE_WORD_BYTES * table_size;
        write_run(scale, to, channels, input + at, output + at);
      }
    }
  }
}
