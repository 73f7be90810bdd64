/* How far a level has been read, in any of the encodings. */
#ifndef TFLITE_OPS_CORE_MLTQ_READING_H_
#define TFLITE_OPS_CORE_MLTQ_READING_H_

#include <stdbool.h>
#include <stdint.h>

#include "mltq_machine_word.h"

#ifdef __cplusplus
extern "C" {
#endif

/* With checks: see mltq_plane_reader.h. */
typedef struct {
  const uint8_t* counts;  /* gap codes: counts of the next row */
  const uint8_t* cursor;  /* next byte to read */
  const uint8_t* end;     /* one past the last byte of the level */
  uint32_t row_size;      /* entries in a row */
  uint32_t position;      /* entries of this row already passed */
  uint32_t positive;      /* gap codes: positive entries of this row not yet read */
  uint32_t negative;      /* gap codes: negative entries of this row not yet read */
  uint32_t bits;          /* gap codes: the machine word being read; trits: the byte being read; bit
                             planes: entries of the machine word being read that are not zero */
  uint32_t signs;         /* bit planes: its negative entries */
  uint32_t words;         /* bit planes: machine words of the row already read */
  const uint8_t* present; /* bit planes: which machine words of this row are stored */
  uint8_t left;           /* codes or trits of it not yet read */
  uint8_t encoding;       /* without the width of its counts */
  uint8_t count_bits;     /* gap codes: width of a count */
  bool counting_negative; /* gap codes: the positive entries of this row have been read */
  bool valid;             /* false once the bytes broke a rule of the format */
} MltqPlaneReader;

/* The next machine word, or 0 at the end of the level. */
static inline uint32_t mltq_take_machine_word(MltqPlaneReader* reader) {
  if (reader->end - reader->cursor < MLTQ_MACHINE_WORD_BYTES) {
    reader->valid = false;
    return 0;
  }
  const uint32_t word = mltq_load_machine_word(reader->cursor);
  reader->cursor += MLTQ_MACHINE_WORD_BYTES;
  return word;
}

/* Without checks: see mltq_code_stream.h. */
typedef struct {
  const uint8_t* counts; /* of the next row */
  const uint8_t* cursor; /* next machine word, or next row of trits */
  uint32_t word;         /* machine word that is being read */
  uint32_t slot;         /* codes of it already read, or their bits where these are not unrolled */
  uint32_t spare;        /* 32 * slot modulo encoding */
  uint32_t row_size;
  uint32_t positive; /* entries of this row that are not yet read */
  uint32_t negative;
  uint32_t position;    /* elements of the table that have been passed */
  const uint8_t* row;   /* trits: first byte of this row */
  const uint8_t* trits; /* trits: next byte of it for the sign that is read */
  uint8_t trit_bits;    /* trits: the byte that is being read */
  uint8_t trits_left;   /* trits: of it */
  uint8_t encoding;     /* without the width of its counts; gap codes: codes to a machine word */
  uint8_t code_bits;    /* 32 / encoding, rounded down */
  uint8_t spare_bits;   /* and the remainder */
  uint8_t count_bits;
  bool reading_negative;
} MltqCodeStream;

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_OPS_CORE_MLTQ_READING_H_ */
