#include "mltq_stock.h"

void mltq_stock_fully_connected_s8(int32_t rows, int32_t inputs, int32_t outputs,
                                   const MltqWeights* weights, const int8_t* input,
                                   int8_t* output) {
  for (int32_t row = 0; row < rows; row++, input += inputs) {
    const int8_t* filter = weights->filter;
    for (int32_t channel = 0; channel < outputs; channel++, filter += inputs) {
      int32_t sum = weights->biases != NULL ? weights->biases[channel] : 0;
      for (int32_t i = 0; i < inputs; i++) {
        sum += filter[i] * (input[i] + weights->input_offset);
      }
      const MltqFixedPoint factor = weights->factors[(size_t)channel * weights->factor_step];
      *output++ = mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + weights->output_offset,
                                weights->activation_min, weights->activation_max);
    }
  }
}
