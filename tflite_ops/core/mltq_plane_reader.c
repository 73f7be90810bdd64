#include "mltq_plane_reader.h"

#include <stddef.h>

#include "mltq_format.h"

/* Bit j is set where j gap codes may share a word; see ENCODINGS in tfmot_mltq/packing/format.py.
 * 32 is tested apart. */
#define KNOWN_CODES_PER_WORD 0x115FCu

bool mltq_plane_reader_knows(uint8_t encoding) {
  const uint32_t codes = encoding & MLTQ_ENCODING_MASK;
  if ((encoding >> MLTQ_COUNT_BITS_SHIFT) > 2) return false;
  return codes == MLTQ_ENCODING_TRITS || codes == 32 ||
         (codes < 32 && ((KNOWN_CODES_PER_WORD >> codes) & 1u) != 0);
}

void mltq_plane_reader_init(MltqPlaneReader* reader, const uint8_t* begin, const uint8_t* end,
                            uint8_t encoding, uint32_t rows, uint32_t row_size) {
  reader->counts = begin;
  reader->cursor = begin;
  reader->end = end;
  reader->row_size = row_size;
  reader->position = 0;
  reader->positive = 0;
  reader->negative = 0;
  reader->bits = 0;
  reader->left = 0;
  reader->codes_per_word = encoding & MLTQ_ENCODING_MASK;
  reader->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  reader->counting_negative = false;
  reader->valid = true;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) return;
  const uint64_t count_bytes = (uint64_t)rows * reader->count_bits / 4u;
  const uint64_t padded = (count_bytes + MLTQ_WORD_BYTES - 1u) / MLTQ_WORD_BYTES * MLTQ_WORD_BYTES;
  if (padded > (uint64_t)(end - begin)) {
    reader->valid = false;
    return;
  }
  reader->cursor = begin + padded;
}

void mltq_plane_reader_begin_row(MltqPlaneReader* reader) {
  reader->position = 0;
  if (!reader->valid) return;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) {
    reader->left = 0;
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
    if (reader->end - reader->cursor < MLTQ_WORD_BYTES) {
      reader->valid = false;
      return false;
    }
    const uint8_t* bytes = reader->cursor;
    reader->bits = (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) |
                   ((uint32_t)bytes[3] << 24);
    reader->cursor += MLTQ_WORD_BYTES;
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

bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (!reader->valid) return false;
  if (reader->codes_per_word == MLTQ_ENCODING_TRITS) return next_trit_entry(reader, index, sign);
  return next_gap_entry(reader, index, sign);
}
