#include "mltq_plane_reader.h"

#include <stddef.h>

#include "mltq_word.h"

/* Bit j is set where j gap codes may share a word; see ENCODINGS in tfmot_mltq/packing/format.py.
 * 32 is tested apart. */
#define KNOWN_CODES_PER_WORD 0x115FCu

bool mltq_plane_reader_knows(uint8_t encoding) {
  const uint32_t codes = encoding & MLTQ_ENCODING_MASK;
  if ((encoding >> MLTQ_COUNT_BITS_SHIFT) > 2) return false;
  return codes == MLTQ_ENCODING_TRITS || codes == 32 || mltq_encoding_is_bitwise(encoding) ||
         (codes < 32 && ((KNOWN_CODES_PER_WORD >> codes) & 1u) != 0);
}

static void init(MltqPlaneReader* reader, const uint8_t* begin, const uint8_t* end,
                 uint8_t encoding, uint32_t rows, uint32_t row_size) {
  reader->counts = begin;
  reader->cursor = begin;
  reader->end = end;
  reader->row_size = row_size;
  reader->position = 0;
  reader->positive = 0;
  reader->negative = 0;
  reader->bits = 0;
  reader->signs = 0;
  reader->words = 0;
  reader->present = begin;
  reader->left = 0;
  reader->codes_per_word = encoding & MLTQ_ENCODING_MASK;
  reader->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  reader->counting_negative = false;
  reader->valid = true;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) return;
  if (mltq_encoding_is_bitwise(encoding)) return;
  const uint64_t count_bytes = (uint64_t)rows * reader->count_bits / 4u;
  const uint64_t padded = (count_bytes + MLTQ_WORD_BYTES - 1u) / MLTQ_WORD_BYTES * MLTQ_WORD_BYTES;
  if (padded > (uint64_t)(end - begin)) {
    reader->valid = false;
    return;
  }
  reader->cursor = begin + padded;
}

void mltq_plane_readers_init(const MltqLayer* layer, MltqPlaneReader readers[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    init(&readers[level], layer->level_begin[level], layer->level_end[level],
         layer->encoding[level], layer->output_channels, layer->row_size);
  }
}

/* The next word, or 0 at the end of the level. */
static uint32_t take_word(MltqPlaneReader* reader) {
  if (reader->end - reader->cursor < MLTQ_WORD_BYTES) {
    reader->valid = false;
    return 0;
  }
  const uint32_t word = mltq_load_word(reader->cursor);
  reader->cursor += MLTQ_WORD_BYTES;
  return word;
}

/* Which of the bits from 32 * `word` on are among the first `bits`. */
static uint32_t bits_inside(uint32_t bits, uint32_t word) {
  const uint32_t left = bits - 32u * word;
  return left < 32u ? (1u << left) - 1u : UINT32_MAX;
}

static void begin_bit_row(MltqPlaneReader* reader) {
  reader->bits = 0;
  reader->words = 0;
  if (reader->codes_per_word == MLTQ_ENCODING_SIGN_BITS) return;
  const uint32_t words = mltq_words_of(reader->row_size);
  const uint32_t present = mltq_words_of(words);
  if ((uint64_t)(reader->end - reader->cursor) < (uint64_t)present * MLTQ_WORD_BYTES) {
    reader->valid = false;
    return;
  }
  reader->present = reader->cursor;
  reader->cursor += (size_t)present * MLTQ_WORD_BYTES;
  const uint32_t last = mltq_load_word(reader->cursor - MLTQ_WORD_BYTES);
  if ((last & ~bits_inside(words, present - 1u)) != 0) reader->valid = false;
}

void mltq_plane_reader_begin_row(MltqPlaneReader* reader) {
  reader->position = 0;
  if (!reader->valid) return;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) {
    reader->left = 0;
    return;
  }
  if (mltq_encoding_is_bitwise(reader->codes_per_word)) {
    begin_bit_row(reader);
    return;
  }
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

/* Five trits a byte as a fixed-point fraction of 256: multiplying by 3 moves the next trit into
 * bits 8 and up, most significant trit first, so no division and no table is needed. */
static bool next_trit_entry(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  while (reader->position < reader->row_size) {
    if (reader->left == 0) {
      if (reader->cursor == reader->end) {
        reader->valid = false;
        return false;
      }
      reader->bits = *reader->cursor++;
      reader->left = MLTQ_TRITS_PER_BYTE;
    }
    const uint32_t product = reader->bits * 3u;
    reader->bits = product & 0xFFu;
    reader->left--;
    const int32_t trit = (int32_t)(product >> 8) - 1;
    const uint32_t position = reader->position++;
    if (trit != 0) {
      *index = position;
      *sign = trit;
      return true;
    }
  }
  return false;
}

static bool next_code(MltqPlaneReader* reader, uint32_t* code, uint32_t* largest) {
  if (reader->left == 0) {
    reader->bits = take_word(reader);
    if (!reader->valid) return false;
    reader->left = reader->codes_per_word;
  }
  const uint32_t codes = reader->codes_per_word;
  const uint32_t slot = codes - reader->left;
  const uint32_t start = 32u * slot / codes;
  const uint32_t width = 32u * (slot + 1u) / codes - start;
  *largest = (1u << width) - 1u;
  *code = (reader->bits >> start) & *largest;
  reader->left--;
  return true;
}

static bool next_gap_entry(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (reader->positive == 0 && !reader->counting_negative) {
    reader->counting_negative = true;
    reader->position = 0;
  }
  uint32_t* remaining = reader->counting_negative ? &reader->negative : &reader->positive;
  if (*remaining == 0) return false;
  for (;;) {
    uint32_t code;
    uint32_t largest;
    if (!next_code(reader, &code, &largest)) return false;
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

/* Reads words of the row up to one with entries. Returns false at its end. */
static bool next_bit_word(MltqPlaneReader* reader) {
  while (reader->words < mltq_words_of(reader->row_size)) {
    const uint32_t word = reader->words++;
    const uint32_t inside = bits_inside(reader->row_size, word);
    if (reader->codes_per_word == MLTQ_ENCODING_SIGN_BITS) {
      reader->signs = take_word(reader);
      reader->bits = inside;
    } else {
      const uint8_t* present = reader->present + (size_t)(word / 32u) * MLTQ_WORD_BYTES;
      if (((mltq_load_word(present) >> (word % 32u)) & 1u) == 0u) continue;
      reader->bits = take_word(reader);
      reader->signs = take_word(reader);
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

static bool next_bit_entry(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (reader->bits == 0 && !next_bit_word(reader)) return false;
  for (;; reader->position++, reader->bits >>= 1, reader->signs >>= 1) {
    if ((reader->bits & 1u) != 0) break;
  }
  *index = reader->position++;
  *sign = (reader->signs & 1u) != 0 ? -1 : 1;
  reader->bits >>= 1;
  reader->signs >>= 1;
  return true;
}

bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (!reader->valid) return false;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) return next_trit_entry(reader, index, sign);
  if (mltq_encoding_is_bitwise(reader->codes_per_word)) return next_bit_entry(reader, index, sign);
  return next_gap_entry(reader, index, sign);
}
