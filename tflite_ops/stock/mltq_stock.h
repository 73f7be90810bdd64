/* The stock int8 operators that generated code needs beside ours: same results as TensorFlow Lite
 * Micro's reference kernels, byte for byte. Those named fast have conditions, and twins in plain
 * form without them. The exporter derives all fields; a test compares the operators with TensorFlow
 * Lite Micro.
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

/* As conv_2d, with a filter of input channels / groups: each group of output channels is made of
 * one of input channels. */
void mltq_stock_grouped_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                   int32_t groups, const int8_t* input, int8_t* output);

/* Weights whose sums fit into 30 bits and whose factors are below 1/2, which the kernels named fast
 * take; nearly all are. Rows of the filter are padded with zeros to a multiple of four, and the
 * last row by MLTQ_FAST_TAIL more. A bias holds the input zero point, times the sum of its row;
 * unsigned biases, for convolutions only, are those of inputs that are 128 larger. A factor is
 * multiplier / 2^31 / 2^shift, with a shift of 1 to 22; the nudge is a half and the output zero
 * point before the shift. */
#define MLTQ_FAST_ROW(size) (((size) + 3) & ~INT32_C(3))
#define MLTQ_FAST_TAIL 12
typedef struct {
  int32_t multiplier;
  int32_t nudge;
  int32_t shift;
} MltqFastFactor;

typedef struct {
  const int8_t* filter;
  const int32_t* biases;
  const int32_t* unsigned_biases;
  const MltqFastFactor* factors;
  size_t factor_step;
  int32_t input_zero_point;
  int32_t activation_min;
  int32_t activation_max;
} MltqFastWeights;

/* As conv_2d; `scratch` has 5 * MLTQ_FAST_ROW(values of a row of the filter) + 48 bytes, aligned
 * for words. */
void mltq_stock_conv_2d_fast_s8(const MltqWindow* window, const MltqFastWeights* weights,
                                const int8_t* input, int8_t* output, int8_t* scratch);

/* As those above: depthwise with as many channels of the output as of the input, and a filter that
 * is not padded; both with at least four outputs. */
void mltq_stock_depthwise_conv_2d_fast_s8(const MltqWindow* window, const MltqFastWeights* weights,
                                          const int8_t* input, int8_t* output);
void mltq_stock_fully_connected_fast_s8(int32_t rows, int32_t inputs, int32_t outputs,
                                        const MltqFastWeights* weights, const int8_t* input,
                                        int8_t* output);

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

/* output = clamp((factor[0] * x + factor[1] * x' + offset) >> shift), of int8 values as they are:
 * what the exporter finds to be the same as ADD for all of them, and without overflow. */
typedef struct {
  int32_t factor[2];
  int32_t offset;
  int32_t shift;
  int32_t activation_min;
  int32_t activation_max;
} MltqFastAdd;

void mltq_stock_add_fast_s8(const MltqFastAdd* add, int32_t size, const int8_t* first,
                            const int8_t* second, int8_t* output);

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

/* The logarithm of softmax of every row. `inverse_beta` is 1 / beta. The output has the scale 2^-4
 * and the zero point 127. */
typedef struct {
  MltqFixedPoint beta;
  MltqFixedPoint inverse_beta;
  int32_t smallest_difference;
} MltqLogSoftmax;

void mltq_stock_log_softmax_s8(const MltqLogSoftmax* softmax, int32_t rows, int32_t size,
                               const int8_t* input, int8_t* output);

/* Two inputs, each with one value where the output has several: sizes of the output, and how far
 * the next value of an input is, outermost first; 0 where an input has one value. */
#define MLTQ_BROADCAST_RANK 4
typedef struct {
  int32_t size[MLTQ_BROADCAST_RANK];
  int32_t stride[2][MLTQ_BROADCAST_RANK];
} MltqBroadcast;

