/* Gap codes, an encoding for sparse planes: how far it is to the next entry, so many codes to a
 * machine word.
 *
 * The encoding is the number of codes in a machine word. docs/packed_format.md describes the bytes;
 * the Python twin is packing/encodings/gap_codes.py. */
#ifndef TFLITE_OPS_CORE_MLTQ_GAP_CODES_H_
#define TFLITE_OPS_CORE_MLTQ_GAP_CODES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_compiler.h"
#include "mltq_machine_word.h"
#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bit j is set where j codes may share a machine word; 32 is tested apart. */
#define MLTQ_GAP_CODES_PER_MACHINE_WORD 0x115FCu

static inline bool mltq_is_gap_codes(uint8_t encoding) {
  return encoding == 32 ||
         (encoding < 32 && ((MLTQ_GAP_CODES_PER_MACHINE_WORD >> encoding) & 1u) != 0);
}

/* With checks -------------------------------------------------------------------------------- */

/* Finds the codes after the counts of all rows. Returns false where the level ends before them. */
static inline bool mltq_gap_codes_start(MltqPlaneReader* reader, uint32_t rows) {
  const uint64_t count_bytes = (uint64_t)rows * reader->count_bits / 4u;
  const uint64_t padded = (count_bytes + MLTQ_MACHINE_WORD_BYTES - 1u) / MLTQ_MACHINE_WORD_BYTES *
                          MLTQ_MACHINE_WORD_BYTES;
  if (padded > (uint64_t)(reader->end - reader->cursor)) return false;
  reader->cursor += padded;
  return true;
}

/* Reads the counts of the row. */
static inline void mltq_gap_codes_begin_row(MltqPlaneReader* reader) {
  const uint8_t* counts = reader->counts;
  if (reader->count_bits == 4) {
    reader->positive = counts[0] & 0xFu;
    reader->negative = (uint32_t)counts[0] >> 4;
    reader->counts += 1;
  } else if (reader->count_bits == 8) {
    reader->positive = counts[0];
    reader->negative = counts[1];
    reader->counts += 2;
  } else {
    reader->positive = (uint32_t)counts[0] | ((uint32_t)counts[1] << 8);
    reader->negative = (uint32_t)counts[2] | ((uint32_t)counts[3] << 8);
    reader->counts += 4;
  }
  reader->counting_negative = false;
}

static inline bool mltq_gap_codes_next_code(MltqPlaneReader* reader, uint32_t* code,
                                            uint32_t* largest) {
  if (reader->left == 0) {
    reader->bits = mltq_take_machine_word(reader);
    if (!reader->valid) return false;
    reader->left = reader->encoding;
  }
  const uint32_t codes = reader->encoding;
  const uint32_t slot = codes - reader->left;
  const uint32_t start = 32u * slot / codes;
  const uint32_t width = 32u * (slot + 1u) / codes - start;
  *largest = (UINT32_C(1) << width) - 1u;
  *code = (reader->bits >> start) & *largest;
  reader->left--;
  return true;
}

static inline bool mltq_gap_codes_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (reader->positive == 0 && !reader->counting_negative) {
    reader->counting_negative = true;
    reader->position = 0;
  }
  uint32_t* remaining = reader->counting_negative ? &reader->negative : &reader->positive;
  if (*remaining == 0) return false;
  for (;;) {
    uint32_t code;
    uint32_t largest;
    if (!mltq_gap_codes_next_code(reader, &code, &largest)) return false;
    reader->position += code == 0 ? largest : code;
    if (reader->position > reader->row_size) {
      reader->valid = false;
      return false;
    }
    if (code == 0) continue;
    *index = reader->position - 1u;
    *sign = reader->counting_negative ? -1 : 1;
    (*remaining)--;
    return true;
  }
}

/* Without checks ------------------------------------------------------------------------------ */

