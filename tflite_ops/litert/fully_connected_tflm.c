#include "fully_connected_tflm.h"

#include <math.h>

#include "../stock/mltq_fixed_point.h"

enum { kInput = 0, kFilter = 1, kBias = 2 };
enum { kActivationNone = 0, kActivationRelu = 1, kActivationReluN1To1 = 2, kActivationRelu6 = 3 };

static MltqFixedPoint to_fixed_point(double value) {
  MltqFixedPoint result = {0, 0};
  int shift;
  if (value == 0.0) return result;
  int64_t mantissa = (int64_t)round(frexp(value, &shift) * 2147483648.0);
  if (mantissa == INT64_C(1) << 31) {
    mantissa /= 2;
    shift++;
  }
  if (shift < -31) {
    shift = 0;
    mantissa = 0;
  }
  result.multiplier = (int32_t)mantissa;
  result.shift = shift;
  return result;
}

static const TfLiteTensor* input_tensor(const TfLiteContext* context, const TfLiteNode* node,
                                        int index) {
  if (index >= node->inputs->size || node->inputs->data[index] < 0) return NULL;
  return &context->tensors[node->inputs->data[index]];
}

bool mltq_is_int8_fully_connected(const TfLiteContext* context, const TfLiteNode* node,
                                  const TfLiteRegistration* registration) {
  if (registration->builtin_code != kTfLiteBuiltinFullyConnected || node->outputs->size != 1) {
    return false;
  }
  const TfLiteTensor* input = input_tensor(context, node, kInput);
  const TfLiteTensor* filter = input_tensor(context, node, kFilter);
  const TfLiteTensor* bias = input_tensor(context, node, kBias);
  return input != NULL && filter != NULL && input->type == kTfLiteInt8 &&
         filter->type == kTfLiteInt8 && (bias == NULL || bias->type == kTfLiteInt32) &&
         context->tensors[node->outputs->data[0]].type == kTfLiteInt8 &&
         filter->allocation_type == kTfLiteMmapRo && filter->dims->size == 2 &&
         filter->quantization.type == kTfLiteAffineQuantization;
}

static int32_t clamp_to_int8(double value) {
  if (value < -128.0) return -128;
  if (value > 127.0) return 127;
  return (int32_t)value;
}

static void activation_range(int activation, TfLiteQuantizationParams output, int32_t* low,
                             int32_t* high) {
  *low = -128;
  *high = 127;
  const double scale = (double)output.scale;
  if (activation == kActivationRelu || activation == kActivationRelu6) {
    *low = clamp_to_int8(output.zero_point);
  }
  if (activation == kActivationRelu6) {
    *high = clamp_to_int8(output.zero_point + round(6.0 / scale));
  }
  if (activation == kActivationReluN1To1) {
    *low = clamp_to_int8(output.zero_point + round(-1.0 / scale));
    *high = clamp_to_int8(output.zero_point + round(1.0 / scale));
  }
}

static MltqFixedPoint channel_factor(const TfLiteTensor* input, const TfLiteTensor* filter,
                                     const TfLiteTensor* output, int channel) {
  const TfLiteAffineQuantization* quantization = filter->quantization.params;
  if (quantization->scale->size > 1) {
    return to_fixed_point((double)input->params.scale * (double)quantization->scale->data[channel] /
                          (double)output->params.scale);
  }
  const float product = input->params.scale * filter->params.scale;
  return to_fixed_point((double)product / (double)output->params.scale);
}

TfLiteStatus mltq_fully_connected_tflm(TfLiteContext* context, const TfLiteNode* node,
                                       int activation) {
  const TfLiteTensor* input = input_tensor(context, node, kInput);
  const TfLiteTensor* filter = input_tensor(context, node, kFilter);
  const TfLiteTensor* bias = input_tensor(context, node, kBias);
  const TfLiteTensor* output = &context->tensors[node->outputs->data[0]];
  const int channels = filter->dims->data[0];
  const int depth = filter->dims->data[1];
  const size_t rows = input->bytes / (size_t)depth;
  int32_t low;
  int32_t high;
  if (output->data == NULL) return kTfLiteOk;
  if (input->data == NULL || output->bytes != rows * (size_t)channels) return kTfLiteError;
  activation_range(activation, output->params, &low, &high);

  const int8_t* weights = filter->data;
  const int32_t* biases = bias == NULL ? NULL : bias->data;
  for (int channel = 0; channel < channels; channel++) {
    const MltqFixedPoint factor = channel_factor(input, filter, output, channel);
    const int8_t* row_weights = weights + (size_t)channel * (size_t)depth;
    for (size_t row = 0; row < rows; row++) {
      const int8_t* values = (const int8_t*)input->data + row * (size_t)depth;
      int32_t sum = biases == NULL ? 0 : biases[channel];
      for (int i = 0; i < depth; i++) {
        sum += row_weights[i] * (values[i] - input->params.zero_point);
      }
      int32_t value = mltq_fixed_point_multiply(sum, factor) + output->params.zero_point;
      if (value < low) value = low;
      if (value > high) value = high;
      ((int8_t*)output->data)[row * (size_t)channels + (size_t)channel] = (int8_t)value;
    }
  }
  return kTfLiteOk;
}
