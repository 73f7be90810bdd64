/* Runs an exported model on an emulated board: its self-test, and the instructions of one run.
 * tfmot_mltq/emulation/firmware.py builds it with the exported code. */
#include <stdio.h>

#include "instruction_counter.h"
#include "model.h"
#include "model_golden.h"

static MltqModel model;

int main(void) {
  counter_start();
  MltqStatus status = model_init(&model);
  if (status != MLTQ_OK) {
    printf("%s\n", model_status_message(status));
    return 1;
  }
  model_write_golden_inputs(&model);
  const uint32_t start = counter_ticks();
  status = model_run(&model);
  const uint32_t ticks = counter_ticks() - start;
  if (status != MLTQ_OK) {
    printf("%s\n", model_status_message(status));
    return 1;
  }
  const uint64_t instructions = (uint64_t)ticks * MLTQ_INSTRUCTIONS / MLTQ_TICKS;
  const int same = model_has_golden_outputs(&model);
  printf("instructions %lu\n", (unsigned long)instructions);
  printf("self-test: %s\n", same ? "ok" : "FAILED");
  return same ? 0 : 1;
}
