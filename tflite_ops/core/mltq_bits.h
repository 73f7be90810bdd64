/* Sign bits and bit planes, encodings for logic on machine words: the signs of a plane without
 * zeros, or planes of what is not zero and of what is negative.
 *
 * docs/packed_format.md describes the bytes; the Python twin is packing/encodings/bits.py. */
#ifndef TFLITE_OPS_CORE_MLTQ_BITS_H_
#define TFLITE_OPS_CORE_MLTQ_BITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_machine_word.h"
#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_ENCODING_SIGN_BITS 62
#define MLTQ_ENCODING_BIT_PLANES 63

static inline bool mltq_is_bits(uint8_t encoding) { return encoding >= MLTQ_ENCODING_SIGN_BITS; }

/* With checks -------------------------------------------------------------------------------- */

/* Which of the bits from 32 * `word` on are among the first `bits`. */
static inline uint32_t mltq_bits_inside(uint32_t bits, uint32_t word) {
  const uint32_t left = bits - 32u * word;
  return left < 32u ? (UINT32_C(1) << left) - 1u : UINT32_MAX;
}

static inline void mltq_bits_begin_row(MltqPlaneReader* reader) {
  reader->bits = 0;
  reader->words = 0;
  if (reader->encoding == MLTQ_ENCODING_SIGN_BITS) return;
  const uint32_t words = mltq_machine_words_of(reader->row_size);
  const uint32_t present = mltq_machine_words_of(words);
  if ((uint64_t)(reader->end - reader->cursor) < (uint64_t)present * MLTQ_MACHINE_WORD_BYTES) {
    reader->valid = false;
    return;
  }
  reader->present = reader->cursor;
  reader->cursor += (size_t)present * MLTQ_MACHINE_WORD_BYTES;
  const uint32_t last = mltq_load_machine_word(reader->cursor - MLTQ_MACHINE_WORD_BYTES);
  if ((last & ~mltq_bits_inside(words, present - 1u)) != 0) reader->valid = false;
}

/* Reads machine words of the row up to one with entries. Returns false at its end. */
static inline bool mltq_bits_next_machine_word(MltqPlaneReader* reader) {
  while (reader->words < mltq_machine_words_of(reader->row_size)) {
    const uint32_t word = reader->words++;
    const uint32_t inside = mltq_bits_inside(reader->row_size, word);
    if (reader->encoding == MLTQ_ENCODING_SIGN_BITS) {
      reader->signs = mltq_take_machine_word(reader);
      reader->bits = inside;
    } else {
      const uint8_t* present = reader->present + (size_t)(word / 32u) * MLTQ_MACHINE_WORD_BYTES;
      if (((mltq_load_machine_word(present) >> (word % 32u)) & 1u) == 0u) continue;
      reader->bits = mltq_take_machine_word(reader);
      reader->signs = mltq_take_machine_word(reader);
      if (reader->bits == 0) reader->valid = false;
    }
    if ((reader->bits & ~inside) != 0 || (reader->signs & ~reader->bits) != 0) {
      reader->valid = false;
    }
    reader->position = 32u * word;
    return reader->valid;
  }
  return false;
}

static inline bool mltq_bits_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (reader->bits == 0 && !mltq_bits_next_machine_word(reader)) return false;
  for (;; reader->position++, reader->bits >>= 1, reader->signs >>= 1) {
    if ((reader->bits & 1u) != 0) break;
  }
  *index = reader->position++;
  *sign = (reader->signs & 1u) != 0 ? -1 : 1;
  reader->bits >>= 1;
  reader->signs >>= 1;
  return true;
}

/* Without checks ------------------------------------------------------------------------------ */

/* Numbers of the machine words of a row that are not left out; returns how many they are. */
static inline uint32_t mltq_bits_list_machine_words(const uint8_t* present, uint32_t words,
                                                    uint16_t* places) {
  uint32_t count = 0;
  uint32_t bits = 0;
  for (uint32_t i = 0; i < words; i++, bits >>= 1) {
    if (i % 32u == 0u) {
      bits = mltq_load_machine_word(present);
      present += MLTQ_MACHINE_WORD_BYTES;
    }
    if ((bits & 1u) != 0u) places[count++] = (uint16_t)i;
  }
  return count;
}

/* The next row of a level, of so many machine words: `first` is the first of those that are stored,
 * `count` how many there are, and `places`, which has room for all, their numbers in the row if
 * they are pairs. Returns what follows the row. */
static inline const uint8_t* mltq_bits_read_row(const uint8_t* from, bool pairs, uint32_t words,
                                                uint16_t* places, const uint8_t** first,
                                                uint32_t* count) {
  *count = words;
  if (pairs) {
    *count = mltq_bits_list_machine_words(from, words, places);
    from += MLTQ_MACHINE_WORD_BYTES * mltq_machine_words_of(words);
  }
  *first = from;
  return from + MLTQ_MACHINE_WORD_BYTES * (pairs ? 2u * *count : *count);
}

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_BITS_H_ */
