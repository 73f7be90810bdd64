#include "mltq_activation.h"

#include <stddef.h>

/* 3 to the number of levels. */
#define MAX_ACTIVATION_CODES 81u

bool mltq_activation_check(const uint8_t* table, uint32_t levels, int64_t* largest) {
  uint32_t codes = 1;
  *largest = 0;
  for (uint32_t level = 0; level < levels; level++) {
    const int8_t scale = (int8_t)table[level];
    if (scale < 0) return false;
    *largest += scale;
    codes *= 3u;
  }
  for (uint32_t i = 0; i < 256u; i++) {
    if (table[MLTQ_MAX_LEVELS + i] >= codes) return false;
  }
  return *largest <= INT8_MAX;
}

void mltq_activation_values(const uint8_t* table, uint32_t levels, int8_t values[256]) {
  int8_t sums[MAX_ACTIVATION_CODES]; /* of every code; counted up, without divisions */
  int32_t scales[MLTQ_MAX_LEVELS] = {0};
  uint32_t digits[MLTQ_MAX_LEVELS] = {0};
  int32_t sum = 0;
  for (uint32_t level = 0; level < levels; level++) {
    scales[level] = (int8_t)table[level];
    sum -= scales[level];
  }
  for (uint32_t code = 0; code < MAX_ACTIVATION_CODES; code++) {
    sums[code] = (int8_t)sum;
    for (uint32_t level = 0; level < MLTQ_MAX_LEVELS; level++) {
      sum += scales[level];
      if (++digits[level] < 3u) break;
      sum -= 3 * scales[level];
      digits[level] = 0;
    }
  }
  for (uint32_t i = 0; i < 256u; i++) {
    values[i ^ 0x80u] = sums[table[MLTQ_MAX_LEVELS + i]];
  }
}

const int8_t* mltq_layer_activation_values(const MltqLayer* layer, int8_t values[256]) {
  if (layer->activation_levels == 0) return NULL;
  mltq_activation_values(layer->activation_table, layer->activation_levels, values);
  return values;
}

void mltq_layer_activation_cuts(const MltqLayer* layer, uint8_t cuts[256]) {
  uint8_t codes[MAX_ACTIVATION_CODES];
  uint32_t cut = (1u << 2u * layer->activation_levels) - 1u; /* all digits 0: all levels -1 */
  for (uint32_t code = 0; code < MAX_ACTIVATION_CODES; code++) {
    codes[code] = (uint8_t)cut;
    for (uint32_t shift = 0; shift < 2u * MLTQ_MAX_LEVELS; shift += 2u) {
      const uint32_t entry = (cut >> shift) & 3u;
      cut &= ~(3u << shift);
      if (entry == 3u) break; /* from -1 to 0 */
      cut |= (entry == 0u ? 1u : 3u) << shift;
      if (entry == 0u) break; /* from 0 to 1; from 1 to -1 and on to the next level */
    }
  }
  for (uint32_t i = 0; i < 256u; i++) {
    cuts[i ^ 0x80u] = codes[layer->activation_table[MLTQ_MAX_LEVELS + i]];
  }
}