/* Finds the codes after the counts of all rows. */
static inline void mltq_gap_codes_start_stream(MltqCodeStream* stream, uint32_t rows) {
  stream->code_bits = (uint8_t)(32u / stream->encoding);
  stream->spare_bits = (uint8_t)(32u % stream->encoding);
  const size_t count_bytes = (size_t)rows * stream->count_bits / 4u;
  stream->cursor += (count_bytes + MLTQ_MACHINE_WORD_BYTES - 1u) / MLTQ_MACHINE_WORD_BYTES *
                    MLTQ_MACHINE_WORD_BYTES;
}

/* Reads the counts of the row. */
static inline void mltq_gap_codes_count(MltqCodeStream* stream) {
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
    const uint32_t both = mltq_load_machine_word(counts);
    stream->positive = both & 0xFFFFu;
    stream->negative = both >> 16;
    stream->counts += 4;
  }
}

/* Code j of k in a machine word is bits MLTQ_GAP_START(j, k) up to MLTQ_GAP_START(j + 1, k). */
#define MLTQ_GAP_START(j, k) (32u * (j) / (k))
#define MLTQ_GAP_LARGEST(j, k) ((1u << (MLTQ_GAP_START((j) + 1u, k) - MLTQ_GAP_START(j, k))) - 1u)

/* The table after a code of its elements. RISC-V has no shifted operand: there the code is cut out
 * of the machine word where it is a number of bytes already. */
#if defined(__riscv)
#define MLTQ_GAP_CODE_BYTES(j, k, size)                                           \
  (((size) == 1u                 ? word >> MLTQ_GAP_START(j, k)                   \
    : MLTQ_GAP_START(j, k) == 0u ? word << 1                                      \
                                 : word >> ((MLTQ_GAP_START(j, k) - 1u) & 31u)) & \
   (MLTQ_GAP_LARGEST(j, k) * (size)))
#else
#define MLTQ_GAP_CODE_BYTES(j, k, size) \
  (((word >> MLTQ_GAP_START(j, k)) & MLTQ_GAP_LARGEST(j, k)) * (size))
#endif

/* Code j: passes elements of the table and, unless it is 0, takes the last one. `more` says
 * whether entries are left. The slot is stored at once, so that compilers do not keep a variable of
 * it up to date at every code. */
#define MLTQ_GAP_CODE(j, k, take, more)                              \
  case j: {                                                          \
    const uint32_t bytes = MLTQ_GAP_CODE_BYTES(j, k, sizeof *table); \
    if (bytes != 0u) {                                               \
      table = (const void*)((const char*)table + bytes);             \
      take;                                                          \
      if (!(more)) {                                                 \
        stream->slot = ((j) + 1u) % (k);                             \
        break;                                                       \
      }                                                              \
    } else {                                                         \
      table += MLTQ_GAP_LARGEST(j, k);                               \
    }                                                                \
  }                                                                  \
    MLTQ_FALLTHROUGH

#define MLTQ_GAP_CODES_4(take, more) \
  MLTQ_GAP_CODE(0u, 4u, take, more); \
  MLTQ_GAP_CODE(1u, 4u, take, more); \
  MLTQ_GAP_CODE(2u, 4u, take, more); \
  MLTQ_GAP_CODE(3u, 4u, take, more)
#define MLTQ_GAP_CODES_5(take, more) \
  MLTQ_GAP_CODE(0u, 5u, take, more); \
  MLTQ_GAP_CODE(1u, 5u, take, more); \
  MLTQ_GAP_CODE(2u, 5u, take, more); \
  MLTQ_GAP_CODE(3u, 5u, take, more); \
  MLTQ_GAP_CODE(4u, 5u, take, more)
#define MLTQ_GAP_CODES_6(take, more) \
  MLTQ_GAP_CODE(0u, 6u, take, more); \
  MLTQ_GAP_CODE(1u, 6u, take, more); \
  MLTQ_GAP_CODE(2u, 6u, take, more); \
  MLTQ_GAP_CODE(3u, 6u, take, more); \
  MLTQ_GAP_CODE(4u, 6u, take, more); \
  MLTQ_GAP_CODE(5u, 6u, take, more)
