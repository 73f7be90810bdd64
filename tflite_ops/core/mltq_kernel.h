/* A kernel: which layers it takes, the scratch that it needs and how it runs.
 *
 * Every kernel is one constant of this type, named as its file; mltq_kernels.c lists them. */
#ifndef TFLITE_OPS_CORE_MLTQ_KERNEL_H_
#define TFLITE_OPS_CORE_MLTQ_KERNEL_H_

#include "mltq_layer.h"
#include "mltq_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLTQ_TAKES_CONV_2D (1u << MLTQ_KIND_CONV_2D)
#define MLTQ_TAKES_DEPTHWISE_CONV_2D (1u << MLTQ_KIND_DEPTHWISE_CONV_2D)
#define MLTQ_TAKES_FULLY_CONNECTED (1u << MLTQ_KIND_FULLY_CONNECTED)
#define MLTQ_TAKES_ALL_KINDS \
  (MLTQ_TAKES_CONV_2D | MLTQ_TAKES_DEPTHWISE_CONV_2D | MLTQ_TAKES_FULLY_CONNECTED)

/* Both functions return MLTQ_ERROR_KERNEL, and do nothing else, for the same layers: those that are
 * too large for the kernel. */
typedef struct {
  uint8_t kinds;  /* MLTQ_TAKES_* */
  uint8_t planes; /* MLTQ_PLANES_*: how the planes may be stored */
  /* Scratch of a call, in bytes. */
  MltqStatus (*scratch_bytes)(const MltqLayer* layer, const MltqShape* shape, size_t* bytes);
  /* `scratch` is aligned for int32_t. */
  MltqStatus (*run)(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                    int8_t* output, void* scratch);
} MltqKernel;

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_KERNEL_H_ */
