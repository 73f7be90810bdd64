/* Stands in for TensorFlow Lite Micro's header, to compile exported code in tests. */
#ifndef TFLM_STUB_INTERPRETER_H_
#define TFLM_STUB_INTERPRETER_H_
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
struct TfLiteTensor {
  struct {
    int8_t* int8;
    void* data;
  } data;
};
namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
};
}  // namespace tflite
#endif
