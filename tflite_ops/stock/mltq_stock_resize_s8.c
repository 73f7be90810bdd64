#include "mltq_stock.h"

void mltq_stock_resize_nearest_neighbor_s8(const MltqResize* resize, const uint16_t* rows,
                                           const uint16_t* columns, const int8_t* input,
                                           int8_t* output) {
  const int32_t row_size = resize->input_w * resize->channels;
  for (int32_t batch = 0; batch < resize->batches; batch++) {
    for (int32_t y = 0; y < resize->output_h; y++) {
      for (int32_t x = 0; x < resize->output_w; x++) {
        const int8_t* pixel = input + rows[y] * row_size + columns[x] * resize->channels;
        for (int32_t i = 0; i < resize->channels; i++) *output++ = pixel[i];
      }
    }
    input += resize->input_h * row_size;
  }
}

/* Of four pixels, with weights of 1 / 2^20; halves away from zero. */
static int8_t blend(const int8_t* input, const int32_t at[4], const int32_t weights[4]) {
  int32_t sum = 0;
  for (int i = 0; i < 4; i++) sum += input[at[i]] * weights[i];
  const int32_t half = INT32_C(1) << 19;
  return (int8_t)((sum + (sum > 0 ? half : -half)) / (INT32_C(1) << 20));
}

void mltq_stock_resize_bilinear_s8(const MltqResize* resize, const MltqBetween* rows,
                                   const MltqBetween* columns, const int8_t* input,
                                   int8_t* output) {
  const int32_t one = 1024;
  const int32_t channels = resize->channels;
  const int32_t row_size = resize->input_w * channels;
  for (int32_t batch = 0; batch < resize->batches; batch++) {
    for (int32_t y = 0; y < resize->output_h; y++) {
      const MltqBetween row = rows[y];
      for (int32_t x = 0; x < resize->output_w; x++) {
        const MltqBetween column = columns[x];
        const int32_t at[4] = {row.lower * row_size + column.lower * channels,
                               row.upper * row_size + column.lower * channels,
                               row.lower * row_size + column.upper * channels,
                               row.upper * row_size + column.upper * channels};
        const int32_t weights[4] = {(one - row.part) * (one - column.part),
                                    row.part * (one - column.part), (one - row.part) * column.part,
                                    (int32_t)row.part * column.part};
        for (int32_t i = 0; i < channels; i++) *output++ = blend(input + i, at, weights);
      }
    }
    input += resize->input_h * row_size;
  }
}
