/* TensorFlow Lite Micro registrations of the operators, for MicroMutableOpResolver::AddCustom. */
#ifndef TFLITE_OPS_TFLM_MLTQ_TFLM_H_
#define TFLITE_OPS_TFLM_MLTQ_TFLM_H_

#include "tflm_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_CONV_2D_NAME "MLTQ_CONV_2D"
#define MLTQ_DEPTHWISE_CONV_2D_NAME "MLTQ_DEPTHWISE_CONV_2D"
#define MLTQ_FULLY_CONNECTED_NAME "MLTQ_FULLY_CONNECTED"
#define MLTQ_LOOKUP_NAME "MLTQ_LOOKUP"
#define MLTQ_NORMALIZATION_NAME "MLTQ_NORMALIZATION"

/* BuiltinOperator_CUSTOM of the TFLite schema. */
#define MLTQ_BUILTIN_CUSTOM 32

const struct TFLMRegistration* mltq_tflm_conv_2d(void);
const struct TFLMRegistration* mltq_tflm_depthwise_conv_2d(void);
const struct TFLMRegistration* mltq_tflm_fully_connected(void);
const struct TFLMRegistration* mltq_tflm_lookup(void);
const struct TFLMRegistration* mltq_tflm_normalization(void);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_TFLM_MLTQ_TFLM_H_ */
