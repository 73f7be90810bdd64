#include "mltq_code_stream.h"

#include <stddef.h>
#include <string.h>

#include "mltq_format.h"

#if defined(__GNUC__)
#define MLTQ_FALLTHROUGH __attribute__((fallthrough))
#else
#define MLTQ_FALLTHROUGH ((void)0)
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The packed format is little-endian and is read in place."
#endif

static inline uint32_t load_word(const uint8_t* aligned) {
#if defined(__GNUC__)
  aligned = (const uint8_t*)__builtin_assume_aligned(aligned, MLTQ_WORD_BYTES);
#endif
  uint32_t word;
  memcpy(&word, aligned, sizeof word);
  return word;
}

void mltq_code_stream_init(MltqCodeStream* stream, const uint8_t* begin, uint8_t encoding,
                           uint32_t rows, uint32_t row_size) {
  stream->codes_per_word = encoding & MLTQ_ENCODING_MASK;
  stream->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  stream->row_size = row_size;
  stream->counts = begin;
  stream->cursor = begin;
  stream->row = begin;
  stream->trits = begin;
  stream->position = 0;
  stream->reading_negative = false;
  stream->word = 0;
  stream->slot = 0;
  stream->positive = 0;
  stream->negative = 0;
  if (stream->codes_per_word == MLTQ_ENCODING_TRITS) return;
  const size_t count_bytes = (size_t)rows * stream->count_bits / 4u;
  stream->cursor += (count_bytes + MLTQ_WORD_BYTES - 1u) / MLTQ_WORD_BYTES * MLTQ_WORD_BYTES;
}

/* Goes to the first entry of a sign. */
static void begin_sign(MltqCodeStream* stream, bool negative) {
  stream->reading_negative = negative;
  stream->position = 0;
  if (stream->codes_per_word == MLTQ_ENCODING_TRITS) {
    stream->trits = stream->row;
    stream->slot = 0;
  }
}

static void count_trits(MltqCodeStream* stream) {
  stream->positive = 0;
  stream->negative = 0;
  stream->row = stream->cursor;
  for (uint32_t position = 0; position < stream->row_size; position += MLTQ_TRITS_PER_BYTE) {
    uint32_t bits = *stream->cursor++;
    for (uint32_t i = position; i < position + MLTQ_TRITS_PER_BYTE && i < stream->row_size; i++) {
      bits *= 3u;
      stream->negative += bits >> 8 == 0u;
      stream->positive += bits >> 8 == 2u;
      bits &= 0xFFu;
    }
  }
}

void mltq_code_stream_begin_row(MltqCodeStream* stream) {
  if (stream->codes_per_word == MLTQ_ENCODING_TRITS) {
    count_trits(stream);
    begin_sign(stream, false);
    return;
  }
  begin_sign(stream, false);
  const uint8_t* counts = stream->counts;
  if (stream->count_bits == 4) {
    stream->positive = counts[0] & 0xFu;
    stream->negative = (uint32_t)counts[0] >> 4;
    stream->counts += 1;
  } else if (stream->count_bits == 8) {
    stream->positive = counts[0];
    stream->negative = counts[1];
    stream->counts += 2;
  } else {
    stream->positive = (uint32_t)counts[0] | ((uint32_t)counts[1] << 8);
    stream->negative = (uint32_t)counts[2] | ((uint32_t)counts[3] << 8);
    stream->counts += 4;
  }
}

/* Gap codes. Code j of k in a word is bits START(j, k) up to START(j + 1, k). */
#define START(j, k) (32u * (j) / (k))
#define LARGEST(j, k) ((1u << (START((j) + 1u, k) - START(j, k))) - 1u)

/* The table after a code of its elements. RISC-V has no shifted operand: there the code is cut out
 * of the word where it is a number of bytes already. */
#if defined(__riscv)
#define CODE_BYTES(j, k, size)                                  \
  (((size) == 1u        ? word >> START(j, k)                   \
    : START(j, k) == 0u ? word << 1                             \
                        : word >> ((START(j, k) - 1u) & 31u)) & \
   (LARGEST(j, k) * (size)))
#else
#define CODE_BYTES(j, k, size) (((word >> START(j, k)) & LARGEST(j, k)) * (size))
#endif

/* Code j: passes elements of the table and, unless it is 0, takes the last one. `more` says
 * whether entries are left. The slot is stored at once, so that compilers do not keep a variable of
 * it up to date at every code. */
#define CODE(j, k, take, more)                              \
  case j: {                                                 \
    const uint32_t bytes = CODE_BYTES(j, k, sizeof *table); \
    if (bytes != 0u) {                                      \
      table = (const void*)((const char*)table + bytes);    \
      take;                                                 \
      if (!(more)) {                                        \
        stream->slot = ((j) + 1u) % (k);                    \
        break;                                              \
      }                                                     \
    } else {                                                \
      table += LARGEST(j, k);                               \
    }                                                       \
  }                                                         \
    MLTQ_FALLTHROUGH

/* clang-format off */
#define CODES_4(take, more)                                                    \
  CODE(0u, 4u, take, more); CODE(1u, 4u, take, more); CODE(2u, 4u, take, more); \
  CODE(3u, 4u, take, more)
#define CODES_5(take, more)                                                    \
  CODE(0u, 5u, take, more); CODE(1u, 5u, take, more); CODE(2u, 5u, take, more); \
  CODE(3u, 5u, take, more); CODE(4u, 5u, take, more)
#define CODES_6(take, more)                                                    \
  CODE(0u, 6u, take, more); CODE(1u, 6u, take, more); CODE(2u, 6u, take, more); \
  CODE(3u, 6u, take, more); CODE(4u, 6u, take, more); CODE(5u, 6u, take, more)
