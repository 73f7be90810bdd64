"""What the exporter finds out for the fast kernels of stock operators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmot_mltq.emulation.targets import TARGETS
from tfmot_mltq.export.affine_sum import affine_sum, sums_of_all
from tfmot_mltq.export.fast_weights import fast_weights, padded_filter
from tfmot_mltq.export.fixed_point import add_factors, fixed_point, multiply
from tfmot_mltq.helpers.c_sources import c_folder

VALUES = np.arange(-128, 128)
zero_points = st.integers(-128, 127)


def check_addition(zero_points, scales, output_zero_point, output_scale):
    """The short form of an addition, if any, against the long one, for all pairs of bytes."""
    factors = add_factors(scales, output_scale)
    found = affine_sum(zero_points, factors, output_zero_point)
    if found is None:
        return False
    sums = found.first * VALUES[:, None] + found.second * VALUES[None, :] + found.offset
    assert abs(found.offset) + 128 * (found.first + found.second) < 2**31
    expected = sums_of_all(zero_points, factors, output_zero_point)
    np.testing.assert_array_equal(
        np.clip(sums >> found.shift, -128, 127), np.clip(expected, -128, 127)
    )
    return True


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(zero_points, zero_points),
    st.tuples(st.floats(0.01, 0.1), st.floats(0.01, 0.1)),
    zero_points,
    st.floats(0.3, 1.5),
)
def test_the_short_form_of_an_addition_is_exact(zero_points, scales, output_zero_point, share):
    check_addition(zero_points, scales, output_zero_point, share * sum(scales))


def test_nearly_all_additions_have_a_short_form():
    rng = np.random.default_rng(0)
    found = [
        check_addition(
            tuple(rng.integers(-128, 128, 2).tolist()), scales := (*rng.uniform(0.01, 0.1, 2),),
            int(rng.integers(-128, 128)), rng.uniform(0.3, 1.5) * sum(scales),
        )
        for _ in range(50)
    ]  # fmt: skip
    assert sum(found) >= 49


@pytest.mark.parametrize(
    ("scales", "output_scale"),
    [((0.05, 0.05), 0.1), ((0.05, 0.05), 0.05), ((0.05, 0.025), 0.1), ((0.1, 0.001), 0.1)],
    ids=["halves", "whole steps", "quarters", "one is small"],
)
def test_ties_are_rounded_away_from_zero(scales, output_scale):
    assert check_addition((3, -7), scales, -11, output_scale)


def test_the_long_form_is_that_of_the_fixed_point():
    """``sums_of_all`` against integers without limits, one by one."""
    zeros, factors, zero = (5, -100), add_factors((0.05, 0.033), 0.06), 17
    found = sums_of_all(zeros, factors, zero)
    for x, y in np.random.default_rng(0).integers(-128, 128, (300, 2)).tolist():
        first = multiply((x - zeros[0]) << 20, factors[0])
        second = multiply((y - zeros[1]) << 20, factors[1])
        assert found[x + 128, y + 128] == multiply(first + second, factors[2]) + zero


def weights(rows, biases, scales, **changes):
    options = {
        "input_zero_point": -3, "output_zero_point": 9, "clamp": (-128, 127), "per_channel": True
    }  # fmt: skip
    factors = [fixed_point(scale) for scale in scales]
    return fast_weights(np.array(rows, np.int8), biases, factors, **{**options, **changes})


def test_rows_are_padded_and_biases_hold_the_zero_point():
    found = weights([[1, 2, 3, 4, 5], [-1, 0, 1, 0, 0]], [100, 200], [0.01, 0.02])
    assert padded_filter(found.rows) == [1, 2, 3, 4, 5, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, *[0] * 12]
    assert found.biases == [100 + 3 * 15, 200]
    assert found.unsigned_biases == [100 + 3 * 15 - 128 * 15, 200]
    for (multiplier, nudge, shift), scale in zip(found.factors, (0.01, 0.02), strict=True):
        assert multiplier / 2**31 / 2**shift == pytest.approx(scale)
        assert nudge == 9 * 2**shift + 2 ** (shift - 1)


def test_one_factor_for_all_stays_one_where_it_may():
    assert len(weights([[1], [2]], [0, 0], [0.01], per_channel=False).factors) == 1
    assert len(weights([[1], [2]], [0, 0], [0.01]).factors) == 2


def test_a_channel_of_one_value_has_no_weights():
    """Such as training leaves where weight decay has made a channel tiny."""
    found = weights([[1, 2], [127, -127]], [2**31 - 9999, 5], [50 / 2**31, 0.1])
    assert found.rows.tolist() == [[0, 0], [127, -127]]
    multiplier, nudge, shift = found.factors[0]
    product = (found.biases[0] * multiplier + 2**30) >> 31
    assert (product + nudge) >> shift == 50 + 9


@pytest.mark.parametrize(
    ("bias", "scale"), [(0, 0.5), (0, 3.0), (2**30, 0.01 / 2**20), (-(2**30), 1e-8)],
    ids=["a half", "more than one", "a large bias", "a negative bias"],
)  # fmt: skip
def test_what_the_kernels_do_not_take_is_refused_or_constant(bias, scale):
    found = weights([[100] * 9], [bias], [scale])
    if found is not None:
        lowest, highest = bias - 900 * 125, bias + 900 * 130
        values = {multiply(value, fixed_point(scale)) for value in (lowest, highest)}
        assert len(values) == 1
        assert not np.any(found.rows)
    else:
        assert scale >= 0.5


FIXED_POINT = r"""
#include <stdio.h>
#include "mltq_fixed_point.h"
static const int32_t kValues[] = {0, 1, -1, 2, -2, 0x7FFF, 0x8000, 0xFFFF, 0x10000, -0x8000,
  -0x8001, -0x10000, 0x3FFFFFFF, -0x3FFFFFFF, 0x40000000, -0x40000000, INT32_MAX, -INT32_MAX,
  INT32_MIN, 0x12345678, -0x12345678, 0x5A827999, -0x3FFF8000, 0x3FFF7FFF, 0x40008000};
