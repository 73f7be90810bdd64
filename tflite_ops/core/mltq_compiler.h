/* Requests to the compiler that change no result; nothing where it is not known. */
#ifndef TFLITE_OPS_CORE_MLTQ_COMPILER_H_
#define TFLITE_OPS_CORE_MLTQ_COMPILER_H_

#if defined(__GNUC__)
/* For loops that need all the registers that small cores have. */
#define MLTQ_NOINLINE __attribute__((noinline))
/* For a step that is smaller than a call, where compilers would share it all the same. */
#define MLTQ_INLINE inline __attribute__((always_inline))
/* Keeps what is in memory there: compilers would load more at once than there are registers. */
#define MLTQ_IN_ORDER() __asm__ volatile("" ::: "memory")
/* Keeps a variable from being computed or loaded again at every use. */
#define MLTQ_IN_REGISTER(variable) __asm__("" : "+r"(variable))
#define MLTQ_FALLTHROUGH __attribute__((fallthrough))
#define MLTQ_ASSUME_ALIGNED(pointer, bytes) __builtin_assume_aligned(pointer, bytes)
#else
#define MLTQ_NOINLINE
#define MLTQ_INLINE inline
#define MLTQ_IN_ORDER() ((void)0)
#define MLTQ_IN_REGISTER(variable) ((void)0)
#define MLTQ_FALLTHROUGH ((void)0)
#define MLTQ_ASSUME_ALIGNED(pointer, bytes) (pointer)
#endif

/* Whether inline assembly may use every register but the stack pointer. GCC lets it where it
 * optimises; without, and in Clang, one stays a frame or base pointer. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define MLTQ_ALL_REGISTERS 1
#else
#define MLTQ_ALL_REGISTERS 0
#endif

/* Whether the kernels use Helium, the vector extension of Cortex-M. */
#if defined(__ARM_FEATURE_MVE) && !defined(MLTQ_PORTABLE)
#define MLTQ_HELIUM 1
#else
#define MLTQ_HELIUM 0
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_COMPILER_H_ */
