#include "mltq_plane_reader.h"

#include <stddef.h>

#include "mltq_format.h"

static bool read_byte(MltqPlaneReader* reader, uint32_t* value) {
  if (reader->cursor == reader->end) {
    reader->valid = false;
    return false;
  }
  *value = *reader->cursor++;
  return true;
}

/* Count of non-zero entries: little-endian groups of seven bits, high bit set on all but the
 * last. Three groups cover every row size that the accumulator bound allows. */
static bool read_count(MltqPlaneReader* reader, uint32_t* count) {
  uint32_t value = 0;
  for (uint32_t shift = 0; shift < 21; shift += 7) {
    uint32_t byte;
    if (!read_byte(reader, &byte)) return false;
    value |= (byte & 0x7Fu) << shift;
    if ((byte & 0x80u) == 0) {
      *count = value;
      return true;
    }
  }
  reader->valid = false;
  return false;
}

void mltq_plane_reader_init(MltqPlaneReader* reader, const uint8_t* planes, const uint8_t* end,
                            uint32_t row_size) {
  reader->cursor = planes;
  reader->end = end;
  reader->row_size = row_size;
  reader->position = 0;
  reader->remaining = 0;
  reader->signs = NULL;
  reader->sign_bit = 0;
  reader->bits = 0;
  reader->bit_count = 0;
  reader->encoding = MLTQ_ENCODING_TRITS;
  reader->valid = true;
}

void mltq_plane_reader_begin_row(MltqPlaneReader* reader, uint8_t encoding) {
  reader->position = 0;
  reader->remaining = 0;
  reader->bits = 0;
  reader->bit_count = 0;
  reader->encoding = encoding;
  if (encoding == MLTQ_ENCODING_TRITS || !reader->valid) return;

  uint32_t count;
  if (!read_count(reader, &count)) return;
  const uint32_t sign_bytes = (count + 7u) / 8u;
  if (count > reader->row_size || sign_bytes > (uint32_t)(reader->end - reader->cursor)) {
    reader->valid = false;
    return;
  }
  reader->remaining = count;
  reader->signs = reader->cursor;
  reader->sign_bit = 0;
  reader->cursor += sign_bytes;
}

/* Five trits a byte as a fixed-point fraction of 256: multiplying by 3 moves the next trit into
 * bits 8 and up, most significant trit first, so no division and no table is needed. */
static bool next_trit_entry(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  while (reader->position < reader->row_size) {
    if (reader->bit_count == 0) {
      if (!read_byte(reader, &reader->bits)) return false;
      reader->bit_count = MLTQ_TRITS_PER_BYTE;
    }
    const uint32_t product = reader->bits * 3u;
    reader->bits = product & 0xFFu;
    reader->bit_count--;
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

static bool next_gap_entry(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (reader->remaining == 0) return false;
  const uint32_t width = reader->encoding;
  const uint32_t escape = (1u << width) - 1u;
  for (;;) {
    if (reader->bit_count < width) {
      uint32_t byte;
      if (!read_byte(reader, &byte)) return false;
      reader->bits |= byte << reader->bit_count;
      reader->bit_count = (uint8_t)(reader->bit_count + 8);
    }
    const uint32_t code = reader->bits & escape;
    reader->bits >>= width;
    reader->bit_count = (uint8_t)(reader->bit_count - width);
    reader->position += code;
    if (reader->position >= reader->row_size) {
      reader->valid = false;
      return false;
    }
    if (code == escape) continue;
    const uint32_t negative =
        ((uint32_t)reader->signs[reader->sign_bit >> 3] >> (reader->sign_bit & 7u)) & 1u;
    reader->sign_bit++;
    reader->remaining--;
    *index = reader->position++;
    *sign = 1 - (int32_t)(2u * negative);
    return true;
  }
}

bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (!reader->valid) return false;
  if (reader->encoding == MLTQ_ENCODING_TRITS) return next_trit_entry(reader, index, sign);
  return next_gap_entry(reader, index, sign);
}
