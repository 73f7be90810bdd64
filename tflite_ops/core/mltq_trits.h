/* Trits, an encoding for dense planes: five entries a byte.
 *
 * docs/packed_format.md describes the bytes; the Python twin is packing/encodings/trits.py. */
#ifndef TFLITE_OPS_CORE_MLTQ_TRITS_H_
#define TFLITE_OPS_CORE_MLTQ_TRITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_ENCODING_TRITS 0
#define MLTQ_TRITS_PER_BYTE 5

static inline bool mltq_is_trits(uint8_t encoding) { return encoding == MLTQ_ENCODING_TRITS; }

/* With checks -------------------------------------------------------------------------------- */

static inline void mltq_trits_begin_row(MltqPlaneReader* reader) { reader->left = 0; }

/* Five trits a byte as a fixed-point fraction of 256: multiplying by 3 moves the next trit into
 * bits 8 and up, most significant trit first, so no division and no table is needed. */
static inline bool mltq_trits_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
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

/* Without checks ------------------------------------------------------------------------------ */

/* Goes to the first trit of the row. */
static inline void mltq_trits_begin_sign(MltqCodeStream* stream) {
  stream->trits = stream->row;
  stream->trits_left = 0;
}

/* Counts the entries of the next row. */
static inline void mltq_trits_count(MltqCodeStream* stream) {
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

/* Elements of the table up to and with the next trit of the sign that is read. */
static inline uint32_t mltq_trits_pass(MltqCodeStream* stream) {
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

/* Reads entries while there are `more`. */
#define MLTQ_READ_TRITS(take, more)   \
  while (more) {                      \
    table += mltq_trits_pass(stream); \
    take;                             \
  }

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_TRITS_H_ */
