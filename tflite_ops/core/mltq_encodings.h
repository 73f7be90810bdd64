/* The encodings of a level: each has a header of its own, and here is chosen between them. */
#ifndef TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_
#define TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_bits.h"
#include "mltq_byte_indices.h"
#include "mltq_gap_codes.h"
#include "mltq_layer.h"
#include "mltq_planes_read.h"
#include "mltq_trits.h"

#ifdef __cplusplus
extern "C" {
#endif

/* With checks -------------------------------------------------------------------------------- */

/* Whether an encoding byte is one of the format. */
static inline bool mltq_encoding_is_known(uint8_t byte) {
  const uint8_t encoding = byte & MLTQ_ENCODING_MASK;
  if ((byte >> MLTQ_COUNT_BITS_SHIFT) > 2) return false;
  return mltq_is_trits(encoding) || mltq_is_gap_codes(encoding) || mltq_is_bits(encoding) ||
         mltq_is_byte_indices(encoding);
}

/* How an encoding stores planes: a MLTQ_PLANES_*. */
static inline uint32_t mltq_encoding_planes(uint8_t byte) {
  if (mltq_is_bits(byte & MLTQ_ENCODING_MASK)) return MLTQ_PLANES_BITS;
  return mltq_is_byte_indices(byte & MLTQ_ENCODING_MASK) ? MLTQ_PLANES_INDICES : MLTQ_PLANES_CODED;
}

/* Whether an encoding stores planes in a way, and this program reads them. */
static inline bool mltq_encoding_is(uint8_t encoding, uint32_t way) {
  return (MLTQ_PLANES_READ & way) != 0u && mltq_encoding_planes(encoding) == way;
}

/* For mltq_plane_reader.h. Returns false where the level is too short for so many rows. */
static inline bool mltq_encoding_start(MltqPlaneReader* reader, uint32_t rows) {
  if (!mltq_encoding_is(reader->encoding, MLTQ_PLANES_CODED)) return true;
  return !mltq_is_gap_codes(reader->encoding) || mltq_gap_codes_start(reader, rows);
}

static inline void mltq_encoding_begin_row(MltqPlaneReader* reader) {
  if (mltq_encoding_is(reader->encoding, MLTQ_PLANES_BITS)) {
    mltq_bits_begin_row(reader);
  } else if (mltq_encoding_is(reader->encoding, MLTQ_PLANES_INDICES)) {
    mltq_byte_indices_begin_row(reader);
  } else if (mltq_encoding_is(reader->encoding, MLTQ_PLANES_CODED)) {
    if (mltq_is_trits(reader->encoding)) {
      mltq_trits_begin_row(reader);
    } else {
      mltq_gap_codes_begin_row(reader);
    }
  }
}

static inline bool mltq_encoding_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  if (mltq_encoding_is(reader->encoding, MLTQ_PLANES_BITS)) {
    return mltq_bits_next(reader, index, sign);
  }
  if (mltq_encoding_is(reader->encoding, MLTQ_PLANES_INDICES)) {
    return mltq_byte_indices_next(reader, index, sign);
  }
  if (!mltq_encoding_is(reader->encoding, MLTQ_PLANES_CODED)) return false;
  return mltq_is_trits(reader->encoding) ? mltq_trits_next(reader, index, sign)
                                         : mltq_gap_codes_next(reader, index, sign);
}

/* Without checks, for mltq_code_stream.h: the encodings of MLTQ_PLANES_CODED ------------------- */

static inline void mltq_encoding_start_stream(MltqCodeStream* stream, uint32_t rows) {
  if (!mltq_is_trits(stream->encoding)) mltq_gap_codes_start_stream(stream, rows);
}

/* Goes to the first entry of the sign that is read. */
static MLTQ_INLINE void mltq_encoding_begin_sign(MltqCodeStream* stream) {
  if (mltq_is_trits(stream->encoding)) mltq_trits_begin_sign(stream);
}

/* Counts the entries of the next row, and goes to the first positive one. */
static inline void mltq_encoding_count(MltqCodeStream* stream) {
  if (mltq_is_trits(stream->encoding)) {
    mltq_trits_count(stream);
    mltq_trits_begin_sign(stream);
  } else {
    mltq_gap_codes_count(stream);
  }
}

/* Statement for every encoding: WITH is a macro that takes the loop of one. */
#define MLTQ_FOR_ENCODING(WITH) \
  switch (stream->encoding) {   \
    case MLTQ_ENCODING_TRITS:   \
      WITH(MLTQ_READ_TRITS)     \
      break;                    \
      MLTQ_GAP_CODE_CASES(WITH) \
  }

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_ */
