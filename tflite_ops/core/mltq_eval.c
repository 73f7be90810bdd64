#include "mltq_eval.h"

#include <stdbool.h>
#include <stddef.h>

#include "mltq.h"
#include "mltq_activation.h"

static bool takes(const MltqKernel* kernel, const MltqLayer* layer) {
  return ((uint32_t)kernel->kinds >> layer->kind & 1u) != 0u &&
         (kernel->planes & layer->planes) != 0u;
}

MltqStatus mltq_scratch_bytes_with(const MltqKernel* const* kernels, const MltqLayer* layer,
                                   const MltqShape* shape, size_t* bytes) {
  MltqStatus status = MLTQ_ERROR_KERNEL;
  for (; status == MLTQ_ERROR_KERNEL && *kernels != NULL; kernels++) {
    if (takes(*kernels, layer)) status = (*kernels)->scratch_bytes(layer, shape, bytes);
  }
  return status;
}

/* Puts the sums of levels in the place of the int8 values of an output that has levels. */
static void map_output(const MltqLayer* layer, const MltqShape* shape, int8_t* output) {
  int8_t values[256];
  mltq_activation_values(layer->output_activation_table, layer->output_levels, values);
  const int8_t* end = output + (size_t)shape->batches * (size_t)shape->output_h *
                                   (size_t)shape->output_w * layer->output_channels;
  for (; output != end; output++) *output = values[(uint8_t)*output];
}

MltqStatus mltq_eval_s8_with(const MltqKernel* const* kernels, const MltqLayer* layer,
                             const MltqShape* shape, const int8_t* input, int8_t* output,
                             void* scratch) {
  MltqStatus status = MLTQ_ERROR_KERNEL;
  for (; status == MLTQ_ERROR_KERNEL && *kernels != NULL; kernels++) {
    if (takes(*kernels, layer)) status = (*kernels)->run(layer, shape, input, output, scratch);
  }
  if (status == MLTQ_OK && layer->output_levels > 0) map_output(layer, shape, output);
  return status;
}

MltqStatus mltq_layer_scratch_bytes(const MltqLayer* layer, const MltqShape* shape, size_t* bytes) {
  return mltq_scratch_bytes_with(mltq_kernels, layer, shape, bytes);
}

MltqStatus mltq_layer_eval_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                              int8_t* output, void* scratch) {
  return mltq_eval_s8_with(mltq_kernels, layer, shape, input, output, scratch);
}
