/* TensorFlow Lite Micro's C interface, as far as the adapter uses it.
 *
 * Firmware has the real headers. The host library has to talk to the TensorFlow Lite Micro inside a
 * Python wheel, which ships no headers: there our own declarations stand in. Define
 * MLTQ_USE_TFLM_HEADERS where a compiler cannot look for headers itself.
 */
#ifndef TFLITE_OPS_TFLM_TFLM_ABI_H_
#define TFLITE_OPS_TFLM_TFLM_ABI_H_

#if !defined(MLTQ_USE_TFLM_HEADERS) && defined(__has_include)
#if __has_include("tensorflow/lite/micro/micro_common.h")
#define MLTQ_USE_TFLM_HEADERS
#elif __has_include("tensorflow/lite/micro/micro_interpreter.h")
#error \
    "This TensorFlow Lite Micro is older than 2023 and has no TFLMRegistration: install a newer one"
#endif
#endif

#ifdef MLTQ_USE_TFLM_HEADERS
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"
#else
#include "tflm_declarations.h"
#endif

#endif /* TFLITE_OPS_TFLM_TFLM_ABI_H_ */
