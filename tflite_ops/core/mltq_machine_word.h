/* Machine words of the packed tensor, which are aligned and little-endian. */
#ifndef TFLITE_OPS_CORE_MLTQ_MACHINE_WORD_H_
#define TFLITE_OPS_CORE_MLTQ_MACHINE_WORD_H_

#include <stdint.h>
#include <string.h>

#include "mltq_compiler.h"
#include "mltq_format.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The packed format is little-endian and is read in place."
#endif

static inline uint32_t mltq_load_machine_word(const uint8_t* aligned) {
  uint32_t word;
  memcpy(&word, MLTQ_ASSUME_ALIGNED(aligned, MLTQ_MACHINE_WORD_BYTES), sizeof word);
  return word;
}

/* Machine words that hold so many bits. */
static inline uint32_t mltq_machine_words_of(uint32_t bits) { return (bits + 31u) / 32u; }

#endif /* TFLITE_OPS_CORE_MLTQ_MACHINE_WORD_H_ */
