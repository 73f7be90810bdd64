/* Kernels. All have one signature; `layer` and `shape` come from mltq_layer_parse and
 * mltq_layer_bind_shape, `scratch` is aligned for int32_t and has the bytes that the function
 * beside the kernel says. The reference kernels are the oracle of the optimised ones. */
#ifndef TFLITE_OPS_CORE_MLTQ_KERNELS_H_
#define TFLITE_OPS_CORE_MLTQ_KERNELS_H_

#include "mltq_layer.h"

/* Whether the convolution is the one for Helium, the vector extension of Cortex-M. */
#if defined(__ARM_FEATURE_MVE) && !defined(MLTQ_PORTABLE)
#define MLTQ_HELIUM 1
#else
#define MLTQ_HELIUM 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Scratch of the optimised convolution; 0 where it does not take the layer, because the band of
 * input rows that it works on would be too large for 16-bit offsets. */
size_t mltq_conv_2d_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape);

void mltq_conv_2d_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                     int8_t* output, void* scratch);

/* Scratch of the optimised depthwise convolution; 0 where it does not take the layer, because the
 * filter or the image is too large for its indices. */
size_t mltq_depthwise_conv_2d_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape);

void mltq_depthwise_conv_2d_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                               int8_t* output, void* scratch);

/* Scratch of the optimised fully connected kernel, which takes every layer. */
size_t mltq_fully_connected_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape);

void mltq_fully_connected_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                             int8_t* output, void* scratch);

/* Scratch of the bitwise kernel, of convolutions and fully connected layers whose planes are stored
 * as bits; 0 where it does not take the layer, because the input rows that it keeps, or a row of
 * the planes, are too large for its indices. */
size_t mltq_bit_planes_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape);

void mltq_bit_planes_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
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
