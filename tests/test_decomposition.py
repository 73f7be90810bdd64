import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfmot_mltq.config import MAX_LEVELS, MultiLevelConfig
from tfmot_mltq.mathematics.decomposition import (
    check_finite,
    decompose,
    reconstruct,
    straight_through,
)

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=24),
    elements=st.floats(-100, 100, width=32),
)
specs = st.builds(
    MultiLevelConfig,
    levels=st.integers(1, MAX_LEVELS),
    kind=st.sampled_from(["ternary", "binary"]),
    threshold=st.sampled_from(["twn", "exact"]),
    per_channel=st.booleans(),
    refit=st.booleans(),
)


def squared_error(weights, spec):
    planes, scales = decompose(weights, spec)
    return np.sum((weights - reconstruct(planes, scales)) ** 2)


def slack(weights):
    return 1e-9 * (1 + np.sum(weights**2))


@given(matrices, specs)
def test_planes_and_scales_are_well_formed(weights, spec):
    planes, scales = decompose(weights, spec)
    assert planes.shape == (spec.levels, *weights.shape)
    assert scales.shape == (spec.levels, weights.shape[1])
    assert np.isin(planes, (-1, 0, 1) if spec.kind == "ternary" else (-1, 1)).all()
    assert np.isfinite(scales).all()
    assert (scales >= 0).all()
    if not spec.per_channel:
        assert (scales == scales[:, :1]).all()


@given(matrices, specs)
def test_error_never_grows_with_levels(weights, spec):
    errors = [
        squared_error(
            weights,
            MultiLevelConfig(levels, spec.kind, spec.threshold, spec.per_channel, spec.refit),
        )
        for levels in range(1, MAX_LEVELS + 1)
    ]
    assert np.sum(weights**2) - errors[0] >= -slack(weights)
    assert (np.diff(errors) <= slack(weights)).all()


@given(matrices, st.booleans())
def test_one_exact_ternary_level_is_never_worse_than_one_binary_level(weights, per_channel):
    ternary = MultiLevelConfig(1, "ternary", "exact", per_channel)
    binary = MultiLevelConfig(1, "binary", per_channel=per_channel)
    assert squared_error(weights, ternary) <= squared_error(weights, binary) + slack(weights)


@given(hnp.arrays(np.float64, (7, 1), elements=st.integers(-9, 9).map(float)))
def test_exact_threshold_is_the_optimum_over_all_choices(weights):
    """By trying every subset of entries as the non-zero ones."""
    best = np.sum(weights**2)
    for subset in range(1, 2**7):
        keep = np.array([subset >> i & 1 for i in range(7)])[:, None] > 0
        plane = np.where(keep, np.sign(weights), 0)
        norm = np.sum(plane**2)
        if norm:
            best = min(best, np.sum(weights**2) - np.sum(plane * weights) ** 2 / norm)
    error = squared_error(weights, MultiLevelConfig(1, "ternary", "exact"))
    assert error == pytest.approx(best, abs=1e-9)


@given(matrices, specs)
def test_refit_is_never_worse(weights, spec):
    fields = (spec.levels, spec.kind, spec.threshold, spec.per_channel)
    assert squared_error(weights, MultiLevelConfig(*fields, refit=True)) <= (
        squared_error(weights, MultiLevelConfig(*fields, refit=False)) + slack(weights)
    )


def test_refit_finds_the_least_squares_scales(rng):
    weights = rng.standard_normal((200, 5))
    planes, scales = decompose(weights, MultiLevelConfig(3, refit=True))
    for channel in range(5):
        best = np.linalg.lstsq(planes[:, :, channel].T, weights[:, channel], rcond=None)[0]
        np.testing.assert_allclose(scales[:, channel], best, rtol=1e-9)


@pytest.mark.parametrize("levels", range(1, MAX_LEVELS + 1))
@pytest.mark.parametrize("threshold", ["twn", "exact"])
def test_ternary_beats_binary_on_gaussian_weights(levels, threshold, rng):
    weights = rng.standard_normal((2000, 8))
    ternary = squared_error(weights, MultiLevelConfig(levels, "ternary", threshold))
    binary = squared_error(weights, MultiLevelConfig(levels, "binary"))
    assert ternary < 0.8 * binary


@given(matrices, specs)
def test_decomposing_the_rebuilt_weights_of_one_level_gives_them_back(weights, spec):
    spec = MultiLevelConfig(1, spec.kind, "exact", spec.per_channel)
    planes, scales = decompose(weights, spec)
    rebuilt = reconstruct(planes, scales)
    again = reconstruct(*decompose(rebuilt, spec))
    np.testing.assert_allclose(again, rebuilt, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("threshold", ["twn", "exact"])
@pytest.mark.parametrize("refit", [False, True])
def test_zero_and_one_element_tensors(kind, threshold, refit):
    spec = MultiLevelConfig(3, kind, threshold, refit=refit)
    planes, scales = decompose(np.zeros((5, 2)), spec)
    assert not scales.any()
    if kind == "ternary":
        assert not planes.any()
    for value in (2.5, -2.5, 0.0):
        one = np.full((1, 1), value)
        np.testing.assert_array_equal(reconstruct(*decompose(one, spec)), one)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused(bad):
    weights = np.ones((3, 2))
    weights[1, 1] = bad
    with pytest.raises(ValueError, match="kernel: 1 of 6 weights are NaN or infinite"):
        check_finite(weights, "kernel")
    check_finite(np.ones(3), "kernel")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 0}, "from 1 to 4, got 0"),
        ({"levels": 5}, "from 1 to 4, got 5"),
        ({"levels": 2.0}, "an integer from 1 to 4"),
        ({"levels": True}, "an integer from 1 to 4"),
        ({"kind": "quaternary"}, "kind must be one of"),
        ({"threshold": "median"}, "threshold must be one of"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MultiLevelConfig(**fields)


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("threshold", ["twn", "exact"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("refit", [True, False])
def test_tensorflow_gives_the_same_as_numpy(kind, threshold, per_channel, refit, rng):
    tf = pytest.importorskip("tensorflow")
    import tensorflow.experimental.numpy as tnp

    weights = rng.standard_normal((60, 7)).astype(np.float32)
    spec = MultiLevelConfig(3, kind, threshold, per_channel, refit)
    planes, scales = decompose(weights, spec)
    run = tf.function(lambda w: decompose(w, spec, tnp))
    for tf_planes, tf_scales in (decompose(tf.constant(weights), spec, tnp), run(weights)):
        assert tf_planes.dtype == tf_scales.dtype == tf.float32
        np.testing.assert_array_equal(tf_planes.numpy(), planes)
        np.testing.assert_allclose(tf_scales.numpy(), scales, rtol=1e-5)


def test_straight_through_is_exact_and_passes_the_gradient(rng):
    tf = pytest.importorskip("tensorflow")
    weights = tf.constant(rng.standard_normal(50).astype(np.float32))
    quantized = tf.round(weights * 3) / 3
    factors = tf.constant(rng.standard_normal(50).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        out = straight_through(weights, quantized, tf.stop_gradient)
        loss = tf.reduce_sum(out * factors)
    np.testing.assert_array_equal(out.numpy(), quantized.numpy())
    np.testing.assert_array_equal(tape.gradient(loss, weights).numpy(), factors.numpy())
