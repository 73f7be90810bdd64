/* The table of an input or output with activation levels: what it makes of every int8 value. */
#ifndef TFLITE_OPS_CORE_MLTQ_ACTIVATION_H_
#define TFLITE_OPS_CORE_MLTQ_ACTIVATION_H_

#include <stdbool.h>
#include <stdint.h>

#include "mltq_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Checks a table; `largest` is the largest sum of its scales, and so the largest activation.
 * Returns false if the table is not one. */
bool mltq_activation_check(const uint8_t* table, uint32_t levels, int64_t* largest);

/* The sum of the levels of every int8 value x of a table, values[(uint8_t)x]. */
void mltq_activation_values(const uint8_t* table, uint32_t levels, int8_t values[256]);

/* What the kernels add for every int8 input x of a layer with activation levels:
 * values[(uint8_t)x]. Returns `values`, or NULL where the input is int8 as it is. */
const int8_t* mltq_layer_activation_values(const MltqLayer* layer, int8_t values[256]);

/* The levels of every int8 input x of a layer that has them, in cuts[(uint8_t)x]: bit 2k is set
 * where U[k] is not zero, bit 2k + 1 where it is negative. */
void mltq_layer_activation_cuts(const MltqLayer* layer, uint8_t cuts[256]);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_ACTIVATION_H_ */
