/* The kernels of a program, which evaluation walks; NULL ends a table. */
#ifndef TFLITE_OPS_CORE_MLTQ_KERNELS_H_
#define TFLITE_OPS_CORE_MLTQ_KERNELS_H_

#include "mltq_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first that takes a layer runs it. */
extern const MltqKernel* const mltq_kernels[];

/* Those that are the oracle of the others, for tests; exported projects have no such table. */
extern const MltqKernel* const mltq_reference_kernels[];

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_KERNELS_H_ */
