/* The part of LiteRT's (TensorFlow Lite's) C interface that the delegate uses.
 *
 * No Python package ships the headers, so the structures are declared here, with their layout
 * asserted. They have been the same from TensorFlow 2.9 on.
 */
#ifndef TFLITE_OPS_LITERT_LITERT_ABI_H_
#define TFLITE_OPS_LITERT_LITERT_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteInt32 = 2, kTfLiteUInt8 = 3, kTfLiteInt8 = 9 } TfLiteType;
typedef enum { kTfLiteMmapRo = 1 } TfLiteAllocationType;

enum { kTfLiteBuiltinFullyConnected = 9, kTfLiteBuiltinCustom = 32, kTfLiteBuiltinDelegate = 51 };
enum { kTfLiteAffineQuantization = 1 };
enum { kTfLiteDelegateFlagsAllowDynamicTensors = 1 };

typedef struct {
  int size;
  int data[];
} TfLiteIntArray;

typedef struct {
  int size;
  float data[];
} TfLiteFloatArray;

typedef struct {
  float scale;
  int32_t zero_point;
} TfLiteQuantizationParams;

typedef struct {
  TfLiteFloatArray* scale;
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
} TfLiteAffineQuantization;

/* Complete, although few fields are used: the runtime keeps its tensors in an array. */
typedef struct {
  TfLiteType type;
  void* data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
  TfLiteAllocationType allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct {
    int type;
    void* params;
  } quantization;
  void* sparsity;
  const TfLiteIntArray* dims_signature;
} TfLiteTensor;

typedef struct {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  TfLiteIntArray* temporaries;
  void* user_data;
  void* builtin_data;
} TfLiteNode;

/* The first field of TfLiteFullyConnectedParams is all that is read of it. */
typedef struct {
  int activation;
} TfLiteFullyConnectedParams;

struct TfLiteContext;
struct TfLiteDelegate;

typedef struct TfLiteRegistration {
  void* (*init)(struct TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(struct TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(struct TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(struct TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const struct TfLiteContext* context, const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* (*async_kernel)(struct TfLiteContext* context, TfLiteNode* node);
  uint64_t inplace_operator;
} TfLiteRegistration;

typedef struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(struct TfLiteContext* context, TfLiteIntArray** plan);
  TfLiteTensor* tensors;
  void* impl_;
  void (*ResizeTensor)(void);
  void (*ReportError)(struct TfLiteContext* context, const char* format, ...);
  void (*AddTensors)(void);
  TfLiteStatus (*GetNodeAndRegistration)(struct TfLiteContext* context, int node_index,
                                         TfLiteNode** node, TfLiteRegistration** registration);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(struct TfLiteContext* context,
                                                        TfLiteRegistration registration,
                                                        const TfLiteIntArray* nodes_to_replace,
                                                        struct TfLiteDelegate* delegate);
} TfLiteContext;

typedef struct {
  struct TfLiteDelegate* delegate;
  TfLiteIntArray* nodes_to_replace;
  TfLiteIntArray* input_tensors;
  TfLiteIntArray* output_tensors;
} TfLiteDelegateParams;

typedef struct TfLiteDelegate {
  void* data_;
  TfLiteStatus (*Prepare)(TfLiteContext* context, struct TfLiteDelegate* delegate);
  void (*CopyFromBufferHandle)(void);
  void (*CopyToBufferHandle)(void);
  void (*FreeBufferHandle)(void);
  int64_t flags;
  void* opaque_delegate_builder;
} TfLiteDelegate;

#ifdef __LP64__
typedef char MltqLiteRtContextLayout[offsetof(TfLiteContext, tensors) == 16 &&
                                             offsetof(TfLiteContext, ReportError) == 40 &&
                                             offsetof(TfLiteContext,
                                                      ReplaceNodeSubsetsWithDelegateKernels) == 64
                                         ? 1
                                         : -1];
typedef char MltqLiteRtTensorLayout[sizeof(TfLiteTensor) == 112 ? 1 : -1];
typedef char MltqLiteRtRegistrationLayout[sizeof(TfLiteRegistration) == 88 ? 1 : -1];
typedef char MltqLiteRtDelegateLayout[sizeof(TfLiteDelegate) == 56 ? 1 : -1];
#endif

#endif /* TFLITE_OPS_LITERT_LITERT_ABI_H_ */
