/* MLTQ_NORMALIZATION in LiteRT. The kernels' user data is a copy of the node that they replace. */
#ifndef TFLITE_OPS_LITERT_NORMALIZATION_H_
#define TFLITE_OPS_LITERT_NORMALIZATION_H_

#include "litert_abi.h"

bool mltq_is_normalization(const TfLiteRegistration* registration);

TfLiteStatus mltq_normalization_prepare(TfLiteContext* context, TfLiteNode* node);
TfLiteStatus mltq_normalization_invoke(TfLiteContext* context, TfLiteNode* node);

#endif /* TFLITE_OPS_LITERT_NORMALIZATION_H_ */
