/* Kernels that take no layer. In an exported project, a file of this folder takes the place of the
 * file of the same name in core/, where no layer of the model runs on its kernel; one that came all
 * the same would run on the reference kernel. */
#ifndef TFLITE_OPS_LEFT_OUT_MLTQ_LEFT_OUT_H_
#define TFLITE_OPS_LEFT_OUT_MLTQ_LEFT_OUT_H_

#include "mltq_kernels.h"

#define MLTQ_LEFT_OUT(kernel)                                                                      \
  size_t kernel##_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {                  \
    (void)layer;                                                                                   \
    (void)shape;                                                                                   \
    return 0u;                                                                                     \
  }                                                                                                \
  void kernel(const MltqLayer* layer, const MltqShape* shape, const int8_t* input, int8_t* output, \
              void* scratch) {                                                                     \
    (void)layer;                                                                                   \
    (void)shape;                                                                                   \
    (void)input;                                                                                   \
    (void)output;                                                                                  \
    (void)scratch;                                                                                 \
  }

#endif /* TFLITE_OPS_LEFT_OUT_MLTQ_LEFT_OUT_H_ */
