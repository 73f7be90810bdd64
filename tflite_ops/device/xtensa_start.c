/* What a program needs on the Xtensa simulator: a reset vector, calls of the simulator, and the
 * arithmetic that the chip has in its ROM and Debian's libgcc leaves out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void);
void mltq_reset(void);

/* The code at the reset vector sets the stack and goes on in main memory. */
__asm__(
    ".section .reset, \"ax\"\n"
    ".global mltq_reset\n"
    ".align 4\n"
    "mltq_reset:\n"
    "j 1f\n"
    ".align 4\n"
    "2: .word __stack\n"
    "3: .word mltq_start\n"
    "1:\n"
    "l32r a1, 2b\n"
    "l32r a0, 3b\n"
    "jx a0\n"
    ".previous\n");

enum { SIMCALL_EXIT = 1, SIMCALL_WRITE = 4 };

static int simcall(int number, int a, const void* b, int c) {
  register int a2 __asm__("a2") = number;
  register int a3 __asm__("a3") = a;
  register const void* a4 __asm__("a4") = b;
  register int a5 __asm__("a5") = c;
  __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
  return a2;
}

__attribute__((noreturn)) void _exit(int status) {
  simcall(SIMCALL_EXIT, status, NULL, 0);
  for (;;) {
  }
}

__attribute__((used)) static void mltq_start(void) { exit(main()); }
__asm__(".global mltq_start");

static int put(char c, FILE* file) {
  (void)file;
  simcall(SIMCALL_WRITE, 1, &c, 1);
  return c;
}

static FILE console = FDEV_SETUP_STREAM(put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE* const stdout = &console;
FILE* const stderr = &console;

uint64_t __umulsidi3(uint32_t a, uint32_t b);
uint64_t __muldi3(uint64_t a, uint64_t b);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);
int64_t __divdi3(int64_t a, int64_t b);
int64_t __moddi3(int64_t a, int64_t b);
uint32_t __udivsi3(uint32_t a, uint32_t b);
uint32_t __umodsi3(uint32_t a, uint32_t b);
int32_t __divsi3(int32_t a, int32_t b);

uint64_t __umulsidi3(uint32_t a, uint32_t b) {
  const uint32_t a0 = (uint16_t)a, a1 = a >> 16;
  const uint32_t b0 = (uint16_t)b, b1 = b >> 16;
  const uint32_t middle = a1 * b0 + (a0 * b0 >> 16);
  const uint32_t other = a0 * b1 + (uint16_t)middle;
  const uint32_t high = a1 * b1 + (middle >> 16) + (other >> 16);
  return (uint64_t)high << 32 | a * b;
}

uint64_t __muldi3(uint64_t a, uint64_t b) {
  const uint32_t a0 = (uint32_t)a, b0 = (uint32_t)b;
  const uint32_t cross = (uint32_t)(a >> 32) * b0 + a0 * (uint32_t)(b >> 32);
  return __umulsidi3(a0, b0) + ((uint64_t)cross << 32);
}

/* Long division, bit by bit: the quotient moves into `a` and the remainder out of it. */
#define DIVIDE(type, bits)                          \
  type remainder = 0;                               \
  for (int i = 0; i < (bits); i++) {                \
    remainder = remainder << 1 | a >> ((bits) - 1); \
    a <<= 1;                                        \
    if (remainder >= b) {                           \
      remainder -= b;                               \
      a |= 1;                                       \
    }                                               \
  }

uint64_t __udivdi3(uint64_t a, uint64_t b) {
  DIVIDE(uint64_t, 64)
  return a;
}

uint64_t __umoddi3(uint64_t a, uint64_t b) {
  DIVIDE(uint64_t, 64)
  return remainder;
}

uint32_t __udivsi3(uint32_t a, uint32_t b) {
  DIVIDE(uint32_t, 32)
  return a;
}

uint32_t __umodsi3(uint32_t a, uint32_t b) {
  DIVIDE(uint32_t, 32)
  return remainder;
}

static uint64_t magnitude(int64_t a) { return a < 0 ? 0u - (uint64_t)a : (uint64_t)a; }

int64_t __divdi3(int64_t a, int64_t b) {
  const uint64_t quotient = __udivdi3(magnitude(a), magnitude(b));
  return (int64_t)((a < 0) != (b < 0) ? 0u - quotient : quotient);
}

int64_t __moddi3(int64_t a, int64_t b) {
  const uint64_t remainder = __umoddi3(magnitude(a), magnitude(b));
  return (int64_t)(a < 0 ? 0u - remainder : remainder);
}

int32_t __divsi3(int32_t a, int32_t b) {
  const uint32_t quotient = __udivsi3((uint32_t)magnitude(a), (uint32_t)magnitude(b));
  return (int32_t)((a < 0) != (b < 0) ? 0u - quotient : quotient);
}