static uint32_t state = 2463534242u;
static int32_t next(int i) {
  const int count = sizeof kValues / sizeof kValues[0];
  if (i < count * count) return kValues[i % count];
  state ^= state << 13; state ^= state >> 17; state ^= state << 5;
  return (int32_t)state >> (i % 20);
}
int main(void) {
  const int count = sizeof kValues / sizeof kValues[0];
  for (int i = 0; i < 5000; i++) {
    const int32_t a = next(i), b = i < count * count ? kValues[i / count] : next(i);
    const int64_t p = (int64_t)a * b;
    const int64_t nudge = p >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
    int32_t want = (int32_t)((p + nudge) / (INT64_C(1) << 31));
    if (a == INT32_MIN && b == INT32_MIN) want = INT32_MAX;
    if (mltq_fixed_point_high_product(a, b) != want) return printf("high %d\n", i);
    if (a > -0x40000000 && a < 0x40000000 && b >= 0 &&
        mltq_fixed_point_bounded_product(a, b) != want) return printf("bounded %d\n", i);
    for (int e = 0; e < 32; e++) {
      const int64_t size = a < 0 ? -(int64_t)a : a;
      const int64_t rounded = (size + ((INT64_C(1) << e) >> 1)) >> e;
      if (mltq_fixed_point_divide(a, e) != (a < 0 ? -rounded : rounded))
        return printf("divide %d by 2^%d\n", i, e);
    }
  }
  printf("ok\n");
  return 0;
}
"""


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m3", "cortex-m4", "rv32imc"])
def test_products_of_fixed_point_are_those_of_64_bits(target, tmp_path):
    """With a multiplication of 32 bits to 32, to 64, and SMMULR; as gemmlowp defines them."""
    source, program = tmp_path / "main.c", tmp_path / "main.elf"
    source.write_text(FIXED_POINT)
    flags = ["-O2", f"-I{c_folder('stock')}"]
    TARGETS[target].build([source], program, flags)
    assert TARGETS[target].run(program) == "ok\n"
