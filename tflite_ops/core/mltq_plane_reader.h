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
#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

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
