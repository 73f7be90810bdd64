/* Kernels. All have one signature; `layer` and `shape` come from mltq_layer_parse and
 * mltq_layer_bind_shape, `scratch` has mltq_layer_scratch_bytes bytes, aligned for int32_t. */
#ifndef TFLITE_OPS_CORE_MLTQ_KERNELS_H_
#define TFLITE_OPS_CORE_MLTQ_KERNELS_H_

#include "mltq_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

void mltq_conv_2d_s8_reference(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                               int8_t* output, void* scratch);

void mltq_depthwise_conv_2d_s8_reference(const MltqLayer* layer, const MltqShape* shape,
                                         const int8_t* input, int8_t* output, void* scratch);

void mltq_fully_connected_s8_reference(const MltqLayer* layer, const MltqShape* shape,
                                       const int8_t* input, int8_t* output, void* scratch);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_KERNELS_H_ */
