/* MLTQ_LOOKUP in LiteRT. The kernels' user data is a copy of the node that they replace. */
#ifndef TFLITE_OPS_LITERT_LOOKUP_H_
#define TFLITE_OPS_LITERT_LOOKUP_H_

#include "litert_abi.h"

bool mltq_is_lookup(const TfLiteRegistration* registration);

TfLiteStatus mltq_lookup_prepare(TfLiteContext* context, TfLiteNode* node);
TfLiteStatus mltq_lookup_invoke(TfLiteContext* context, TfLiteNode* node);

#endif /* TFLITE_OPS_LITERT_LOOKUP_H_ */
