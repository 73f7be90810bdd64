/* The stock int8 operators that generated code needs beside ours, in plain form: same results as
 * TensorFlow Lite Micro's reference kernels, byte for byte. The exporter derives all fields; a test
 * compares the operators with TensorFlow Lite Micro.
 *
 * With x an int8 value and z its zero point, offsets of inputs are -z, and that of the output is
 * its zero point. Tensors are NHWC. */
#ifndef TFLITE_OPS_STOCK_MLTQ_STOCK_H_
#define TFLITE_OPS_STOCK_MLTQ_STOCK_H_

#include <stddef.h>
#include <stdint.h>

#include "mltq_fixed_point.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of a window that slides over an image. */
typedef struct {
  int32_t input_h;
  int32_t input_w;
  int32_t input_channels;
  int32_t output_h;
  int32_t output_w;
  int32_t output_channels;
  int32_t filter_h;
  int32_t filter_w;
  int32_t stride_h;
  int32_t stride_w;
  int32_t dilation_h;
  int32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
} MltqWindow;

/* Weights of a layer: filter (output channels, filter_h, filter_w, input channels), or (filter_h,
 * filter_w, output channels) for a depthwise convolution; biases, or NULL; one factor for every
 * output channel, or one for all where factor_step is 0. */
typedef struct {
  const int8_t* filter;
  const int32_t* biases;
  const MltqFixedPoint* factors;
  size_t factor_step;
  int32_t input_offset;
  int32_t output_offset;
  int32_t activation_min;
  int32_t activation_max;
} MltqWeights;

/* output = clamp(factor[c] * (bias[c] + sum of filter * (x - z)) + output zero point); padding adds
 * nothing. */
void mltq_stock_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                           const int8_t* input, int8_t* output);
void mltq_stock_depthwise_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                     const int8_t* input, int8_t* output);
void mltq_stock_fully_connected_s8(int32_t rows, int32_t inputs, int32_t outputs,
                                   const MltqWeights* weights, const int8_t* input, int8_t* output);

/* The mean of a window without its padding, halves away from zero; the largest value. */
void mltq_stock_average_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                                   int32_t activation_min, int32_t activation_max);
void mltq_stock_max_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                               int32_t activation_min, int32_t activation_max);

/* Both inputs are scaled to 2^-20 of twice the larger scale, added, and scaled to the output. */
typedef struct {
  int32_t offset[2];
  MltqFixedPoint factor[2];
  MltqFixedPoint output_factor;
  int32_t output_offset;
  int32_t activation_min;
  int32_t activation_max;
} MltqAdd;

void mltq_stock_add_s8(const MltqAdd* add, int32_t size, const int8_t* first, const int8_t* second,
                       int8_t* output);

/* The mean of every channel over all positions: MEAN over height and width. `factor` divides by the
 * positions. */
void mltq_stock_mean_s8(MltqFixedPoint factor, int32_t input_offset, int32_t output_offset,
                        int32_t positions, int32_t channels, const int8_t* input, int8_t* output);

/* An int8 tensor in another scale: QUANTIZE of int8. */
void mltq_stock_requantize_s8(MltqFixedPoint factor, int32_t input_offset, int32_t output_offset,
                              int32_t size, const int8_t* input, int8_t* output);

/* Softmax of every row. `beta` scales differences of inputs to 2^-26; differences below
 * `smallest_difference` give 0. The output has the scale 2^-8 and the zero point -128. */
typedef struct {
  MltqFixedPoint beta;
  int32_t smallest_difference;
} MltqSoftmax;

void mltq_stock_softmax_s8(const MltqSoftmax* softmax, int32_t rows, int32_t size,
                           const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_STOCK_MLTQ_STOCK_H_ */
