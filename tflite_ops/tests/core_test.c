/* The C core against golden layers, and against hostile bytes.
 *
 * Built with the address and undefined-behaviour sanitizers by `make test`; every buffer is
 * allocated with its exact size, so that a byte read or written beyond it is found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mltq.h"
#include "../core/mltq_eval.h"
#include "golden_layers.h"

/* The bytes of every how many golden layers are changed; more than 1 where time is short. */
#ifndef MLTQ_HOSTILE_STEP
#define MLTQ_HOSTILE_STEP 1
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
                      const MltqKernel* const* kernels, int8_t* output) {
  MltqLayer layer;
  MltqShape shape;
  MltqStatus status = mltq_layer_parse(packed, packed_bytes, golden->kind, &layer);
  if (status != MLTQ_OK) return status;
  status = mltq_layer_bind_shape(&layer, golden->input_dims, golden->input_rank,
                                 golden->output_dims, golden->output_rank, &shape);
  if (status != MLTQ_OK) return status;
  size_t scratch_bytes = 0;
  status = mltq_scratch_bytes_with(kernels, &layer, &shape, &scratch_bytes);
  if (status != MLTQ_OK) return status;
  void* scratch = malloc(scratch_bytes > 0 ? scratch_bytes : 1);
  /* Hostile bytes may ask for more than a small board has, as they may in an interpreter. */
  if (scratch == NULL) return MLTQ_STATUS_COUNT;
  int8_t* input = copy_of(golden->input, golden->input_bytes);
  status = mltq_eval_s8_with(kernels, &layer, &shape, input, output, scratch);
  free(scratch);
  free(input);
  return status;
}

static void test_golden(const GoldenLayer* golden, const MltqKernel* const* kernels) {
  int8_t* output = malloc(golden->output_bytes);
  if (output == NULL) exit(2);
  memset(output, 0x55, golden->output_bytes);
  uint8_t* packed = copy_of(golden->packed, golden->packed_bytes);
  check(run(golden, packed, golden->packed_bytes, kernels, output) == MLTQ_OK, golden->name,
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
      refused += run(golden, packed, golden->packed_bytes, mltq_kernels, output) != MLTQ_OK;
      free(packed);
    }
    uint8_t* truncated = copy_of(golden->packed, position + 1);
    const MltqStatus status = run(golden, truncated, position, mltq_kernels, output);
    if (status == MLTQ_OK) check(0, golden->name, "truncation refused");
    free(truncated);
  }
  check(refused > 0, golden->name, "some changes refused");
  free(output);
}

/* Every status is one of an operator, which has a text for it. */
static void test_status_messages(void) {
  static const char kUnknown[] = "unknown status";
  for (int status = 0; status < MLTQ_STATUS_COUNT; status++) {
    const char* message = mltq_status_message((MltqStatus)status);
    if (strcmp(message, kUnknown) == 0) message = mltq_lookup_message((MltqStatus)status);
    if (strcmp(message, kUnknown) == 0) message = mltq_normalization_message((MltqStatus)status);
    check(strcmp(message, kUnknown) != 0, "status", message);
  }
  check(strcmp(mltq_status_message(MLTQ_STATUS_COUNT), kUnknown) == 0, "status", "none");
}

/* A program without the kernel of a layer refuses it, and writes nothing. */
static void test_no_kernel(void) {
  static const MltqKernel* const kNone[] = {NULL};
  const GoldenLayer* golden = &kGoldenLayers[0];
  int8_t* output = malloc(golden->output_bytes);
  if (output == NULL) exit(2);
  check(run(golden, golden->packed, golden->packed_bytes, kNone, output) == MLTQ_ERROR_KERNEL,
        golden->name, "no kernel");
  free(output);
}

int main(void) {
  const size_t count = sizeof(kGoldenLayers) / sizeof(kGoldenLayers[0]);
  for (size_t i = 0; i < count; i++) {
    test_golden(&kGoldenLayers[i], mltq_kernels);
    test_golden(&kGoldenLayers[i], mltq_reference_kernels);
    if (i % MLTQ_HOSTILE_STEP == 0) test_hostile_bytes(&kGoldenLayers[i]);
  }
  test_status_messages();
  test_no_kernel();
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
