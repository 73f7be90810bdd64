/* Byte indices, an encoding for sparse planes of fully connected layers: an entry is a byte, which
 * says where it is and which sign it has.
 *
 * docs/packed_format.md describes the bytes; the Python twin is packing/encodings/byte_indices.py.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_BYTE_INDICES_H_
#define TFLITE_OPS_CORE_MLTQ_BYTE_INDICES_H_

#include <stdbool.h>
#include <stdint.h>

#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_ENCODING_BYTE_INDICES 61

/* A row is cut into blocks of so many entries. A byte is the place of an entry in its block, and so
 * much more where it is negative. */
#define MLTQ_INDEX_BLOCK 128

static inline bool mltq_is_byte_indices(uint8_t encoding) {
  return encoding == MLTQ_ENCODING_BYTE_INDICES;
}

static inline uint32_t mltq_index_blocks(uint32_t row_size) {
  return (row_size + MLTQ_INDEX_BLOCK - 1u) / MLTQ_INDEX_BLOCK;
}

/* With checks -------------------------------------------------------------------------------- */

static inline void mltq_byte_indices_begin_row(MltqPlaneReader* reader) { reader->left = 0; }

static inline uint32_t mltq_byte_indices_take(MltqPlaneReader* reader) {
  if (reader->cursor == reader->end) {
    reader->valid = false;
    return 0;
  }
  return *reader->cursor++;
}

/* `position` is where the next block begins, `bits` the least that the next byte may be. */
static inline bool mltq_byte_indices_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  while (reader->left == 0) {
    if (reader->position >= reader->row_size) return false;
    reader->position += MLTQ_INDEX_BLOCK;
    reader->left = (uint8_t)mltq_byte_indices_take(reader);
    reader->bits = 0;
  }
  const uint32_t byte = mltq_byte_indices_take(reader);
  *index = reader->position - MLTQ_INDEX_BLOCK + byte % MLTQ_INDEX_BLOCK;
  *sign = byte < MLTQ_INDEX_BLOCK ? 1 : -1;
  if (byte < reader->bits || *index >= reader->row_size) reader->valid = false;
  reader->bits = byte + 1u;
  reader->left--;
  return reader->valid;
}

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_BYTE_INDICES_H_ */
