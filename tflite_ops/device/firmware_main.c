/* Runs an exported model on an emulated board: its self-test, the instructions of one run and of
 * each of its operators, and the stack that a run takes. tfmot_mltq/emulation/firmware.py builds it
 * with the exported code, in which a call of mltq_firmware_mark stands before every operator. */
#include <stdio.h>

#include "instruction_counter.h"
#include "model.h"
#include "model_golden.h"

#define STACK_BYTES 16384
#define PAINT 0xA5u

static MltqModel model;
static uint32_t starts[MLTQ_OPERATORS + 1];

void mltq_firmware_mark(int operator_number);
void mltq_firmware_mark(int operator_number) { starts[operator_number] = counter_ticks(); }

static unsigned long instructions(uint32_t begin, uint32_t end) {
  return (unsigned long)((uint64_t)(end - begin) * MLTQ_INSTRUCTIONS / MLTQ_TICKS);
}

/* The memory below the frame of the caller: called twice from one place, both times the same. */
static __attribute__((noinline)) unsigned long stack(int paint) {
  volatile uint8_t area[STACK_BYTES];
  unsigned long clean = 0;
  if (paint) {
    for (unsigned long i = 0; i < STACK_BYTES; i++) area[i] = PAINT;
  } else {
    __asm__ volatile("" : : "r"(area) : "memory");
    while (clean < STACK_BYTES && area[clean] == PAINT) clean++;
  }
  return STACK_BYTES - clean;
}

int main(void) {
  counter_start();
  MltqStatus status = model_init(&model);
  if (status != MLTQ_OK) {
    printf("%s\n", model_status_message(status));
    return 1;
  }
  model_write_golden_inputs(&model);
  stack(1);
  status = model_run(&model);
  const unsigned long stack_bytes = stack(0);
  if (status == MLTQ_OK) status = model_init(&model); /* without state, as the first time */
  if (status == MLTQ_OK) {
    model_write_golden_inputs(&model);
    const uint32_t start = counter_ticks();
    status = model_run(&model);
    starts[MLTQ_OPERATORS] = counter_ticks();
    printf("instructions %lu\n", instructions(start, starts[MLTQ_OPERATORS]));
  }
  if (status != MLTQ_OK) {
    printf("%s\n", model_status_message(status));
    return 1;
  }
  printf("stack %lu\n", stack_bytes);
  for (int i = 0; i < MLTQ_OPERATORS; i++) {
    printf("operator %lu\n", instructions(starts[i], starts[i + 1]));
  }
  const int same = model_has_golden_outputs(&model);
  printf("self-test: %s\n", same ? "ok" : "FAILED");
  return same ? 0 : 1;
}
