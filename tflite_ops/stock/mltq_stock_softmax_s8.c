#include "mltq_gemmlowp.h"

static void softmax_row(const MltqSoftmax* softmax, int32_t size, const int8_t* input,
                        int8_t* output) {
  int32_t largest = INT8_MIN;
  for (int32_t i = 0; i < size; i++) {
    if (input[i] > largest) largest = input[i];
  }
  int32_t sum = 0;
  for (int32_t i = 0; i < size; i++) {
    const int32_t difference = input[i] - largest;
    if (difference < softmax->smallest_difference) continue;
    const int32_t scaled = mltq_fixed_point_multiply(difference, softmax->beta);
    sum += mltq_fixed_point_divide(mltq_gemmlowp_exp(scaled), MLTQ_SUM_BITS);
  }
  const int zeros = mltq_gemmlowp_leading_zeros((uint32_t)sum);
  const int32_t fraction = (int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31));
  const int32_t reciprocal = mltq_gemmlowp_reciprocal_of_one_plus(fraction);
  const int exponent = MLTQ_SUM_BITS - zeros + 31 - 8;
  for (int32_t i = 0; i < size; i++) {
    const int32_t difference = input[i] - largest;
    output[i] = INT8_MIN;
    if (difference < softmax->smallest_difference) continue;
    const int32_t scaled = mltq_fixed_point_multiply(difference, softmax->beta);
    const int32_t value = mltq_fixed_point_divide(
        mltq_fixed_point_high_product(reciprocal, mltq_gemmlowp_exp(scaled)), exponent);
    output[i] = mltq_clamp_s8(value + INT8_MIN, INT8_MIN, INT8_MAX);
  }
}

void mltq_stock_softmax_s8(const MltqSoftmax* softmax, int32_t rows, int32_t size,
                           const int8_t* input, int8_t* output) {
  for (int32_t row = 0; row < rows; row++) {
    softmax_row(softmax, size, input, output);
    input += size;
    output += size;
  }
}
