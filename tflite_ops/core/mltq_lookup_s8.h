/* MLTQ_LOOKUP: an elementwise function of int8 values, as a table of its 256 results.
 *
 * Entry i is the output for the input i - 128. Whatever the bytes of the table are, a value is
 * looked up within it. */
#ifndef TFLITE_OPS_CORE_MLTQ_LOOKUP_S8_H_
#define TFLITE_OPS_CORE_MLTQ_LOOKUP_S8_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_LOOKUP_TABLE_SIZE 256

/* `output` may be `input`. */
void mltq_lookup_s8(const int8_t* table, int32_t size, const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_LOOKUP_S8_H_ */
