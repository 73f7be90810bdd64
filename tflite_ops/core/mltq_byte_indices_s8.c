#include <stddef.h>

#include "mltq_activation.h"
#include "mltq_byte_indices.h"
#include "mltq_compiler.h"
#include "mltq_kernel.h"
#include "mltq_machine_word.h"

#if MLTQ_HELIUM
#include <arm_mve.h>
#endif

/* Adds the inputs that byte indices name. A table holds what a byte stands for: u = x + 128 for an
 * entry that is positive, 255 - u for a negative one. So the sum of a row is S less the least that
 * S can be, which the biases of such layers count from, and nothing is left to do for signs and the
 * zero point. */

enum { TABLE_BYTES = 2 * MLTQ_INDEX_BLOCK };

static MltqStatus scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  (void)shape;
  /* The table of a shorter block ends sooner. */
  *bytes = (size_t)mltq_index_blocks(layer->row_size) * MLTQ_INDEX_BLOCK + layer->row_size;
  return MLTQ_OK;
}

/* A table for every block of the inputs. */
static void fill_tables(const MltqLayer* layer, const int8_t* map, const int8_t* input,
                        uint8_t* table) {
  for (uint32_t left = layer->row_size; left > 0;) {
    const uint32_t count = left < MLTQ_INDEX_BLOCK ? left : MLTQ_INDEX_BLOCK;
    for (uint32_t i = 0; i < count; i++) {
      const int8_t value = map != NULL ? map[(uint8_t)input[i]] : input[i];
      table[i] = (uint8_t)value ^ 0x80u;
      table[i + MLTQ_INDEX_BLOCK] = (uint8_t)value ^ 0x7Fu;
    }
    input += count;
    table += TABLE_BYTES;
    left -= count;
  }
}

/* Adds what the bytes of a block stand for. Returns what follows them. */
#if MLTQ_HELIUM
static inline const uint8_t* add_block(const uint8_t* indices, const uint8_t* table,
                                       uint32_t* sum) {
  const uint32_t count = *indices++;
  const uint8_t* vector = indices;
  __asm__(
      "wlstp.8 lr, %[count], 2f\n"
      "1:\n"
      "vldrb.u8 q0, [%[vector]], #16\n"
      "vldrb.u8 q1, [%[table], q0]\n"
      "vaddva.u8 %[sum], q1\n"
      "letp lr, 1b\n"
      "2:\n"
      : [sum] "+Te"(*sum), [vector] "+r"(vector)
      : [count] "r"(count), [table] "r"(table)
      : "lr", "q0", "q1", "memory");
  return indices + count;
}
#else
/* Written out, since compilers leave a loop of these rolled where code is to be small. */
#define ADD_ENTRY(i) total += table[indices[i]]

static inline const uint8_t* add_block(const uint8_t* indices, const uint8_t* table,
                                       uint32_t* sum) {
  const uint32_t count = *indices++;
  uint32_t total = *sum;
  for (uint32_t eights = count / 8u; eights != 0u; eights--) {
    ADD_ENTRY(0);
    ADD_ENTRY(1);
    ADD_ENTRY(2);
    ADD_ENTRY(3);
    ADD_ENTRY(4);
    ADD_ENTRY(5);
    ADD_ENTRY(6);
    ADD_ENTRY(7);
    indices += 8;
    MLTQ_IN_REGISTER(eights);
    MLTQ_IN_REGISTER(indices);
  }
  if ((count & 4u) != 0u) {
    ADD_ENTRY(0);
    ADD_ENTRY(1);
    ADD_ENTRY(2);
    ADD_ENTRY(3);
    indices += 4;
  }
  if ((count & 2u) != 0u) {
    ADD_ENTRY(0);
    ADD_ENTRY(1);
    indices += 2;
  }
  if ((count & 1u) != 0u) {
    ADD_ENTRY(0);
    indices += 1;
  }
  *sum = total;
  return indices;
}
#endif

/* The int16 at an even address. */
static inline int32_t load_multiplier(const uint8_t* from) {
  int16_t multiplier;
  memcpy(&multiplier, MLTQ_ASSUME_ALIGNED(from, sizeof multiplier), sizeof multiplier);
  return multiplier;
}

