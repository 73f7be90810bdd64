#include "mltq_stock.h"

/* The two innermost axes. */
static void copy_plane(const MltqCopy* copy, const int8_t* input, int8_t* output) {
  const int32_t* size = copy->size + MLTQ_COPY_RANK - 2;
  const int32_t* input_stride = copy->input_stride + MLTQ_COPY_RANK - 2;
  const int32_t* output_stride = copy->output_stride + MLTQ_COPY_RANK - 2;
  for (int32_t i = 0; i < size[0]; i++) {
    for (int32_t j = 0; j < size[1]; j++) {
      output[j * output_stride[1]] = input[j * input_stride[1]];
    }
    input += input_stride[0];
    output += output_stride[0];
  }
}

void mltq_stock_copy_s8(const MltqCopy* copy, const int8_t* input, int8_t* output) {
  const int32_t* size = copy->size;
  const int32_t* from = copy->input_stride;
  const int32_t* to = copy->output_stride;
  input += copy->input_begin;
  output += copy->output_begin;
  for (int32_t i = 0; i < size[0]; i++) {
    for (int32_t j = 0; j < size[1]; j++) {
      for (int32_t k = 0; k < size[2]; k++) {
        copy_plane(copy, input + i * from[0] + j * from[1] + k * from[2],
                   output + i * to[0] + j * to[1] + k * to[2]);
      }
    }
  }
}

void mltq_stock_fill_s8(int8_t value, int32_t size, int8_t* output) {
  for (int32_t i = 0; i < size; i++) output[i] = value;
}
