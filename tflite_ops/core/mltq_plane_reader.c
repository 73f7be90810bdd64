#include "mltq_plane_reader.h"

#include "mltq_encodings.h"

static void init(MltqPlaneReader* reader, const uint8_t* begin, const uint8_t* end,
                 uint8_t encoding, uint32_t rows, uint32_t row_size) {
  reader->counts = begin;
  reader->cursor = begin;
  reader->end = end;
  reader->row_size = row_size;
  reader->position = 0;
  reader->positive = 0;
  reader->negative = 0;
  reader->bits = 0;
  reader->signs = 0;
  reader->words = 0;
  reader->present = begin;
  reader->left = 0;
  reader->encoding = encoding & MLTQ_ENCODING_MASK;
  reader->count_bits = (uint8_t)(4u << (encoding >> MLTQ_COUNT_BITS_SHIFT));
  reader->counting_negative = false;
  reader->valid = mltq_encoding_start(reader, rows);
}

void mltq_plane_readers_init(const MltqLayer* layer, MltqPlaneReader readers[MLTQ_MAX_LEVELS]) {
  for (uint32_t level = 0; level < layer->levels; level++) {
    init(&readers[level], layer->level_begin[level], layer->level_end[level],
         layer->encoding[level], layer->output_channels, layer->row_size);
  }
}

void mltq_plane_reader_begin_row(MltqPlaneReader* reader) {
  reader->position = 0;
  if (reader->valid) mltq_encoding_begin_row(reader);
}

bool mltq_plane_reader_next(MltqPlaneReader* reader, uint32_t* index, int32_t* sign) {
  return reader->valid && mltq_encoding_next(reader, index, sign);
}