/* Adds to accumulators what the next rows of a level sum up to, each times its multiplier. Returns
 * what follows the rows. */
static MLTQ_NOINLINE const uint8_t* add_rows(const uint8_t* indices, const uint8_t* tables,
                                             const uint8_t* last_table, const uint8_t* multiplier,
                                             size_t step, uint32_t* accumulators, uint32_t rows) {
  const uint32_t* const end = accumulators + rows;
  for (; accumulators != end; accumulators++, multiplier += step) {
    uint32_t sum = 0;
    for (const uint8_t* table = tables;; table += TABLE_BYTES) {
      indices = add_block(indices, table, &sum);
      if (table == last_table) break;
    }
    *accumulators += (uint32_t)load_multiplier(multiplier) * sum;
  }
  return indices;
}

static MLTQ_NOINLINE void store_outputs(const uint32_t* accumulators, const uint8_t* shifts,
                                        uint32_t count, int32_t minimum, int32_t maximum,
                                        int8_t* restrict output) {
#if MLTQ_HELIUM
  const int32x4_t minima = vdupq_n_s32(minimum);
  const int32x4_t maxima = vdupq_n_s32(maximum);
  for (int32_t left = (int32_t)count; left > 0; left -= 4) {
    const mve_pred16_t some = vctp32q((uint32_t)left);
    const int32x4_t right = vreinterpretq_s32_u32(vldrbq_z_u32(shifts, some));
    int32x4_t values = vreinterpretq_s32_u32(vldrwq_z_u32(accumulators, some));
    values = vshlq_s32(values, vnegq_s32(right));
    values = vminq_s32(vmaxq_s32(values, minima), maxima);
    vstrbq_p_s32(output, values, some);
    accumulators += 4;
    shifts += 4;
    output += 4;
  }
#else
  for (uint32_t i = 0; i < count; i++) {
    output[i] = mltq_requantize((int32_t)accumulators[i], shifts[i], minimum, maximum);
  }
#endif
}

/* A few output channels at a time, so that their accumulators fit on the stack. */
enum { CHANNELS = 32 };

/* One position, whose inputs are in the tables. */
static void run_position(const MltqLayer* layer, const uint8_t* tables, const uint8_t* last_table,
                         int8_t* output) {
  const uint8_t* cursors[MLTQ_MAX_LEVELS];
  for (uint32_t level = 0; level < layer->levels; level++) {
    cursors[level] = layer->level_begin[level];
  }
  const size_t step = sizeof(int16_t) * layer->levels;
  const uint8_t* biases = layer->biases;
  const uint8_t* multipliers = layer->multipliers;
  const uint8_t* shifts = layer->shifts;
  for (uint32_t left = layer->output_channels; left > 0;) {
    uint32_t accumulators[CHANNELS];
    const uint32_t count = left < CHANNELS ? left : CHANNELS;
    memcpy(accumulators, biases, sizeof *accumulators * count);
    for (uint32_t level = 0; level < layer->levels; level++) {
      cursors[level] = add_rows(cursors[level], tables, last_table,
                                multipliers + sizeof(int16_t) * level, step, accumulators, count);
    }
    store_outputs(accumulators, shifts, count, layer->activation_min, layer->activation_max,
                  output);
    biases += sizeof *accumulators * count;
    multipliers += step * count;
    shifts += count;
    output += count;
    left -= count;
  }
}

static MltqStatus run(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                      int8_t* output, void* scratch) {
  int8_t values[256];
  const int8_t* map = mltq_layer_activation_values(layer, values);
  uint8_t* const tables = (uint8_t*)scratch;
  const size_t last_table = (size_t)(mltq_index_blocks(layer->row_size) - 1u) * TABLE_BYTES;
  for (int32_t batch = 0; batch < shape->batches; batch++) {
    fill_tables(layer, map, input, tables);
    run_position(layer, tables, tables + last_table, output);
    input += layer->input_channels;
    output += layer->output_channels;
  }
  return MLTQ_OK;
}

const MltqKernel mltq_byte_indices_s8 = {
    .kinds = MLTQ_TAKES_FULLY_CONNECTED,
    .planes = MLTQ_PLANES_INDICES,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
