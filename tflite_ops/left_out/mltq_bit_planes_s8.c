/* Takes the place of core/mltq_bit_planes_s8.c where no layer needs it:
 * this bitwise kernel takes no layer; one that came all the same would run on the reference kernel.
 */
#include "mltq_kernels.h"

size_t mltq_bit_planes_s8_scratch_bytes(const MltqLayer* layer, const MltqShape* shape) {
  (void)layer;
  (void)shape;
  return 0u;
}

void mltq_bit_planes_s8(const MltqLayer* layer, const MltqShape* shape, const int8_t* input,
                        int8_t* output, void* scratch) {
  (void)layer;
  (void)shape;
  (void)input;
  (void)output;
  (void)scratch;
}
