/* Kernels. All have one signature; `layer` and `shape` come from mltq_layer_parse and
 * mltq_layer_bind_shape, `scratch` is aligned for int32_t and has the bytes that the function
 * beside the kernel says. The reference kernels are the oracle of the optimised ones. */
#ifndef TFLITE_OPS_CORE_MLTQ_KERNELS_H_
#define TFLITE_OPS_CORE_MLTQ_KERNELS_H_

#include "mltq_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scratch of the optimised convolutions; 0 where they do not take the layer, because the band of
 * input rows that they work on would have more than 2^16 words. */
size_t mltq_conv_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape);

void mltq_conv_2d_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                     int8_t* output, void* scratch);

void mltq_depthwise_conv_2d_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                               int8_t* output, void* scratch);

/* No scratch. */
void mltq_fully_connected_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                             int8_t* output, void* scratch);

/* Scratch of the reference convolutions. */
size_t mltq_conv_s8_reference_scratch_bytes(const MltqShape* shape);

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
