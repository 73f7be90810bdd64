// Runs an exported model in TensorFlow Lite Micro on an emulated board: its arena, the instructions
// of one run, and whether its first output is the expected one. tools/tflm_firmware.py builds it.
#include <cstdio>
#include <cstring>

#include "instruction_counter.h"
#include "model.h"
#include "model_golden.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
alignas(16) uint8_t arena[k_model_arena_bytes];
}  // namespace

int main() {
  counter_start();
  model_resolver_t resolver;
  if (model_register(&resolver) != kTfLiteOk) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(k_model_data), resolver, arena,
                                       sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  std::memcpy(interpreter.input(0)->data.data, k_model_golden_input_0,
              sizeof k_model_golden_input_0);
  const uint32_t start = counter_ticks();
  if (interpreter.Invoke() != kTfLiteOk) return 1;
  const uint32_t ticks = counter_ticks() - start;
  const uint64_t instructions = (uint64_t)ticks * MLTQ_INSTRUCTIONS / MLTQ_TICKS;
  const bool same = std::memcmp(interpreter.output(0)->data.data, k_model_golden_output_0,
                                sizeof k_model_golden_output_0) == 0;
  std::printf("arena %lu\n", (unsigned long)interpreter.arena_used_bytes());
  std::printf("instructions %lu\n", (unsigned long)instructions);
  std::printf("self-test: %s\n", same ? "ok" : "FAILED");
  return same ? 0 : 1;
}
