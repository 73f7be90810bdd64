/* The part of TensorFlow Lite Micro's C interface that the adapter uses, in the
 * TF_LITE_STATIC_MEMORY layout, which is asserted. */
#ifndef TFLITE_OPS_TFLM_TFLM_DECLARATIONS_H_
#define TFLITE_OPS_TFLM_TFLM_DECLARATIONS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteUInt8 = 3, kTfLiteInt8 = 9 } TfLiteType;

typedef struct {
  int size;
  int data[];
} TfLiteIntArray;

typedef union {
  void* data;
  const int8_t* int8;
  const uint8_t* uint8;
} TfLitePtrUnion;

typedef struct {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
} TfLiteEvalTensor;

typedef struct {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
} TfLiteNode;

typedef struct TfLiteContext {
  size_t tensors_size;
  void (*GetExecutionPlan)(void);
  void* tensors;
  void* impl_;
  void (*ResizeTensor)(void);
  void (*ReportError)(struct TfLiteContext* context, const char* format, ...);
  void (*AddTensors)(void);
  void (*GetNodeAndRegistration)(void);
  void (*ReplaceNodeSubsetsWithDelegateKernels)(void);
  int recommended_num_threads;
  void (*GetExternalContext)(void);
  void (*SetExternalContext)(void);
  bool allow_fp32_relax_to_fp16;
  void* profiler;
  void* (*AllocatePersistentBuffer)(struct TfLiteContext* context, size_t bytes);
  void (*AllocateBufferForEval)(void);
  TfLiteStatus (*RequestScratchBufferInArena)(struct TfLiteContext* context, size_t bytes,
                                              int* buffer_index);
  void* (*GetScratchBuffer)(struct TfLiteContext* context, int buffer_index);
  void (*ResizeTensorExplicit)(void);
  void (*PreviewDelegatePartitioning)(void);
  void (*GetTensor)(void);
  TfLiteEvalTensor* (*GetEvalTensor)(const struct TfLiteContext* context, int tensor_index);
} TfLiteContext;

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

#ifdef __LP64__
typedef char
    MltqTflmContextLayout[offsetof(TfLiteContext, ReportError) == 40 &&
                                  offsetof(TfLiteContext, AllocatePersistentBuffer) == 112 &&
                                  offsetof(TfLiteContext, RequestScratchBufferInArena) == 128 &&
                                  offsetof(TfLiteContext, GetScratchBuffer) == 136 &&
                                  offsetof(TfLiteContext, GetEvalTensor) == 168
                              ? 1
                              : -1];
typedef char MltqTflmEvalTensorLayout[sizeof(TfLiteEvalTensor) == 24 ? 1 : -1];
typedef char MltqTflmNodeLayout[offsetof(TfLiteNode, user_data) == 24 ? 1 : -1];
typedef char MltqTflmRegistrationLayout[sizeof(struct TFLMRegistration) == 56 ? 1 : -1];
#endif

#endif /* TFLITE_OPS_TFLM_TFLM_DECLARATIONS_H_ */
