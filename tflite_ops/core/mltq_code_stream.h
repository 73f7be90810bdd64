/* Fast decoder of the packed planes, for the optimised kernels.
 *
 * It reads the same bytes as mltq_plane_reader.h, in the same order, without checks: Prepare has
 * decoded all rows with the checked reader, and the bytes are constant.
 *
 * Instead of indices it gives the elements of a table that has one per entry of a row: for a
 * convolution, where the entry's inputs lie.
 */
#ifndef TFLITE_OPS_CORE_MLTQ_CODE_STREAM_H_
#define TFLITE_OPS_CORE_MLTQ_CODE_STREAM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_layer.h"
#include "mltq_reading.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts a stream for every level, at its first row. */
void mltq_code_streams_init(const MltqLayer* layer, MltqCodeStream streams[MLTQ_MAX_LEVELS]);

/* Enters the next row: `positive` and `negative` are its entries. The row before it must have been
 * read to its end. */
void mltq_code_stream_begin_row(MltqCodeStream* stream);

/* Entries of a row that are summed up in lanes together: a list of elements, the positive entries
 * first. */
typedef struct {
  const uint16_t* list;
  uint32_t positive;
  uint32_t negative;
} MltqRun;

/* Reads the next run of the row into `list`, which has room for 2 * MLTQ_MAX_LANE_ENTRIES. `first`
 * starts a table with an element for every entry of a row. A row has mltq_lane_sums runs. */
void mltq_code_stream_read_run(MltqCodeStream* stream, const uint16_t* first, uint16_t* list,
                               MltqRun* run);

/* Reads all rows from the first on; the stream has no more afterwards. With S the sum of the
 * elements of the positive entries of a row, less `zero_point` each, minus that of the negative
 * ones, accumulators[row] grows by the row's multiplier times S. The multipliers are int16
 * little-endian, `step` bytes apart. */
void mltq_code_stream_add_rows(MltqCodeStream* stream, const int8_t* first, int32_t zero_point,
                               const uint8_t* multipliers, size_t step, uint32_t rows,
                               int32_t* accumulators);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_CODE_STREAM_H_ */
