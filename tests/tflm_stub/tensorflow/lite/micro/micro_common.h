/* Stands in for TensorFlow Lite Micro's header, to compile exported code in tests. */
#include "tensorflow/lite/c/common.h"
