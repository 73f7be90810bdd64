/* Adds the operators to the resolver of the tflite-micro Python wheel.
 *
 * The wheel looks a registerer up by name in the whole process and passes its resolver object. It
 * exports no C++ function to add an operator, so the registrations are appended in place: the
 * object is a vtable pointer, 200 registrations and the number of them in use. What is found is
 * checked first, so that another version of the wheel is refused instead of overwritten.
 */
#include <stdbool.h>
#include <string.h>

#include "../tflm/mltq_tflm.h"

#define RESOLVER_CAPACITY 200
#define ADDED_OPERATORS 5

typedef struct {
  const void* vtable;
  struct TFLMRegistration registrations[RESOLVER_CAPACITY];
  unsigned int length;
} PythonOpsResolver;

static bool looks_like_resolver(const PythonOpsResolver* resolver) {
  if (resolver == NULL || resolver->vtable == NULL) return false;
  if (resolver->length == 0 || resolver->length > RESOLVER_CAPACITY - ADDED_OPERATORS) return false;
  for (unsigned int i = 0; i < resolver->length; i++) {
    const struct TFLMRegistration* registration = &resolver->registrations[i];
    if (registration->builtin_code < 0 || registration->builtin_code > 1024 ||
        registration->invoke == NULL) {
      return false;
    }
  }
  return true;
}

__attribute__((visibility("default"))) bool MltqRegisterTflmPythonOps(void* object) {
  PythonOpsResolver* resolver = object;
  if (!looks_like_resolver(resolver)) return false;
  const struct TFLMRegistration* added[ADDED_OPERATORS] = {
      mltq_tflm_conv_2d(), mltq_tflm_depthwise_conv_2d(), mltq_tflm_fully_connected(),
      mltq_tflm_lookup(), mltq_tflm_normalization()};
  for (unsigned int i = 0; i < ADDED_OPERATORS; i++) {
    memcpy(&resolver->registrations[resolver->length++], added[i], sizeof(*added[i]));
  }
  return true;
}
