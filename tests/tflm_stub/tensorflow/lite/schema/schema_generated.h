/* Stands in for TensorFlow Lite Micro's header, to compile exported code in tests. */
#ifndef TFLM_STUB_SCHEMA_H_
#define TFLM_STUB_SCHEMA_H_
namespace tflite {
struct Model;
const Model* GetModel(const void* data);
}  // namespace tflite
#endif
