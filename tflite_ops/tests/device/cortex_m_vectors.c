/* The two entries that a Cortex-M reads at reset: newlib's semihosting start-up does the rest. */
#include <stdint.h>

extern uint32_t __stack;
extern void _start(void);

typedef void (*Handler)(void);

static void fault(void) {
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const struct {
  uint32_t* stack;
  Handler reset;
  Handler faults[14];
} kVectors = {&__stack, _start, {fault, fault, fault, fault}};
