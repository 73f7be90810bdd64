/* Counts the instructions of every layer of MLTQ_LAYERS, a header that tools/device_benchmark.py
 * generates.
 *
 * Prints one line per layer: its index, instructions, bytes of scratch, and a checksum of the
 * output, which is the same on all targets. */
#include <stdio.h>
#include <stdlib.h>

#include "../core/mltq.h"
#include "instruction_counter.h"

typedef struct {
  uint8_t kind;
  const uint8_t* packed;
  size_t packed_bytes;
  int input_dims[4];
  int output_dims[4];
  int rank;
} BenchmarkLayer;

#include MLTQ_LAYERS

#define SCRATCH_BYTES 65536

static int8_t input[MLTQ_LARGEST_INPUT];
static int8_t output[MLTQ_LARGEST_OUTPUT];
static uint32_t scratch[SCRATCH_BYTES / sizeof(uint32_t)];

static uint32_t checksum(size_t bytes) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ (uint8_t)output[i]) * 16777619u;
  return hash;
}

static size_t elements(const int* dims, int rank) {
  size_t count = 1;
  for (int i = 0; i < rank; i++) count *= (size_t)dims[i];
  return count;
}

static int run_layer(int index, const BenchmarkLayer* item) {
  MltqLayer layer;
  MltqShape shape;
  MltqStatus status = mltq_layer_parse(item->packed, item->packed_bytes, item->kind, &layer);
  if (status == MLTQ_OK) {
    status = mltq_layer_bind_shape(&layer, item->input_dims, item->rank, item->output_dims,
                                   item->rank, &shape);
  }
  size_t scratch_bytes = 0;
  if (status == MLTQ_OK) status = mltq_layer_scratch_bytes(&layer, &shape, &scratch_bytes);
  if (status != MLTQ_OK) {
    printf("layer %d: %s\n", index, mltq_status_message(status));
    return 1;
  }
  if (scratch_bytes > sizeof scratch) {
    printf("layer %d: %lu bytes of scratch\n", index, (unsigned long)scratch_bytes);
    return 1;
  }
  uint32_t state = 2463534242u;
  for (size_t i = 0; i < elements(item->input_dims, item->rank); i++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    input[i] = (int8_t)(state >> 24);
  }
  const uint32_t start = counter_ticks();
  status = mltq_layer_eval_s8(&layer, &shape, input, output, scratch);
  const uint32_t ticks = counter_ticks() - start;
  if (status != MLTQ_OK) return 1;
  const uint64_t instructions = (uint64_t)ticks * MLTQ_INSTRUCTIONS / MLTQ_TICKS;
  printf("layer %d %lu %lu %08lx\n", index, (unsigned long)instructions,
         (unsigned long)scratch_bytes,
         (unsigned long)checksum(elements(item->output_dims, item->rank)));
  return 0;
}

int main(void) {
  counter_start();
  const int count = (int)(sizeof kLayers / sizeof kLayers[0]);
  for (int i = 0; i < count; i++) {
    if (run_layer(i, &kLayers[i]) != 0) return 1;
  }
  printf("done\n");
  return 0;
}
