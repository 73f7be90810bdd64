/* Sequential, bounds-checked reader of the packed planes.
 *
 * A row is one plane of one output channel: row_size entries in {-1, 0, +1}. The rows of a level
 * follow each other channel by channel, so a kernel that walks the output channels in order needs
 * no table of row offsets: it has one reader per level. Prepare decodes all rows with this reader
 * and refuses malformed bytes; the reference kernels use it too. The optimised kernels have their
 * own decoder, mltq_code_stream.h, which relies on that check.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_
#define TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_

#include <stdbool.h>
#include <stdint.h>

#include "mltq_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const uint8_t* counts;  /* gap codes: counts of the next row */
  const uint8_t* cursor;  /* next byte to read */
  const uint8_t* end;     /* one past the last byte of the level */
  uint32_t row_size;      /* entries in a row */
  uint32_t position;      /* entries of this row already passed */
  uint32_t positive;      /* gap codes: positive entries of this row not yet read */
  uint32_t negative;      /* gap codes: negative entries of this row not yet read */
  uint32_t bits;          /* gap codes: the word being read; trits: the byte being read; bit
                             planes: entries of the word being read that are not zero */
  uint32_t signs;         /* bit planes: its negative entries */
  uint32_t words;         /* bit planes: words of the row already read */
  const uint8_t* present; /* bit planes: bits of the words of this row that are not left out */
  uint8_t left;           /* codes or trits of it not yet read */
  uint8_t codes_per_word; /* of gap codes; else an encoding */
  uint8_t count_bits;     /* gap codes: width of a count */
  bool counting_negative; /* gap codes: the positive entries of this row have been read */
  bool valid;             /* false once the bytes broke a rule of the format */
} MltqPlaneReader;

/* Whether an encoding byte is one of the format. */
bool mltq_plane_reader_knows(uint8_t encoding);

/* Starts a reader for every level, at its first row. */
void mltq_plane_readers_init(const MltqLayer* layer, MltqPlaneReader readers[MLTQ_MAX_LEVELS]);

/* Enters the next row. The row before it must have been read to its end. */
void mltq_plane_reader_begin_row(MltqPlaneReader* reader);

/* Gives the next non-zero entry of the row: its index and its sign (+1 or -1).
 * Returns false at the end of the row or, with reader->valid false, on malformed bytes. */
bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_ */
