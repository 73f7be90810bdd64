/* The C core against golden layers, and against hostile bytes.
 *
 * Built with the address and undefined-behaviour sanitizers by `make test`; every buffer is
 * allocated with its exact size, so that a byte read or written beyond it is found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mltq_layer.h"
#include "golden_layers.h"

/* Every how many golden layers are run; more than 1 where code is slow. */
#ifndef MLTQ_TEST_STEP
#define MLTQ_TEST_STEP 1
#endif

static int passed = 0;
static int failed = 0;

static void check(int condition, const char* name, const char* what) {
  if (condition) {
    passed++;
  } else {
    failed++;
    printf("FAILED %s: %s\n", name, what);
  }
}

static void* copy_of(const void* data, size_t bytes) {
  void* copy = malloc(bytes);
  if (copy == NULL) exit(2);
  memcpy(copy, data, bytes);
  return copy;
}

/* Runs a layer whose packed bytes are `packed`. Returns the status, MLTQ_STATUS_COUNT for want of
 * memory, and the output in `output`. */
static MltqStatus run(const GoldenLayer* golden, const uint8_t* packed, size_t packed_bytes,
                      int reference, int8_t* output) {
  MltqLayer layer;
  MltqShape shape;
  MltqStatus status = mltq_layer_parse(packed, packed_bytes, golden->kind, &layer);
  if (status != MLTQ_OK) return status;
  status = mltq_layer_bind_shape(&layer, golden->input_dims, golden->input_rank,
                                 golden->output_dims, golden->output_rank, &shape);
  if (status != MLTQ_OK) return status;
  const size_t scratch_bytes = reference ? mltq_layer_reference_scratch_bytes(&layer, &shape)
                                         : mltq_layer_scratch_bytes(&layer, &shape);
  void* scratch = malloc(scratch_bytes > 0 ? scratch_bytes : 1);
  /* Hostile bytes may ask for more than a small board has, as they may in an interpreter. */
  if (scratch == NULL) return MLTQ_STATUS_COUNT;
  int8_t* input = copy_of(golden->input, golden->input_bytes);
  if (reference) {
    mltq_layer_eval_s8_reference(&layer, &shape, input, output, scratch);
  } else {
    mltq_layer_eval_s8(&layer, &shape, input, output, scratch);
  }
  free(scratch);
  free(input);
  return MLTQ_OK;
}

static void test_golden(const GoldenLayer* golden, int reference) {
  int8_t* output = malloc(golden->output_bytes);
  if (output == NULL) exit(2);
  memset(output, 0x55, golden->output_bytes);
  uint8_t* packed = copy_of(golden->packed, golden->packed_bytes);
  check(run(golden, packed, golden->packed_bytes, reference, output) == MLTQ_OK, golden->name,
        "accepted");
  check(memcmp(output, golden->output, golden->output_bytes) == 0, golden->name, "same bytes");
  free(packed);
  free(output);
}

/* Changed bytes and truncations must be refused or run within bounds, which the sanitizers see. */
static void test_hostile_bytes(const GoldenLayer* golden) {
  int8_t* output = malloc(golden->output_bytes);
  if (output == NULL) exit(2);
  int refused = 0;
  for (size_t position = 0; position < golden->packed_bytes; position++) {
    for (int change = 1; change < 256; change = change * 2 + 1) {
      uint8_t* packed = copy_of(golden->packed, golden->packed_bytes);
      packed[position] = (uint8_t)(packed[position] ^ change);
      refused += run(golden, packed, golden->packed_bytes, 0, output) != MLTQ_OK;
      free(packed);
    }
    uint8_t* truncated = copy_of(golden->packed, position + 1);
    const MltqStatus status = run(golden, truncated, position, 0, output);
    if (status == MLTQ_OK) check(0, golden->name, "truncation refused");
    free(truncated);
  }
  check(refused > 0, golden->name, "some changes refused");
  free(output);
}

static void test_status_messages(void) {
  for (int status = 0; status < MLTQ_STATUS_COUNT; status++) {
    const char* message = mltq_status_message((MltqStatus)status);
    check(strcmp(message, "unknown status") != 0, "status", message);
  }
}

int main(void) {
  const size_t count = sizeof(kGoldenLayers) / sizeof(kGoldenLayers[0]);
  for (size_t i = 0; i < count; i += MLTQ_TEST_STEP) {
    test_golden(&kGoldenLayers[i], 0);
    test_golden(&kGoldenLayers[i], 1);
    test_hostile_bytes(&kGoldenLayers[i]);
  }
  test_status_messages();
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
