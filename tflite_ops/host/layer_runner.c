/* One call that checks and runs a packed layer: for Python, which tests the core through it. */
#include <stdlib.h>

#include "../core/mltq.h"
#include "../core/mltq_eval.h"

/* Returns a MltqStatus, or -1 when memory ran out. The shapes are those of the tensors. `reference`
 * chooses the reference kernels. */
__attribute__((visibility("default"))) int MltqRunLayer(const uint8_t* packed, size_t packed_bytes,
                                                        uint8_t kind, const int* input_dims,
                                                        int input_rank, const int* output_dims,
                                                        int output_rank, const int8_t* input,
                                                        int8_t* output, int reference) {
  MltqLayer layer;
  MltqShape shape;
  MltqStatus status = mltq_layer_parse(packed, packed_bytes, kind, &layer);
  if (status != MLTQ_OK) return (int)status;
  status = mltq_layer_bind_shape(&layer, input_dims, input_rank, output_dims, output_rank, &shape);
  if (status != MLTQ_OK) return (int)status;
  const MltqKernel* const* kernels = reference ? mltq_reference_kernels : mltq_kernels;
  size_t scratch_bytes = 0;
  status = mltq_scratch_bytes_with(kernels, &layer, &shape, &scratch_bytes);
  if (status != MLTQ_OK) return (int)status;
  void* scratch = malloc(1 + scratch_bytes);
  if (scratch == NULL) return -1;
  status = mltq_eval_s8_with(kernels, &layer, &shape, input, output, scratch);
  free(scratch);
  return (int)status;
}

__attribute__((visibility("default"))) const char* MltqStatusMessage(int status) {
  return mltq_status_message((MltqStatus)status);
}
