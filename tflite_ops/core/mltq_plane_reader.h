/* Sequential reader of the packed planes.
 *
 * A row is one plane of one output channel: filter_size entries in {-1, 0, +1}. Rows follow each
 * other channel by channel, and level by level inside a channel, so a kernel that walks the output
 * channels in order needs no table of row offsets. Every read is checked against the end of the
 * packed tensor; the same reader serves the check in Prepare and the kernels, so what Prepare
 * accepted is what the kernels see.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_
#define TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const uint8_t* cursor; /* next byte to read */
  const uint8_t* end;    /* one past the last byte of the packed tensor */
  uint32_t row_size;     /* entries in a row */
  uint32_t position;     /* entries of this row already passed */
  uint32_t remaining;    /* gap code: non-zero entries of this row not yet read */
  const uint8_t* signs;  /* gap code: one bit an entry, set for -1 */
  uint32_t sign_bit;     /* gap code: index of the next sign */
  uint32_t bits;         /* gap code: bits read from memory and not yet used; trits: current byte */
  uint8_t bit_count;     /* gap code: how many of them; trits: trits left in the current byte */
  uint8_t encoding;      /* encoding of this row */
  bool valid;            /* false once the bytes broke a rule of the format */
} MltqPlaneReader;

/* Starts at the first row. */
void mltq_plane_reader_init(MltqPlaneReader* reader, const uint8_t* planes, const uint8_t* end,
                            uint32_t row_size);

/* Enters the next row. The row before it must have been read to its end. */
void mltq_plane_reader_begin_row(MltqPlaneReader* reader, uint8_t encoding);

/* Gives the next non-zero entry of the row: its index and its sign (+1 or -1).
 * Returns false at the end of the row or, with reader->valid false, on malformed bytes. */
bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_PLANE_READER_H_ */
