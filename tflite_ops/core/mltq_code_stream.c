#include "mltq_code_stream.h"

#include <stddef.h>
#include <string.h>

#include "mltq_encodings.h"

static void init(MltqCodeStream* stream, const uint8_t* begin, uint8_t encoding, uint32_t rows,
                 uint32_t row_size) {
  memset(stream, 0, sizeof *stream);
  stream->encoding = encoding & MLTQ_ENCODING_MASK;
  stream->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  stream->row_size = row_size;
  stream->counts = begin;
  stream->cursor = begin;
  stream->row = begin;
  stream->trits = begin;
  mltq_encoding_start_stream(stream, rows);
}

void mltq_code_streams_init(const MltqLayer* layer, MltqCodeStream streams[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    init(&streams[level], layer->level_begin[level], layer->encoding[level], layer->output_channels,
         layer->row_size);
  }
}

/* Goes to the first entry of a sign. */
static void begin_sign(MltqCodeStream* stream, bool negative) {
  stream->reading_negative = negative;
  stream->position = 0;
  mltq_encoding_begin_sign(stream);
}

void mltq_code_stream_begin_row(MltqCodeStream* stream) {
  begin_sign(stream, false);
  mltq_encoding_count(stream);
}

/* The state that the loops keep in registers. */
#define LOAD_STATE()              \
  uint32_t word = stream->word;   \
  uint32_t spare = stream->spare; \
  const uint8_t* cursor = stream->cursor;
#define STORE_STATE()    \
  stream->word = word;   \
  stream->spare = spare; \
  stream->cursor = cursor;

/* The entries of both signs, with one copy of the loop. */
#define READ_RUN(READ)                     \
  for (;;) {                               \
    READ(*list++ = table[-1], list != end) \
    if (begin_negative) {                  \
      begin_negative = false;              \
      table = first;                       \
      begin_sign(stream, true);            \
    }                                      \
    if (end == last) break;                \
    end = last;                            \
  }

static uint32_t at_most_one_lane(uint32_t count) {
  return count < MLTQ_MAX_LANE_ENTRIES ? count : MLTQ_MAX_LANE_ENTRIES;
}

void mltq_code_stream_read_run(MltqCodeStream* stream, const uint16_t* first, uint16_t* list,
                               MltqRun* run) {
  const uint16_t* table = first + stream->position;
  run->list = list;
  run->positive = at_most_one_lane(stream->positive);
  stream->positive -= run->positive;
  /* Negative entries follow once all positive ones have been read. */
  run->negative = stream->positive == 0 ? at_most_one_lane(stream->negative) : 0u;
  stream->negative -= run->negative;
  bool begin_negative = stream->positive == 0 && !stream->reading_negative;
  const uint16_t* end = list + run->positive;
  const uint16_t* last = end + run->negative;
  LOAD_STATE()
  MLTQ_FOR_ENCODING(READ_RUN)
  STORE_STATE()
  stream->position = (uint32_t)(table - first);
}

#define READ_SUM(READ)                          \
  for (;;) {                                    \
    READ(sum += table[-1]; count--, count != 0) \
    sum = -sum;                                 \
    if (stream->reading_negative) break;        \
    begin_sign(stream, true);                   \
    table = first;                              \
    count = stream->negative;                   \
  }

void mltq_code_stream_add_rows(MltqCodeStream* stream, const int8_t* first, int32_t zero_point,
                               const uint8_t* multipliers, size_t step, uint32_t rows,
                               int32_t* accumulators) {
  LOAD_STATE()
  for (; rows > 0; rows--, multipliers += step) {
    mltq_code_stream_begin_row(stream);
    const int8_t* table = first;
    uint32_t count = stream->positive;
    int32_t sum = 0;
    MLTQ_FOR_ENCODING(READ_SUM)
    sum -= zero_point * ((int32_t)stream->positive - (int32_t)stream->negative);
    *accumulators++ += (int16_t)(uint16_t)(multipliers[0] | (uint32_t)multipliers[1] << 8) * sum;
  }
}
