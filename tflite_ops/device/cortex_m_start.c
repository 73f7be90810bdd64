/* What a Cortex-M needs before newlib's semihosting start-up, which does the rest. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t __stack;
extern char __end__[];
extern char __heap_end[];
extern void _start(void);
void* _sbrk(ptrdiff_t bytes);

typedef void (*Handler)(void);

static void fault(void) {
  for (;;) {
  }
}

/* For instruction_counter.h. */
extern volatile uint32_t mltq_systick_rounds;
volatile uint32_t mltq_systick_rounds = 0;

static void systick(void) { mltq_systick_rounds++; }

/* Helium instructions fault until coprocessors 10 and 11 are enabled. */
static void reset(void) {
#if defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t*)(uintptr_t)0xE000ED88u |= 0xF00000u;
  __asm__ volatile("dsb\nisb" ::: "memory");
#endif
  _start();
}

/* The heap is what the linker left free, less a stack. newlib would ask the emulator, which does
 * not know the memories of every board. */
void* _sbrk(ptrdiff_t bytes) {
  static char* top = __end__;
  if (bytes > __heap_end - top) return (void*)-1;
  char* start = top;
  top += bytes;
  return start;
}

__attribute__((section(".vectors"), used)) static const struct {
  uint32_t* stack;
  Handler reset;
  Handler faults[13];
  Handler systick;
} kVectors = {&__stack, reset, {fault, fault, fault, fault}, systick};
