#include <stdbool.h>

#include "mltq_stock.h"

/* The part of a window that is inside of the input. */
typedef struct {
  const int8_t* first;
  int32_t rows;
  int32_t columns;
} Inside;

/* Channels that go together. */
#define TOGETHER 4

/* Where fewer channels are left, those of neighbours are not read: the last one is, again. */
static inline void reduce(const MltqWindow* window, Inside inside, const bool mean,
                          const int32_t last, int32_t results[TOGETHER]) {
  const int32_t channels = window->input_channels;
  const int32_t second = last > 0 ? 1 : 0;
  const int32_t third = last > 1 ? 2 : second;
  const int32_t fourth = last > 2 ? 3 : third;
  const int32_t start = mean ? 0 : INT8_MIN;
  int32_t a = start, b = start, c = start, d = start;
  for (int32_t y = 0; y < inside.rows; y++) {
    const int8_t* values = inside.first + y * window->input_w * channels;
    for (int32_t x = 0; x < inside.columns; x++, values += channels) {
      const int32_t of_a = values[0];
      const int32_t of_b = values[second];
      const int32_t of_c = values[third];
      const int32_t of_d = values[fourth];
      if (mean) {
        a += of_a;
        b += of_b;
        c += of_c;
        d += of_d;
      } else {
        if (of_a > a) a = of_a;
        if (of_b > b) b = of_b;
        if (of_c > c) c = of_c;
        if (of_d > d) d = of_d;
      }
    }
  }
  results[0] = a;
  results[1] = b;
  results[2] = c;
  results[3] = d;
}

static inline int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t rounded_mean(int32_t sum, int32_t count) {
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static inline void pool_image(const MltqWindow* window, const bool mean, const int8_t* input,
                              int8_t* output, int32_t minimum, int32_t maximum) {
  const int32_t channels = window->input_channels;
  for (int32_t y = 0; y < window->output_h; y++) {
    const int32_t top = y * window->stride_h - window->pad_top;
    const int32_t row = larger(top, 0);
    const int32_t rows = smaller(top + window->filter_h, window->input_h) - row;
    for (int32_t x = 0; x < window->output_w; x++) {
      const int32_t left = x * window->stride_w - window->pad_left;
      const int32_t column = larger(left, 0);
      const int32_t columns = smaller(left + window->filter_w, window->input_w) - column;
      const int8_t* first = input + (row * window->input_w + column) * channels;
      const int32_t count = rows * columns;
      for (int32_t channel = 0; channel < channels; channel += TOGETHER) {
        const int32_t rest = smaller(channels - channel, TOGETHER);
        const Inside inside = {first + channel, rows, columns};
        int32_t results[TOGETHER];
        reduce(window, inside, mean, rest - 1, results);
        for (int32_t i = 0; i < rest; i++) {
          const int32_t value = mean ? rounded_mean(results[i], count) : results[i];
          *output++ = mltq_clamp_s8(value, minimum, maximum);
        }
      }
    }
  }
}

void mltq_stock_average_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                                   int32_t activation_min, int32_t activation_max) {
  pool_image(window, true, input, output, activation_min, activation_max);
}

void mltq_stock_max_pool_2d_s8(const MltqWindow* window, const int8_t* input, int8_t* output,
                               int32_t activation_min, int32_t activation_max) {
  pool_image(window, false, input, output, activation_min, activation_max);
}
