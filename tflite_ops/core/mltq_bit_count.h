/* Counting the ones of many machine words, with or without an instruction for it. */
#ifndef TFLITE_OPS_CORE_MLTQ_BIT_COUNT_H_
#define TFLITE_OPS_CORE_MLTQ_BIT_COUNT_H_

#include <stdint.h>

#include "mltq_compiler.h"

/* Machine words that are counted together: a full adder makes two machine words of three,
 * of weights 1 and 2, and their ones are added up in nibbles, which hold the 3 * 4 of them. */
#define MLTQ_BIT_COUNT_MACHINE_WORDS 3u
/* Groups of such machine words whose counts a byte holds: 10 * 24 is below 256. */
#define MLTQ_BIT_COUNT_GROUPS 10u

/* Whether the core counts the ones of a machine word in one instruction. */
#if defined(__riscv_zbb) || defined(__POPCNT__)
#define MLTQ_HAS_POPCOUNT 1
#else
#define MLTQ_HAS_POPCOUNT 0
#endif

/* Masks that stay in registers: an operand that is shifted leaves no room for a constant in an
 * instruction. */
typedef struct {
  uint32_t pairs;
  uint32_t nibbles;
  uint32_t bytes;
} MltqBitCountMasks;

static inline MltqBitCountMasks mltq_bit_count_masks(void) {
  MltqBitCountMasks masks = {0x55555555u, 0x33333333u, 0x0F0F0F0Fu};
#if defined(__thumb2__)
  MLTQ_IN_REGISTER(masks.pairs);
  MLTQ_IN_REGISTER(masks.nibbles);
  MLTQ_IN_REGISTER(masks.bytes);
#endif
  return masks;
}

/* Ones of every nibble. */
static inline uint32_t mltq_bit_count_nibbles(const MltqBitCountMasks* masks, uint32_t word) {
  const uint32_t pairs = word - ((word >> 1) & masks->pairs);
  return (pairs & masks->nibbles) + ((pairs >> 2) & masks->nibbles);
}

/* Ones of three machine words, to be added up and given to mltq_bit_count_sum: in four bytes of at
 * most 24 each or, where the core counts, as a number. */
static inline uint32_t mltq_bit_count_bytes(const MltqBitCountMasks* masks, uint32_t a, uint32_t b,
                                            uint32_t c) {
#if MLTQ_HAS_POPCOUNT
  (void)masks;
  return (uint32_t)(__builtin_popcount(a) + __builtin_popcount(b) + __builtin_popcount(c));
#else
  const uint32_t differ = a ^ b;
  const uint32_t ones = differ ^ c;
  const uint32_t twos = (differ & (b ^ c)) ^ b; /* the majority */
  const uint32_t nibbles =
      mltq_bit_count_nibbles(masks, ones) + 2u * mltq_bit_count_nibbles(masks, twos);
  return (nibbles & masks->bytes) + ((nibbles >> 4) & masks->bytes);
#endif
}

/* Ones that were counted. */
static inline uint32_t mltq_bit_count_sum(uint32_t bytes) {
#if MLTQ_HAS_POPCOUNT
  return bytes;
#else
  const uint32_t halves = (bytes & 0x00FF00FFu) + ((bytes >> 8) & 0x00FF00FFu);
  return (halves & 0xFFFFu) + (halves >> 16);
#endif
}

#endif /* TFLITE_OPS_CORE_MLTQ_BIT_COUNT_H_ */
