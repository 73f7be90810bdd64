#include "mltq_stock.h"

typedef int32_t (*Combine)(int32_t so_far, int32_t value);

static int32_t add(int32_t so_far, int32_t value) { return so_far + value; }

static int32_t larger(int32_t so_far, int32_t value) { return value > so_far ? value : so_far; }

static int32_t smaller(int32_t so_far, int32_t value) { return value < so_far ? value : so_far; }

/* All values of the reduced axes, from `input` on. */
static inline int32_t reduced(const MltqReduce* reduce, Combine combine, int32_t start,
                              const int8_t* input) {
  const int32_t* size = reduce->reduced_size;
  const int32_t* stride = reduce->reduced_stride;
  int32_t result = start;
  for (int32_t i = 0; i < size[0]; i++) {
    for (int32_t j = 0; j < size[1]; j++) {
      const int8_t* value = input + i * stride[0] + j * stride[1];
      for (int32_t k = 0; k < size[2]; k++) {
        result = combine(result, *value);
        value += stride[2];
      }
    }
  }
  return result;
}

/* The first value that output `index` is made of. */
static const int8_t* first_value(const MltqReduce* reduce, int32_t index, const int8_t* input) {
  for (int axis = MLTQ_REDUCE_RANK - 1; axis >= 0; axis--) {
    input += index % reduce->kept_size[axis] * reduce->kept_stride[axis];
    index /= reduce->kept_size[axis];
  }
  return input;
}

static int32_t output_size(const MltqReduce* reduce) {
  return reduce->kept_size[0] * reduce->kept_size[1] * reduce->kept_size[2];
}

void mltq_stock_sum_s8(const MltqReduce* reduce, MltqFixedPoint factor, int32_t sum_offset,
                       int32_t output_offset, const int8_t* input, int8_t* output) {
  const int32_t size = output_size(reduce);
  for (int32_t i = 0; i < size; i++) {
    const int32_t sum = reduced(reduce, add, sum_offset, first_value(reduce, i, input));
    output[i] =
        mltq_clamp_s8(mltq_fixed_point_multiply(sum, factor) + output_offset, INT8_MIN, INT8_MAX);
  }
}

void mltq_stock_reduce_max_s8(const MltqReduce* reduce, const int8_t* input, int8_t* output) {
  const int32_t size = output_size(reduce);
  for (int32_t i = 0; i < size; i++) {
    output[i] = (int8_t)reduced(reduce, larger, INT8_MIN, first_value(reduce, i, input));
  }
}

void mltq_stock_reduce_min_s8(const MltqReduce* reduce, const int8_t* input, int8_t* output) {
  const int32_t size = output_size(reduce);
  for (int32_t i = 0; i < size; i++) {
    output[i] = (int8_t)reduced(reduce, smaller, INT8_MAX, first_value(reduce, i, input));
  }
}
