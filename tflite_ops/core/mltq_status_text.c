#include "mltq_status_text.h"

const char* mltq_status_text(const MltqStatusText* texts, size_t count, MltqStatus status) {
  for (; count > 0; count--, texts++) {
    if (texts->status == status) return texts->text;
  }
  return mltq_status_message(status);
}
