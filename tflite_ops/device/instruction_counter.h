/* Instructions executed so far, on the emulated boards of tools/device_benchmark.py.
 *
 * QEMU runs with -icount, so that its timers advance with the instructions: the counts are exact
 * and the same on every host. MLTQ_TICKS of a counter are MLTQ_INSTRUCTIONS: their ratio is the
 * board's clock times the time that an instruction takes there. */
#ifndef TFLITE_OPS_DEVICE_INSTRUCTION_COUNTER_H_
#define TFLITE_OPS_DEVICE_INSTRUCTION_COUNTER_H_

#include <stdint.h>

static inline void write_register(uint32_t address, uint32_t value) {
  *(volatile uint32_t*)(uintptr_t)address = value;
}

static inline uint32_t read_register(uint32_t address) {
  return *(volatile uint32_t*)(uintptr_t)address;
}

#if defined(__riscv)

#define MLTQ_TICKS 1
#define MLTQ_INSTRUCTIONS 1
static inline void counter_start(void) {}
static inline uint32_t counter_ticks(void) {
  uint32_t value;
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop"
                   : "=r"(value));
  return value;
}

#elif defined(__XTENSA__)

/* 40 MHz, 256 ns an instruction. */
#define MLTQ_TICKS 256
#define MLTQ_INSTRUCTIONS 25
static inline void counter_start(void) {}
static inline uint32_t counter_ticks(void) {
  uint32_t value;
  __asm__ volatile("rsr.ccount %0" : "=r"(value));
  return value;
}

#elif defined(MLTQ_BOARD_MPS3_AN547)

/* SysTick, 24 bits: counts down at 32 MHz, 32 ns an instruction. Its exception, when it reaches 0,
 * counts the rounds. */
#define MLTQ_TICKS 128
#define MLTQ_INSTRUCTIONS 125
extern volatile uint32_t mltq_systick_rounds; /* cortex_m_start.c */
static inline void counter_start(void) {
  write_register(0xE000E014u, 0xFFFFFFu);
  write_register(0xE000E018u, 0u);
  write_register(0xE000E010u, 7u);
}
static inline uint32_t counter_ticks(void) {
  for (;;) {
    const uint32_t rounds = mltq_systick_rounds;
    const uint32_t ticks = (0u - read_register(0xE000E018u)) & 0xFFFFFFu;
    if (rounds == mltq_systick_rounds) return (rounds << 24) + ticks;
  }
}

#else

/* CMSDK timer 0: counts down, 256 ns an instruction. */
#if defined(MLTQ_BOARD_MPS2_AN505)
#define MLTQ_TIMER 0x50000000u
#define MLTQ_TICKS 128
#define MLTQ_INSTRUCTIONS 25
#else
#define MLTQ_TIMER 0x40000000u
#define MLTQ_TICKS 32
#define MLTQ_INSTRUCTIONS 5
#endif
static inline void counter_start(void) {
  write_register(MLTQ_TIMER + 8u, 0xFFFFFFFFu);
  write_register(MLTQ_TIMER + 4u, 0xFFFFFFFFu);
  write_register(MLTQ_TIMER, 1u);
}
static inline uint32_t counter_ticks(void) { return 0u - read_register(MLTQ_TIMER + 4u); }

#endif

#endif /* TFLITE_OPS_DEVICE_INSTRUCTION_COUNTER_H_ */
