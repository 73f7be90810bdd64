#include "mltq_code_stream.h"

#include <stddef.h>
#include <string.h>

#include "mltq_compiler.h"
#include "mltq_word.h"

static void init(MltqCodeStream* stream, const uint8_t* begin, uint8_t encoding, uint32_t rows,
                 uint32_t row_size) {
  memset(stream, 0, sizeof *stream);
  stream->codes_per_word = encoding & MLTQ_ENCODING_MASK;
  stream->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  stream->row_size = row_size;
  stream->counts = begin;
  stream->cursor = begin;
  stream->row = begin;
  stream->trits = begin;
  if (stream->codes_per_word == MLTQ_ENCODING_TRITS) return;
  stream->code_bits = (uint8_t)(32u / stream->codes_per_word);
  stream->spare_bits = (uint8_t)(32u % stream->codes_per_word);
  const size_t count_bytes = (size_t)rows * stream->count_bits / 4u;
  stream->cursor += (count_bytes + MLTQ_WORD_BYTES - 1u) / MLTQ_WORD_BYTES * MLTQ_WORD_BYTES;
}

void mltq_code_streams_init(const MltqLayer* layer, MltqCodeStream streams[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    init(&streams[level], layer->level_begin[level], layer->encoding[level], layer->output_channels,
         layer->row_size);
  }
}

/* Goes to the first entry of a sign. */
static void begin_sign(MltqCodeStream* stream, bool negative) {
  stream->reading_negative = negative;
  stream->position = 0;
  if (stream->codes_per_word == MLTQ_ENCODING_TRITS) {
    stream->trits = stream->row;
    stream->trits_left = 0;
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
    const uint32_t both = mltq_load_word(counts);
    stream->positive = both & 0xFFFFu;
    stream->negative = both >> 16;
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
      word = mltq_load_word(cursor);    \
      cursor += MLTQ_WORD_BYTES;        \
    }                                   \
    stream->slot = 0;                   \
    switch (slot) {                     \
      codes(take, more);                \
      default:                          \
        break;                          \
    }                                   \
  }

/* Reads entries for the numbers of codes in a word that are not unrolled. A code is a bit wider
 * where the spare bits of those before it make a whole one: without a division this is
 * START(j + 1, k) - START(j, k). `slot` is the first bit of the next code here. */
#define READ_ANY_CODES(take, more)              \
  while (more) {                                \
    if (stream->slot == 0) {                    \
      word = mltq_load_word(cursor);            \
      cursor += MLTQ_WORD_BYTES;                \
      spare = 0;                                \
    }                                           \
    uint32_t bits = stream->code_bits;          \
    spare += stream->spare_bits;                \
    if (spare >= stream->codes_per_word) {      \
      spare -= stream->codes_per_word;          \
      bits++;                                   \
    }                                           \
    const uint32_t largest = (1u << bits) - 1u; \
    const uint32_t code = word & largest;       \
    word >>= bits;                              \
    stream->slot = (stream->slot + bits) & 31u; \
    if (code != 0) {                            \
      table += code;                            \
      take;                                     \
    } else {                                    \
      table += largest;                         \
    }                                           \
  }

/* Elements of the table up to and with the next trit of the sign that is read. */
static uint32_t next_trit(MltqCodeStream* stream) {
  const uint32_t wanted = stream->reading_negative ? 0u : 2u;
  for (uint32_t gap = 1;; gap++) {
    if (stream->trits_left == 0) {
      stream->trit_bits = *stream->trits++;
      stream->trits_left = MLTQ_TRITS_PER_BYTE;
    }
    const uint32_t product = stream->trit_bits * 3u;
    stream->trit_bits = (uint8_t)product;
    stream->trits_left--;
    if (product >> 8 == wanted) return gap;
  }
}

#define READ_TRITS(take, more)  \
  while (more) {                \
    table += next_trit(stream); \
    take;                       \
  }

#define READ_4(take, more) READ_CODES(CODES_4, take, more)
#define READ_5(take, more) READ_CODES(CODES_5, take, more)
#define READ_6(take, more) READ_CODES(CODES_6, take, more)
#define READ_8(take, more) READ_CODES(CODES_8, take, more)

/* Statement for every encoding: WITH is a macro that takes one of the loops above. */
#define FOR_ENCODING(WITH)          \
  switch (stream->codes_per_word) { \
    case MLTQ_ENCODING_TRITS:       \
      WITH(READ_TRITS)              \
      break;                        \
    case 4:                         \
      WITH(READ_4)                  \
      break;                        \
    case 5:                         \
      WITH(READ_5)                  \
      break;                        \
    case 6:                         \
      WITH(READ_6)                  \
      break;                        \
    case 8:                         \
      WITH(READ_8)                  \
      break;                        \
    default:                        \
      WITH(READ_ANY_CODES)          \
      break;                        \
  }

/* The state that the loops keep in registers. */
#define LOAD_STATE()              \
  uint32_t word = stream->word;   \
  uint32_t spare = stream->spare; \
  const uint8_t* cursor = stream->cursor;
#define STORE_STATE()    \
  stream->word = word;   \
  stream->spare = spare; \
  stream->cursor = cursor;

/* The entries of both signs, with one copy of the loop. */
#define READ_RUN(READ)                     \
  for (;;) {                               \
    READ(*list++ = table[-1], list != end) \
    if (begin_negative) {                  \
      begin_negative = false;              \
      table = first;                       \
      begin_sign(stream, true);            \
    }                                      \
    if (end == last) break;                \
    end = last;                            \
  }

static uint32_t at_most_one_lane(uint32_t count) {
  return count < MLTQ_MAX_LANE_ENTRIES ? count : MLTQ_MAX_LANE_ENTRIES;
}

void mltq_code_stream_read_run(MltqCodeStream* stream, const uint16_t* first, uint16_t* list,
                               MltqRun* run) {
  const uint16_t* table = first + stream->position;
  run->list = list;
  run->positive = at_most_one_lane(stream->positive);
  stream->positive -= run->positive;
  /* Negative entries follow once all positive ones have been read. */
  run->negative = stream->positive == 0 ? at_most_one_lane(stream->negative) : 0u;
  stream->negative -= run->negative;
  bool begin_negative = stream->positive == 0 && !stream->reading_negative;
  const uint16_t* end = list + run->positive;
  const uint16_t* last = end + run->negative;
  LOAD_STATE()
  FOR_ENCODING(READ_RUN)
  STORE_STATE()
  stream->position = (uint32_t)(table - first);
}

#define READ_SUM(READ)                          \
  for (;;) {                                    \
    READ(sum += table[-1]; count--, count != 0) \
    sum = -sum;                                 \
    if (stream->reading_negative) break;        \
    begin_sign(stream, true);                   \
    table = first;                              \
    count = stream->negative;                   \
  }

void mltq_code_stream_add_rows(MltqCodeStream* stream, const int8_t* first, int32_t zero_point,
                               const uint8_t* multipliers, size_t step, uint32_t rows,
                               int32_t* accumulators) {
  LOAD_STATE()
  for (; rows > 0; rows--, multipliers += step) {
    mltq_code_stream_begin_row(stream);
    const int8_t* table = first;
    uint32_t count = stream->positive;
    int32_t sum = 0;
    FOR_ENCODING(READ_SUM)
    sum -= zero_point * ((int32_t)stream->positive - (int32_t)stream->negative);
    *accumulators++ += (int16_t)(uint16_t)(multipliers[0] | (uint32_t)multipliers[1] << 8) * sum;
  }
}