#define CODES_8(take, more)                                                    \
  CODE(0u, 8u, take, more); CODE(1u, 8u, take, more); CODE(2u, 8u, take, more); \
  CODE(3u, 8u, take, more); CODE(4u, 8u, take, more); CODE(5u, 8u, take, more); \
  CODE(6u, 8u, take, more); CODE(7u, 8u, take, more)
/* clang-format on */

/* Reads entries while there are `more`: a loop over the codes of a word, unrolled, that is entered
 * and left at any of them, where the entries before ended. */
#define READ_CODES(codes, take, more)   \
  while (more) {                        \
    const uint32_t slot = stream->slot; \
    if (slot == 0) {                    \
      word = load_word(cursor);         \
      cursor += MLTQ_WORD_BYTES;        \
    }                                   \
    stream->slot = 0;                   \
    switch (slot) {                     \
      codes(take, more);                \
      default:                          \
        break;                          \
    }                                   \
  }

/* Any number of codes in a word, also those that are rare, and trits: not unrolled. */
#define READ_ANY(stream, take)                                                                  \
  for (; count > 0; count--) {                                                                  \
    table +=                                                                                    \
        (stream)->codes_per_word == MLTQ_ENCODING_TRITS ? next_trit(stream) : next_gap(stream); \
    take;                                                                                       \
  }

/* Elements of the table up to and with the next entry. */
static uint32_t next_gap(MltqCodeStream* stream) {
  uint32_t gap = 0;
  for (;;) {
    if (stream->slot == 0) {
      stream->word = load_word(stream->cursor);
      stream->cursor += MLTQ_WORD_BYTES;
    }
    const uint32_t start = START(stream->slot, stream->codes_per_word);
    const uint32_t largest = LARGEST(stream->slot, stream->codes_per_word);
    const uint32_t code = (stream->word >> start) & largest;
    stream->slot = stream->slot + 1u == stream->codes_per_word ? 0u : stream->slot + 1u;
    if (code != 0) return gap + code;
    gap += largest;
  }
}

/* The same for trits of the sign that is read. */
static uint32_t next_trit(MltqCodeStream* stream) {
  const uint32_t wanted = stream->reading_negative ? 0u : 2u;
  for (uint32_t gap = 1;; gap++) {
    if (stream->slot == 0) {
      stream->word = *stream->trits++;
      stream->slot = MLTQ_TRITS_PER_BYTE;
    }
    const uint32_t product = stream->word * 3u;
    stream->word = product & 0xFFu;
    stream->slot--;
    if (product >> 8 == wanted) return gap;
  }
}

/* Reads a run whose counts are known. */
#define READ_RUN(codes)                                 \
  {                                                     \
    uint32_t word = stream->word;                       \
    const uint8_t* cursor = stream->cursor;             \
    const uint16_t* end = list + run->positive;         \
    READ_CODES(codes, *list++ = table[-1], list != end) \
    if (begin_negative) table = first;                  \
    end += run->negative;                               \
    READ_CODES(codes, *list++ = table[-1], list != end) \
    stream->word = word;                                \
    stream->cursor = cursor;                            \
  }

static uint32_t at_most_one_lane(uint32_t count) {
  return count < MLTQ_MAX_LANE_ENTRIES ? count : MLTQ_MAX_LANE_ENTRIES;
}

void mltq_code_stream_read_run(MltqCodeStream* stream, const uint16_t* first, uint16_t* list,
                               MltqRun* run) {
  const uint16_t* table = first + stream->position;
  uint32_t count = at_most_one_lane(stream->positive);
  run->list = list;
  run->positive = count;
  stream->positive -= count;
  /* Negative entries follow once all positive ones have been read. */
  run->negative = stream->positive == 0 ? at_most_one_lane(stream->negative) : 0u;
  stream->negative -= run->negative;
  const bool begin_negative = stream->positive == 0 && !stream->reading_negative;
  switch (stream->codes_per_word) {
    case 4:
      READ_RUN(CODES_4)
      break;
    case 5:
      READ_RUN(CODES_5)
      break;
    case 6:
      READ_RUN(CODES_6)
      break;
    case 8:
      READ_RUN(CODES_8)
      break;
    default:
      READ_ANY(stream, *list++ = table[-1])
      if (begin_negative) {
        begin_sign(stream, true);
        table = first;
      }
      count = run->negative;
      READ_ANY(stream, *list++ = table[-1])
      break;
  }
  stream->reading_negative = stream->positive == 0;
  stream->position = (uint32_t)(table - first);
}

/* Sums up a row. */
#define READ_SUM(codes)                                     \
  {                                                         \
    uint32_t word = stream->word;                           \
    const uint8_t* cursor = stream->cursor;                 \
    READ_CODES(codes, sum += table[-1]; count--, count > 0) \
    sum = -sum;                                             \
    table = first;                                          \
    count = stream->negative;                               \
    READ_CODES(codes, sum += table[-1]; count--, count > 0) \
    stream->word = word;                                    \
    stream->cursor = cursor;                                \
  }

int32_t mltq_code_stream_sum_row(MltqCodeStream* stream, const int8_t* first) {
  const int8_t* table = first;
  uint32_t count = stream->positive;
  int32_t sum = 0;
  switch (stream->codes_per_word) {
    case 4:
      READ_SUM(CODES_4)
      break;
    case 5:
      READ_SUM(CODES_5)
      break;
    case 6:
      READ_SUM(CODES_6)
      break;
    case 8:
      READ_SUM(CODES_8)
      break;
    default:
      READ_ANY(stream, sum += table[-1])
      begin_sign(stream, true);
      sum = -sum;
      table = first;
      count = stream->negative;
      READ_ANY(stream, sum += table[-1])
      break;
  }
  return -sum;
}
