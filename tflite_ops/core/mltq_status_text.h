/* Texts that an operator has of its own for some statuses. */
#ifndef TFLITE_OPS_CORE_MLTQ_STATUS_TEXT_H_
#define TFLITE_OPS_CORE_MLTQ_STATUS_TEXT_H_

#include <stddef.h>

#include "mltq_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  MltqStatus status;
  const char* text;
} MltqStatusText;

/* The text of a status: one of `count`, or mltq_status_message. */
const char* mltq_status_text(const MltqStatusText* texts, size_t count, MltqStatus status);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_STATUS_TEXT_H_ */