/* ADD and SUB of inputs with other shapes than the output. */
void mltq_stock_add_broadcast_s8(const MltqAdd* add, const MltqBroadcast* broadcast,
                                 const int8_t* first, const int8_t* second, int8_t* output);
void mltq_stock_sub_s8(const MltqAdd* add, const MltqBroadcast* broadcast, const int8_t* first,
                       const int8_t* second, int8_t* output);

/* The square of the difference of two inputs; as ADD, scaled to 2^-7 instead of 2^-20. */
void mltq_stock_squared_difference_s8(const MltqAdd* add, const MltqBroadcast* broadcast,
                                      const int8_t* first, const int8_t* second, int8_t* output);

/* output = clamp(factor * (x - z) * (x' - z') + output zero point) */
typedef struct {
  int32_t offset[2];
  MltqFixedPoint factor;
  int32_t output_offset;
  int32_t activation_min;
  int32_t activation_max;
} MltqMul;

void mltq_stock_mul_s8(const MltqMul* mul, const MltqBroadcast* broadcast, const int8_t* first,
                       const int8_t* second, int8_t* output);

/* Of the int8 values; all tensors have one scale. */
void mltq_stock_maximum_s8(const MltqBroadcast* broadcast, const int8_t* first,
                           const int8_t* second, int8_t* output);
void mltq_stock_minimum_s8(const MltqBroadcast* broadcast, const int8_t* first,
                           const int8_t* second, int8_t* output);

/* The second input is the slope of negative values. */
typedef struct {
  int32_t offset[2];
  MltqFixedPoint positive_factor;
  MltqFixedPoint negative_factor;
  int32_t output_offset;
} MltqPrelu;

void mltq_stock_prelu_s8(const MltqPrelu* prelu, const MltqBroadcast* broadcast,
                         const int8_t* input, const int8_t* slopes, int8_t* output);

/* Products of matrices: output (batch, rows, columns) = factor * sum over `depth` of (x - z) *
 * (x' - z') + output zero point. Strides say how far the next row, column or term is, and the next
 * matrix, 0 where an input has one for several; so either input may be transposed. */
#define MLTQ_MATMUL_RANK 3
typedef struct {
  int32_t batch_size[MLTQ_MATMUL_RANK];
  int32_t batch_stride[2][MLTQ_MATMUL_RANK];
  int32_t rows;
  int32_t columns;
  int32_t depth;
  int32_t row_stride;
  int32_t column_stride;
  int32_t depth_stride[2];
  int32_t offset[2];
  MltqFixedPoint factor;
  int32_t output_offset;
} MltqMatmul;

void mltq_stock_batch_matmul_s8(const MltqMatmul* matmul, const int8_t* first, const int8_t* second,
                                int8_t* output);

/* A gate of an LSTM: filters (units, inputs) and (units, units) and biases, and factors that scale
 * the sums of inputs and of the hidden state to 2^-12. */
typedef struct {
  const int8_t* input_filter;
  const int8_t* hidden_filter;
  const int32_t* biases;
  MltqFixedPoint input_factor;
  MltqFixedPoint hidden_factor;
} MltqLstmGate;

/* Results of gates have the scale 2^-15, and the cell state one that is a power of two. It keeps
 * `keep_factor` of its product with the forget gate and takes `take_factor` of that of the input
 * and the cell gate; multiplied and shifted to the right, its scale is that of the table of tanh.
 */
typedef struct {
  int32_t steps;
  int32_t inputs;
  int32_t units;
  const MltqLstmGate* input_gate;
  const MltqLstmGate* forget_gate;
  const MltqLstmGate* cell_gate;
  const MltqLstmGate* output_gate;
  int32_t input_offset;
  int32_t hidden_zero_point;
  MltqFixedPoint keep_factor;
  MltqFixedPoint take_factor;
  MltqFixedPoint give_factor;
  int32_t cell_multiplier;
  int32_t cell_shift;
} MltqLstm;

/* Goes on from the states that it finds in `hidden` and `cell`, and leaves those after the last
 * step. The output is the hidden state after every step. */