#define MLTQ_GAP_CODES_8(take, more) \
  MLTQ_GAP_CODE(0u, 8u, take, more); \
  MLTQ_GAP_CODE(1u, 8u, take, more); \
  MLTQ_GAP_CODE(2u, 8u, take, more); \
  MLTQ_GAP_CODE(3u, 8u, take, more); \
  MLTQ_GAP_CODE(4u, 8u, take, more); \
  MLTQ_GAP_CODE(5u, 8u, take, more); \
  MLTQ_GAP_CODE(6u, 8u, take, more); \
  MLTQ_GAP_CODE(7u, 8u, take, more)

/* Reads entries while there are `more`: a loop over the codes of a machine word, unrolled, that is
 * entered and left at any of them, where the entries before ended. */
#define MLTQ_GAP_READ_CODES(codes, take, more) \
  while (more) {                               \
    const uint32_t slot = stream->slot;        \
    if (slot == 0) {                           \
      word = mltq_load_machine_word(cursor);   \
      cursor += MLTQ_MACHINE_WORD_BYTES;       \
    }                                          \
    stream->slot = 0;                          \
    switch (slot) {                            \
      codes(take, more);                       \
      default:                                 \
        break;                                 \
    }                                          \
  }

/* Reads entries for the numbers of codes in a machine word that are not unrolled. A code is a bit
 * wider where the spare bits of those before it make a whole one: without a division this is
 * MLTQ_GAP_START(j + 1, k) - MLTQ_GAP_START(j, k). `slot` is the first bit of the next code here.
 */
#define MLTQ_GAP_READ_ANY_CODES(take, more)              \
  while (more) {                                         \
    if (stream->slot == 0) {                             \
      word = mltq_load_machine_word(cursor);             \
      cursor += MLTQ_MACHINE_WORD_BYTES;                 \
      spare = 0;                                         \
    }                                                    \
    uint32_t bits = stream->code_bits;                   \
    spare += stream->spare_bits;                         \
    if (spare >= stream->encoding) {                     \
      spare -= stream->encoding;                         \
      bits++;                                            \
    }                                                    \
    const uint32_t largest = (UINT32_C(1) << bits) - 1u; \
    const uint32_t code = word & largest;                \
    word >>= bits;                                       \
    stream->slot = (stream->slot + bits) & 31u;          \
    if (code != 0) {                                     \
      table += code;                                     \
      take;                                              \
    } else {                                             \
      table += largest;                                  \
    }                                                    \
  }

#define MLTQ_GAP_READ_4(take, more) MLTQ_GAP_READ_CODES(MLTQ_GAP_CODES_4, take, more)
#define MLTQ_GAP_READ_5(take, more) MLTQ_GAP_READ_CODES(MLTQ_GAP_CODES_5, take, more)
#define MLTQ_GAP_READ_6(take, more) MLTQ_GAP_READ_CODES(MLTQ_GAP_CODES_6, take, more)
#define MLTQ_GAP_READ_8(take, more) MLTQ_GAP_READ_CODES(MLTQ_GAP_CODES_8, take, more)

/* Cases for the numbers of codes in a machine word: WITH is a macro that takes one of the loops. */
#define MLTQ_GAP_CODE_CASES(WITH) \
  case 4:                         \
    WITH(MLTQ_GAP_READ_4)         \
    break;                        \
  case 5:                         \
    WITH(MLTQ_GAP_READ_5)         \
    break;                        \
  case 6:                         \
    WITH(MLTQ_GAP_READ_6)         \
    break;                        \
  case 8:                         \
    WITH(MLTQ_GAP_READ_8)         \
    break;                        \
  default:                        \
    WITH(MLTQ_GAP_READ_ANY_CODES) \
    break;

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_GAP_CODES_H_ */
