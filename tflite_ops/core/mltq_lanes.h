/* Lane packing: several activations in a 32-bit machine word, so that one addition serves all.
 *
 * A packed machine word holds one input channel at one column of several input rows, the lanes:
 * rows that are the same tap of the filter for different output rows. Sums are kept in 16 bits a
 * lane, so that at most MLTQ_MAX_LANE_ENTRIES entries of each sign may go into one.
 *
 * Each of the files below defines, with the same meaning:
 *
 *   MLTQ_LANES          lanes of a packed machine word
 *   MLTQ_SUMS_PER_MACHINE_WORD  machine words that the sums of its lanes take
 *   mltq_lanes_padding  a packed machine word of padding
 *   mltq_lanes_pack_column  packs the channels of a column
 *   mltq_lanes_sum_row  sums of a row of packed machine words over the entries of a run
 *   mltq_lanes_get      one lane of the sums of a packed machine word
 *   mltq_lanes_store    scales, rounds and stores the sums of a row for all lanes
 */
#ifndef TFLITE_OPS_CORE_MLTQ_LANES_H_
#define TFLITE_OPS_CORE_MLTQ_LANES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mltq_channel.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(MLTQ_PORTABLE)
#include "mltq_lanes_dsp.h"
#else
#include "mltq_lanes_portable.h"
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_LANES_H_ */
