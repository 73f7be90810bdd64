#include "mltq_stock.h"

/* 2^16 times the sigmoid of i / 24, as TensorFlow Lite rounds it. */
static const uint16_t sigmoids[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794,
    41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443,
    48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374,
    54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544,
    58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279,
    61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990,
    63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030,
    64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652,
    64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019,
    65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234,
    65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360,
    65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
    65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476,
    65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501,
    65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
    65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532,
    65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
    65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535};

/* value / 2^bits, rounded down. */
static int32_t floor_shift(int32_t value, int32_t bits) {
  return value >= 0 ? value >> bits : -((-value + (INT32_C(1) << bits) - 1) >> bits);
}

/* 2^(16 + bits) times the sigmoid of magnitude / (24 * 2^bits), between entries of the table. */
static int32_t sigmoid_between(int32_t magnitude, int bits, int32_t at_the_end) {
  const int32_t entry = magnitude >> bits;
  if (entry >= 255) return at_the_end;
  const int32_t part = magnitude & ((INT32_C(1) << bits) - 1);
  return sigmoids[entry] * (INT32_C(1) << bits) + part * (sigmoids[entry + 1] - sigmoids[entry]);
}

/* Of a multiple of 2^-12, as a multiple of 2^-15. */
static int32_t sigmoid(int32_t value) {
  const int32_t scaled = value * 3; /* of 1 / (24 * 2^9) */
  const int32_t one = INT32_C(1) << 25;
  const int32_t found = sigmoid_between(scaled < 0 ? -scaled : scaled, 9, INT32_C(0x7FFF) << 10);
  return (scaled >= 0 ? found + 512 : one - found + 511) >> 10;
}

/* Of a multiple of 1 / (12 * 2^10), as a multiple of 2^-15: twice the sigmoid of twice the value,
 * less 1. */
static int32_t tanh_of(int32_t scaled) {
  const int32_t one = INT32_C(1) << 23;
  const int32_t found = sigmoid_between(scaled < 0 ? -scaled : scaled, 8, INT32_C(0xFFFF) << 8);
  return floor_shift(scaled >= 0 ? found - one + 128 : one - found + 127, 8);
}

static int32_t clamp_s16(int32_t value) {
  if (value < INT16_MIN) return INT16_MIN;
  return value > INT16_MAX ? INT16_MAX : value;
}

static int32_t row_sum(int32_t size, const int8_t* filter, const int8_t* values, int32_t offset) {
  int32_t sum = 0;
  for (int32_t i = 0; i < size; i++) sum += filter[i] * (values[i] + offset);
  return sum;
}

/* The sums of a gate for one unit, a multiple of 2^-12. */
static int32_t gate_sum(const MltqLstm* lstm, const MltqLstmGate* gate, int32_t unit,
                        const int8_t* input, const int8_t* hidden) {
  const int32_t of_input =
      gate->biases[unit] +
      row_sum(lstm->inputs, gate->input_filter + unit * lstm->inputs, input, lstm->input_offset);
  const int32_t of_hidden = row_sum(lstm->units, gate->hidden_filter + unit * lstm->units, hidden,
                                    -lstm->hidden_zero_point);
  return clamp_s16(clamp_s16(mltq_fixed_point_multiply(of_input, gate->input_factor)) +
                   clamp_s16(mltq_fixed_point_multiply(of_hidden, gate->hidden_factor)));
}

static int32_t product_s16(int32_t first, int32_t second, MltqFixedPoint factor) {
  return clamp_s16(mltq_fixed_point_multiply(first * second, factor));
}

/* One step of one unit: what the cell keeps and takes, and what it gives. */
static int8_t step_unit(const MltqLstm* lstm, int32_t unit, const int8_t* input,
                        const int8_t* hidden, int16_t* cell) {
  const int32_t keep = sigmoid(gate_sum(lstm, lstm->forget_gate, unit, input, hidden));
  const int32_t take = sigmoid(gate_sum(lstm, lstm->input_gate, unit, input, hidden));
  const int32_t candidate = tanh_of(3 * gate_sum(lstm, lstm->cell_gate, unit, input, hidden));
  const int32_t give = sigmoid(gate_sum(lstm, lstm->output_gate, unit, input, hidden));
  *cell = (int16_t)clamp_s16(product_s16(keep, *cell, lstm->keep_factor) +
                             product_s16(take, candidate, lstm->take_factor));
  const int32_t half = (INT32_C(1) << lstm->cell_shift) >> 1;
  const int32_t scaled = floor_shift(*cell * lstm->cell_multiplier + half, lstm->cell_shift);
  const int32_t value = mltq_fixed_point_multiply(tanh_of(scaled) * give, lstm->give_factor);
  return mltq_clamp_s8(value + lstm->hidden_zero_point, INT8_MIN, INT8_MAX);
}

void mltq_stock_lstm_s8(const MltqLstm* lstm, const int8_t* input, int8_t* hidden, int16_t* cell,
                        int8_t* output) {
  /* Every unit of a step reads the hidden state of the step before, which is its output. */
  const int8_t* before = hidden;
  for (int32_t step = 0; step < lstm->steps; step++) {
    for (int32_t unit = 0; unit < lstm->units; unit++) {
      output[unit] = step_unit(lstm, unit, input, before, cell + unit);
    }
    before = output;
    input += lstm->inputs;
    output += lstm->units;
  }
  for (int32_t unit = 0; unit < lstm->units; unit++) hidden[unit] = before[unit];
}
