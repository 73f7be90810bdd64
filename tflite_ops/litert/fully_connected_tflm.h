/* Stock int8 FULLY_CONNECTED in the arithmetic of TensorFlow Lite Micro.
 *
 * LiteRT's reference kernel multiplies by the real scale in double precision, and is the only int8
 * reference kernel that does; TensorFlow Lite Micro's uses the fixed-point multiplier of the other
 * kernels, which rounds twice. About one value in a thousand differs by one step. Where a host run
 * must give the device's bytes, the delegate claims this operator too.
 */
#ifndef TFLITE_OPS_LITERT_FULLY_CONNECTED_TFLM_H_
#define TFLITE_OPS_LITERT_FULLY_CONNECTED_TFLM_H_

#include "litert_abi.h"

/* Whether the node is one: int8 tensors and constant weights. */
bool mltq_is_int8_fully_connected(const TfLiteContext* context, const TfLiteNode* node,
                                  const TfLiteRegistration* registration);

/* Runs it. `activation` is TfLiteFusedActivation. */
TfLiteStatus mltq_fully_connected_tflm(TfLiteContext* context, const TfLiteNode* node,
                                       int activation);

#endif /* TFLITE_OPS_LITERT_FULLY_CONNECTED_TFLM_H_ */
