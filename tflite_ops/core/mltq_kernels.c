#include "mltq_kernels.h"

#include <stddef.h>

/* All kernels. An exported project has a file of this name with those that its layers run on. */

extern const MltqKernel mltq_bit_planes_s8;
extern const MltqKernel mltq_byte_indices_s8;
extern const MltqKernel mltq_conv_2d_s8;
extern const MltqKernel mltq_depthwise_conv_2d_s8;
extern const MltqKernel mltq_fully_connected_s8;
extern const MltqKernel mltq_conv_2d_reference;
extern const MltqKernel mltq_fully_connected_reference;

const MltqKernel* const mltq_kernels[] = {
    &mltq_bit_planes_s8,
    &mltq_byte_indices_s8,
    &mltq_conv_2d_s8,
    &mltq_depthwise_conv_2d_s8,
    &mltq_fully_connected_s8,
    &mltq_conv_2d_reference,
    &mltq_fully_connected_reference,
    NULL,
};

const MltqKernel* const mltq_reference_kernels[] = {
    &mltq_conv_2d_reference,
    &mltq_fully_connected_reference,
    NULL,
};
