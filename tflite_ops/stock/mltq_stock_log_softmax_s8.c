#include "mltq_gemmlowp.h"

#define LOG_BITS 6 /* the logarithm is Q6 while it is made, and Q5 in the end */
#define OUTPUT_BITS 4

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

/* log(x) as Q5 for x >= 1, Q12. With x = 2^k * r, it is k * log(2) + log(r); of two choices of k, a
 * quarter apart in effect, the one whose r is nearer to sqrt(sqrt(1/2)) counts, around which log(r)
 * is a quotient of polynomials. */
static int32_t log_of_sum(int32_t x) {
  const int32_t log_2 = 1488522236;
  const int32_t fourth_root = 1805811301; /* sqrt(sqrt(1/2)) */
  const int32_t root = 1518500250;        /* sqrt(1/2) */
  const int32_t quarter = INT32_C(1) << (31 - LOG_BITS - 2);
  const int zeros = mltq_gemmlowp_leading_zeros((uint32_t)x);
  const int32_t whole = mltq_gemmlowp_shift_left(x, zeros - 1);
  const int32_t first = mltq_gemmlowp_shift_left(mltq_fixed_point_high_product(whole, root), 1);
  const int32_t first_power = (MLTQ_SUM_BITS - zeros) * (INT32_C(1) << (31 - LOG_BITS)) + quarter;
  const int32_t scaled = mltq_fixed_point_high_product(x, root);
  const int room = mltq_gemmlowp_leading_zeros((uint32_t)scaled) - 1;
  const int32_t second = mltq_gemmlowp_shift_left(x, room);
  const int32_t second_power = (MLTQ_SUM_BITS - room) * (INT32_C(1) << (31 - LOG_BITS)) - quarter;
  const int32_t r = smaller(first, second);
  const int32_t power = larger(first_power, second_power);

  const int32_t middle = (int32_t)(((int64_t)r + fourth_root + 1) / 2);
  const int32_t q = 2 * (r - fourth_root);
  const int32_t q2 = mltq_fixed_point_high_product(q, q);
  const int32_t numerator =
      mltq_fixed_point_high_product(q, r) +
      mltq_fixed_point_high_product(mltq_fixed_point_high_product(q, q2), 117049297);
  const int32_t slope = 1057819769 + q + mltq_fixed_point_high_product(127690142, q2);
  const int32_t denominator = mltq_fixed_point_high_product(middle, slope) +
                              mltq_fixed_point_high_product(638450708, q); /* less 1 */
  const int32_t quotient =
      mltq_fixed_point_high_product(mltq_fixed_point_divide(numerator, LOG_BITS),
                                    mltq_gemmlowp_reciprocal_of_one_plus(denominator));
  return mltq_gemmlowp_shift_left(mltq_fixed_point_high_product(power, log_2) + quotient, 1);
}

static void log_softmax_row(const MltqLogSoftmax* softmax, int32_t size, const int8_t* input,
                            int8_t* output) {
  int32_t largest = INT8_MIN;
  for (int32_t i = 0; i < size; i++) largest = larger(largest, input[i]);
  int32_t sum = 0;
  for (int32_t i = 0; i < size; i++) {
    const int32_t difference = input[i] - largest;
    if (difference < softmax->smallest_difference) continue;
    const int32_t scaled = mltq_fixed_point_multiply(difference, softmax->beta);
    sum += mltq_fixed_point_divide(mltq_gemmlowp_exp(scaled), MLTQ_SUM_BITS);
  }
  const int32_t log = log_of_sum(sum);
  /* Below this, the difference less the logarithm would not fit into 32 bits. */
  const int32_t least = larger(softmax->smallest_difference - 1,
                               mltq_fixed_point_multiply(INT32_MIN + log, softmax->inverse_beta));
  for (int32_t i = 0; i < size; i++) {
    const int32_t difference = input[i] - largest;
    output[i] = INT8_MIN;
    if (difference <= least) continue;
    const int32_t scaled = mltq_fixed_point_multiply(difference, softmax->beta);
    const int32_t value =
        mltq_fixed_point_divide(scaled - log, 31 - MLTQ_DIFFERENCE_BITS - OUTPUT_BITS);
    output[i] = mltq_clamp_s8(value + INT8_MAX, INT8_MIN, INT8_MAX);
  }
}

void mltq_stock_log_softmax_s8(const MltqLogSoftmax* softmax, int32_t rows, int32_t size,
                               const int8_t* input, int8_t* output) {
  for (int32_t row = 0; row < rows; row++) {
    log_softmax_row(softmax, size, input, output);
    input += size;
    output += size;
  }
}
