/* Four outputs at a time, which share the loads of the input. */
#include <string.h>

#include "../core/mltq_compiler.h"
#include "mltq_requantize.h"

#define TOGETHER 4

#if MLTQ_HELIUM
#include <arm_mve.h>

/* Adds the products of one input and of four rows of the filter, `row` apart, to the sums. */
static inline void multiply(const int8_t* input, int32_t inputs, const int8_t* filter, int32_t row,
                            int32_t sums[TOGETHER]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int8_t* of_b = filter + row;
  const int8_t* of_c = of_b + row;
  const int8_t* of_d = of_c + row;
  for (; inputs > 0; inputs -= 16) {
    const int8x16_t x = vldrbq_z_s8(input, vctp8q((uint32_t)inputs));
    input += 16;
    a = vmladavaq_s8(a, x, vldrbq_s8(filter));
    filter += 16;
    b = vmladavaq_s8(b, x, vldrbq_s8(of_b));
    of_b += 16;
    c = vmladavaq_s8(c, x, vldrbq_s8(of_c));
    of_c += 16;
    d = vmladavaq_s8(d, x, vldrbq_s8(of_d));
    of_d += 16;
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(MLTQ_PORTABLE)
#include <arm_acle.h>

typedef struct {
  int16x2_t even;
  int16x2_t odd;
} FourValues;

static inline FourValues widen(const int8_t* from) {
  int8x4_t word;
  FourValues values;
  memcpy(&word, from, 4);
  values.even = __sxtb16(word);
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(values.odd) : "r"(word));
  return values;
}

static inline int32_t add_products(int32_t sum, FourValues x, const int8_t* weights) {
  const FourValues w = widen(weights);
  return __smlad(w.odd, x.odd, __smlad(w.even, x.even, sum));
}

/* As above. The rows are padded; the input is not. */
static inline void multiply(const int8_t* input, int32_t inputs, const int8_t* filter, int32_t row,
                            int32_t sums[TOGETHER]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int8_t* of_c = filter + 2 * row;
  const int8_t* end = input + (inputs & ~INT32_C(3));
  for (; input != end; input += 4, filter += 4, of_c += 4) {
    const FourValues x = widen(input);
    a = add_products(a, x, filter);
    MLTQ_IN_ORDER();
    b = add_products(b, x, filter + row);
    MLTQ_IN_ORDER();
    c = add_products(c, x, of_c);
    MLTQ_IN_ORDER();
    d = add_products(d, x, of_c + row);
    MLTQ_IN_ORDER();
  }
  if ((inputs & 3) != 0) {
    int8_t rest[4] = {0, 0, 0, 0};
    for (int32_t i = 0; i < (inputs & 3); i++) rest[i] = input[i];
    const FourValues x = widen(rest);
    a = add_products(a, x, filter);
    b = add_products(b, x, filter + row);
    c = add_products(c, x, of_c);
    d = add_products(d, x, of_c + row);
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

#else

static inline void multiply(const int8_t* input, int32_t inputs, const int8_t* filter, int32_t row,
                            int32_t sums[TOGETHER]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int8_t* of_b = filter + row;
  const int8_t* of_c = of_b + row;
  const int8_t* of_d = of_c + row;
  for (int32_t i = 0; i < inputs; i++) {
    const int32_t x = input[i];
    a += x * filter[i];
    b += x * of_b[i];
    MLTQ_IN_ORDER();
    c += x * of_c[i];
    d += x * of_d[i];
    MLTQ_IN_ORDER();
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

#endif

/* Where four do not divide the outputs, some of the last are made once more. */
void mltq_stock_fully_connected_fast_s8(int32_t rows, int32_t inputs, int32_t outputs,
                                        const MltqFastWeights* weights, const int8_t* input,
                                        int8_t* output) {
  const int32_t row = MLTQ_FAST_ROW(inputs);
  int8_t* to = output;
  for (int32_t i = 0; i < rows; i++, input += inputs, to += outputs) {
    for (int32_t next = 0; next < outputs; next += TOGETHER) {
      const int32_t first = next < outputs - TOGETHER ? next : outputs - TOGETHER;
      int32_t sums[TOGETHER] = {0, 0, 0, 0};
      multiply(input, inputs, weights->filter + first * row, row, sums);
      for (int32_t j = 0; j < TOGETHER; j++) {
        const int32_t channel = first + j;
        const MltqFastFactor* factor = weights->factors + (size_t)channel * weights->factor_step;
        to[channel] = mltq_requantize_sum(*factor, weights->biases[channel] + sums[j]);
      }
    }
  }
  mltq_clamp_range_s8(weights->activation_min, weights->activation_max, rows * outputs, output);
}
