#include "mltq_stock.h"

static void product(const MltqMatmul* matmul, const int8_t* first, const int8_t* second,
                    int8_t* output) {
  for (int32_t row = 0; row < matmul->rows; row++) {
    for (int32_t column = 0; column < matmul->columns; column++) {
      const int8_t* a = first + row * matmul->row_stride;
      const int8_t* b = second + column * matmul->column_stride;
      int32_t sum = 0;
      for (int32_t i = 0; i < matmul->depth; i++) {
        sum += (*a + matmul->offset[0]) * (*b + matmul->offset[1]);
        a += matmul->depth_stride[0];
        b += matmul->depth_stride[1];
      }
      *output++ =
          mltq_clamp_s8(mltq_fixed_point_multiply(sum, matmul->factor) + matmul->output_offset,
                        INT8_MIN, INT8_MAX);
    }
  }
}

void mltq_stock_batch_matmul_s8(const MltqMatmul* parameters, const int8_t* first,
                                const int8_t* second, int8_t* output) {
  const int32_t* size = parameters->batch_size;
  const int32_t* step = parameters->batch_stride[0];
  const int32_t* other_step = parameters->batch_stride[1];
  for (int32_t i = 0; i < size[0]; i++) {
    for (int32_t j = 0; j < size[1]; j++) {
      for (int32_t k = 0; k < size[2]; k++) {
        product(parameters, first + i * step[0] + j * step[1] + k * step[2],
                second + i * other_step[0] + j * other_step[1] + k * other_step[2], output);
        output += parameters->rows * parameters->columns;
      }
    }
  }
}
