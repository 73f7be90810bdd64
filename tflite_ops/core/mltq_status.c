#include "mltq_status.h"

const char* mltq_status_message(MltqStatus status) {
  switch (status) {
    case MLTQ_OK:
      return "ok";
    case MLTQ_ERROR_TRUNCATED:
      return "packed tensor: shorter than its header and channel tables";
    case MLTQ_ERROR_ALIGNMENT:
      return "packed tensor: must start at a multiple of 4 bytes in memory";
    case MLTQ_ERROR_MAGIC:
      return "packed tensor: bad magic";
    case MLTQ_ERROR_VERSION:
      return "packed tensor: unsupported version; use the library that matches the converter";
    case MLTQ_ERROR_KIND:
      return "packed tensor: kind does not match this operator";
    case MLTQ_ERROR_LEVELS:
      return "packed tensor: levels must be 1 to 4";
    case MLTQ_ERROR_ACTIVATION_LEVELS:
      return "packed tensor: activation_levels or an activation table is out of range";
    case MLTQ_ERROR_ENCODING:
      return "packed tensor: encoding is unknown";
    case MLTQ_ERROR_BITWISE:
      return "packed tensor: encoding is bits, which need activation levels and no depthwise "
             "filter";
    case MLTQ_ERROR_INDICES:
      return "packed tensor: encoding is byte indices, which only fully connected layers may have";
    case MLTQ_ERROR_MIXED:
      return "packed tensor: encoding is bits, or byte indices, in some levels and not in others";
    case MLTQ_ERROR_LEVEL_OFFSETS:
      return "packed tensor: level_offsets must ascend in multiples of 4 bytes";
    case MLTQ_ERROR_TOTAL_BYTES:
      return "packed tensor: total_bytes differs from the tensor size";
    case MLTQ_ERROR_CHANNELS:
      return "packed tensor: input_channels or output_channels is out of range";
    case MLTQ_ERROR_FILTER:
      return "packed tensor: filter_h or filter_w is out of range";
    case MLTQ_ERROR_STRIDE:
      return "packed tensor: stride_h and stride_w must not be 0";
    case MLTQ_ERROR_DILATION:
      return "packed tensor: dilation_h or dilation_w is out of range";
    case MLTQ_ERROR_PADDING:
      return "packed tensor: padding must be VALID or SAME";
    case MLTQ_ERROR_ACTIVATION_RANGE:
      return "packed tensor: activation_min exceeds activation_max";
    case MLTQ_ERROR_SHIFT:
      return "packed tensor: shift exceeds 24";
    case MLTQ_ERROR_PLANES:
      return "packed tensor: planes do not decode to the rows of the filter";
    case MLTQ_ERROR_ACCUMULATOR:
      return "packed tensor: multipliers and bias can overflow 32 bits";
    case MLTQ_ERROR_INPUT_SHAPE:
      return "input tensor: shape does not match the packed filter";
    case MLTQ_ERROR_OUTPUT_SHAPE:
      return "output tensor: shape does not match the input and the packed filter";
    case MLTQ_ERROR_SCRATCH:
      return "scratch: exceeds that of the generated code; export the model again with "
             "this version";
    case MLTQ_ERROR_KERNEL:
      return "layer: this program has no kernel for it";
    case MLTQ_ERROR_TENSOR_TYPE:
      return "tensors: input and output must be int8 and the packed planes uint8";
    case MLTQ_ERROR_TENSOR_COUNT:
      return "tensors: expected two inputs and one output";
    case MLTQ_ERROR_NOT_CONSTANT:
      return "packed tensor: must be constant";
    default:
      break;
  }
  return "unknown status";
}
