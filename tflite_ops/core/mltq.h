/* The operators of multi-level ternary layers: the one header that programs and adapters include.
 *
 * A packed layer is checked once, bound to the shapes of its tensors, and run any number of times:
 *
 *     mltq_layer_parse            reads and checks the bytes, which it refuses or can run
 *     mltq_layer_bind_shape       checks the shapes of the tensors
 *     mltq_layer_scratch_bytes    says how much memory a run needs besides them
 *     mltq_layer_eval_s8          runs it
 *
 * Nothing is allocated and nothing global changes: the caller has all memory. Whatever the bytes
 * were, nothing is read or written out of bounds. What can fail returns a status, for which there
 * is a text. */
#ifndef TFLITE_OPS_CORE_MLTQ_H_
#define TFLITE_OPS_CORE_MLTQ_H_

#include <stddef.h>
#include <stdint.h>

#include "mltq_layer.h"
#include "mltq_status.h"
#include "mltq_tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MLTQ_CONV_2D, MLTQ_DEPTHWISE_CONV_2D and MLTQ_FULLY_CONNECTED ------------------------------- */

/* Reads and checks all bytes of a packed tensor, which is aligned for uint32_t. `layer` points into
 * `packed` afterwards. `kind` is a MLTQ_KIND_*: that of the operator. */
MltqStatus mltq_layer_parse(const uint8_t* packed, size_t packed_bytes, uint8_t kind,
                            MltqLayer* layer);

/* Checks the tensor shapes against the layer and derives the padding. */
MltqStatus mltq_layer_bind_shape(const MltqLayer* layer, const int* input_dims, int input_rank,
                                 const int* output_dims, int output_rank, MltqShape* shape);

/* Scratch that mltq_layer_eval_s8 needs, in bytes. */
MltqStatus mltq_layer_scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes);

/* Runs the layer with the fastest kernel that takes it. `scratch` is aligned for int32_t; NULL
 * where it has no bytes. */
MltqStatus mltq_layer_eval_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                              int8_t* output, void* scratch);

/* MLTQ_LOOKUP: an elementwise function of int8 values, as a table of its 256 results ----------- */

#define MLTQ_LOOKUP_TABLE_SIZE 256

/* Whether the shapes fit each other. */
MltqStatus mltq_lookup_check(MltqTensorShape input, MltqTensorShape table, MltqTensorShape output);

/* Entry i of the table is the output for the input i - 128. Whatever the bytes of the table are, a
 * value is looked up within it. `output` may be `input`. */
void mltq_lookup_s8(const int8_t* table, int32_t size, const int8_t* input, int8_t* output);

/* What a status means for this operator. */
const char* mltq_lookup_message(MltqStatus status);

/* MLTQ_NORMALIZATION: mltq_normalization_format.h specifies it --------------------------------- */

/* Whether the operator can run. */
MltqStatus mltq_normalization_check(const uint8_t* packed, size_t packed_bytes,
                                    MltqTensorShape input, MltqTensorShape output);

/* `packed` has been checked. `output` may be `input`. */
void mltq_normalization_s8(const void* packed, const int8_t* input, int8_t* output);

/* What a status means for this operator. */
const char* mltq_normalization_message(MltqStatus status);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_H_ */