void mltq_stock_lstm_s8(const MltqLstm* lstm, const int8_t* input, int8_t* hidden, int16_t* cell,
                        int8_t* output);

/* Every input position adds filter (output channels, filter_h, filter_w, input channels) to a
 * window of the output; otherwise as conv_2d. Dilation is 1. */
void mltq_stock_transpose_conv_2d_s8(const MltqWindow* window, const MltqWeights* weights,
                                     const int8_t* input, int8_t* output);

/* Axes that an output keeps, and axes that are reduced to one value: sizes, and how far the next
 * value of the input is, outermost first. */
#define MLTQ_REDUCE_RANK 3
typedef struct {
  int32_t kept_size[MLTQ_REDUCE_RANK];
  int32_t kept_stride[MLTQ_REDUCE_RANK];
  int32_t reduced_size[MLTQ_REDUCE_RANK];
  int32_t reduced_stride[MLTQ_REDUCE_RANK];
} MltqReduce;

/* SUM and MEAN: factor * (sum of x - z) + output zero point; the factor of MEAN divides by the
 * number of values. `sum_offset` is -z times that number. */
void mltq_stock_sum_s8(const MltqReduce* reduce, MltqFixedPoint factor, int32_t sum_offset,
                       int32_t output_offset, const int8_t* input, int8_t* output);
void mltq_stock_reduce_max_s8(const MltqReduce* reduce, const int8_t* input, int8_t* output);
void mltq_stock_reduce_min_s8(const MltqReduce* reduce, const int8_t* input, int8_t* output);

/* Values that move: sizes of the part that is copied, and how far the next value is in the input
 * and in the output, outermost first. Slices, transpositions and concatenations are such copies;
 * tensors begin at the first value. */
#define MLTQ_COPY_RANK 5
typedef struct {
  int32_t size[MLTQ_COPY_RANK];
  int32_t input_stride[MLTQ_COPY_RANK];
  int32_t output_stride[MLTQ_COPY_RANK];
  int32_t input_begin;
  int32_t output_begin;
} MltqCopy;

void mltq_stock_copy_s8(const MltqCopy* copy, const int8_t* input, int8_t* output);
void mltq_stock_fill_s8(int8_t value, int32_t size, int8_t* output);

/* Slices of an axis by their positions: input (batches, outer, size, inner), positions (batches,
 * positions). A position outside of the axis is taken for the nearest one inside. */
typedef struct {
  int32_t batches;
  int32_t outer;
  int32_t size;
  int32_t inner;
  int32_t positions;
} MltqGather;

void mltq_stock_gather_s8(const MltqGather* gather, const int32_t* positions, const int8_t* input,
                          int8_t* output);

/* Images whose height and width change; the rows and columns of the input for those of the output
 * come from the exporter, since TensorFlow Lite computes them in floating point. */
typedef struct {
  int32_t batches;
  int32_t input_h;
  int32_t input_w;
  int32_t output_h;
  int32_t output_w;
  int32_t channels;
} MltqResize;

void mltq_stock_resize_nearest_neighbor_s8(const MltqResize* resize, const uint16_t* rows,
                                           const uint16_t* columns, const int8_t* input,
                                           int8_t* output);

/* A place between two rows or columns: `part` / 1024 of the way from the lower to the upper. */
typedef struct {
  uint16_t lower;
  uint16_t upper;
  int16_t part;
} MltqBetween;

void mltq_stock_resize_bilinear_s8(const MltqResize* resize, const MltqBetween* rows,
                                   const MltqBetween* columns, const int8_t* input, int8_t* output);

/* Real values to int8, halves away from zero, and back. */
void mltq_stock_quantize_s8(float scale, int32_t zero_point, int32_t size, const float* input,
                            int8_t* output);
void mltq_stock_dequantize_s8(float scale, int32_t zero_point, int32_t size, const int8_t* input,
                              float* output);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_STOCK_MLTQ_STOCK_H_ */
