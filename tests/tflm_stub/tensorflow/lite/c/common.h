/* Stands in for TensorFlow Lite Micro's header, to compile exported code in tests. */
#ifndef TFLM_STUB_C_COMMON_H_
#define TFLM_STUB_C_COMMON_H_
#include "mltq/tflm/tflm_declarations.h"
#endif
