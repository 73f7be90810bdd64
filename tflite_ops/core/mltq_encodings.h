/* The encodings of a level: each has a header of its own, and is listed here. */
#ifndef TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_
#define TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mltq_bits.h"
#include "mltq_gap_codes.h"
#include "mltq_layer.h"
#include "mltq_trits.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether an encoding byte is one of the format. */
static inline bool mltq_encoding_is_known(uint8_t byte) {
  const uint8_t encoding = byte & MLTQ_ENCODING_MASK;
  if ((byte >> MLTQ_COUNT_BITS_SHIFT) > 2) return false;
  return mltq_is_trits(encoding) || mltq_is_gap_codes(encoding) || mltq_is_bits(encoding);
}

/* How an encoding stores planes: a MLTQ_PLANES_*. */
static inline uint32_t mltq_encoding_planes(uint8_t byte) {
  return mltq_is_bits(byte & MLTQ_ENCODING_MASK) ? MLTQ_PLANES_BITS : MLTQ_PLANES_CODED;
}

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_ENCODINGS_H_ */
