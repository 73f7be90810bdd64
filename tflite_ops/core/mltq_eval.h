/* Chooses a kernel and runs it: what mltq_layer_scratch_bytes and mltq_layer_eval_s8 do, with any
 * table of kernels. */
#ifndef TFLITE_OPS_CORE_MLTQ_EVAL_H_
#define TFLITE_OPS_CORE_MLTQ_EVAL_H_

#include "mltq_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

MltqStatus mltq_scratch_bytes_with(const MltqKernel* const* kernels, const MltqLayer* layer,
                                   const MltqShape* shape, size_t* bytes);

MltqStatus mltq_eval_s8_with(const MltqKernel* const* kernels, const MltqLayer* layer,
                             const MltqShape* shape, const int8_t* input, int8_t* output,
                             void* scratch);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_EVAL_H_ */
