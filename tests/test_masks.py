"""Which bits and words pruning leaves, in NumPy."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.mathematics.decomposition import KernelState, decompose, reconstruct
from tfmot_mltq.pruning.criterion import bit_values
from tfmot_mltq.pruning.masks import current_sparsity, is_sparser, masks_for, work_left
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec, as_pruning_spec
from tfmot_mltq.pruning.schedule import ConstantSparsity

SCHEDULE = ConstantSparsity(0.9, 0)


def kernel(rng, shape, spec=None, positions=1, scale=1.0):
    levels = spec.levels if spec else 1
    state = KernelState(np.ones((levels, *shape), np.float32), np.float32(0.0))
    matrix = (scale * rng.normal(size=shape)).astype(np.float32)
    return PrunableKernel("layer", matrix, spec, state, positions)


def pruned(kernels, pruning, sparsity):
    masks = masks_for(kernels, pruning, sparsity)
    return [k.pruned_to(mask) for k, mask in zip(kernels, masks, strict=True)]


def error(k):
    planes, scales = decompose(k.matrix, k.spec, np, k.state)
    return float(np.sum((k.matrix - reconstruct(planes, scales)) ** 2))


@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(1, 4),
    per_channel=st.booleans(),
    granularity=st.sampled_from(["bit", "word"]),
    sparsity=st.floats(0.7, 0.999),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12)),
)
def test_sparsity_is_met_to_the_element_and_zeros_stay(
    seed, levels, per_channel, granularity, sparsity, shape
):
    rng = np.random.default_rng(seed)
    spec = MultiLevelConfig(levels, per_channel=per_channel)
    pruning = PruningSpec(SCHEDULE, granularity)
    before = kernel(rng, shape, spec)
    masks = masks_for([before], pruning, sparsity)
    total = before.matrix.size * (levels if granularity == "bit" else 1)
    wanted = total - round(sparsity * total)
    if masks is None:
        assert work_left([before], pruning) <= wanted
        return
    after = before.pruned_to(masks[0])
    planes, _ = decompose(after.matrix, spec, np, after.state)
    left = np.any(planes != 0, axis=0) if granularity == "word" else planes != 0
    assert np.count_nonzero(left) == wanted
    np.testing.assert_array_equal(planes != 0, masks[0])
    # The weights move, and the same bits are zero.
    moved = dataclasses.replace(after, matrix=rng.normal(size=shape).astype(np.float32))
    np.testing.assert_array_equal(moved.support(), masks[0])
    # The sparsity is there, so nothing changes.
    assert masks_for([moved], pruning, sparsity) is None


def test_bits_that_change_the_weights_least_go_first(rng):
    spec = MultiLevelConfig(2)
    before = kernel(rng, (60, 4), spec)
    ours = pruned([before], PruningSpec(SCHEDULE), 0.8)[0]
    keep = np.count_nonzero(ours.state.mask)
    for _ in range(20):
        random = np.zeros(ours.state.mask.size, bool)
        random[rng.permutation(np.flatnonzero(before.support()))[:keep]] = True
        assert error(ours) < error(before.pruned_to(random.reshape(ours.state.mask.shape)))


def test_words_of_float_kernels_are_ranked_by_magnitude(rng):
    after = pruned([kernel(rng, (50, 3))], PruningSpec(SCHEDULE, "word"), 0.8)[0]
    kept = after.state.mask[0] != 0
    assert np.count_nonzero(kept) == 30
    assert np.abs(after.matrix[kept]).min() > np.abs(after.matrix[~kept]).max()


def test_bits_go_to_the_levels_that_serve_best(rng):
    spec = MultiLevelConfig(3)
    before = kernel(rng, (30, 2), spec)
    _, scales = decompose(before.matrix, spec)
    values, levels_used = bit_values(before, PruningSpec(SCHEDULE))
    for place in np.ndindex(*before.matrix.shape):
        weight = before.matrix[place]
        smallest = [weight**2, np.inf, np.inf, np.inf]
        for word in itertools.product((-1, 0, 1), repeat=3):
            bits = np.count_nonzero(word)
            smallest[bits] = min(smallest[bits], (weight - word @ scales[:, place[1]]) ** 2)
        for bits in (1, 2, 3):
            used = [int(levels_used[(bits - 1, *place)]) >> level & 1 for level in range(3)]
            assert sum(used) == bits
            signs = itertools.product((-1, 1), repeat=3)
            best = min((weight - (np.array(s) * used) @ scales[:, place[1]]) ** 2 for s in signs)
            assert best == pytest.approx(smallest[bits], abs=1e-6)
        saved = np.minimum.accumulate(-np.diff(smallest))
        np.testing.assert_allclose(values[(slice(None), *place)], saved, atol=1e-5)


def test_one_bit_is_worth_what_the_formula_says(rng):
    before = kernel(rng, (30, 2), MultiLevelConfig(1))
    _, scales = decompose(before.matrix, before.spec)
    values, _ = bit_values(before, PruningSpec(SCHEDULE))
    np.testing.assert_allclose(values[0], scales * (2 * np.abs(before.matrix) - scales), atol=1e-5)


def test_exact_zeros_stay_zero(rng):
    before = kernel(rng, (50, 4), MultiLevelConfig(2))
    before.matrix[::2] = 0.0
    for granularity in ("bit", "word"):
        after = pruned([before], PruningSpec(SCHEDULE, granularity), 0.8)[0]
        assert not np.any(after.state.mask[:, ::2])


@pytest.mark.parametrize("granularity", ["bit", "word"])
def test_global_scope_shares_the_sparsity_out(rng, granularity):
    spec = MultiLevelConfig(2)
    kernels = [kernel(rng, (50, 4), spec), kernel(rng, (50, 4), spec, scale=10.0)]
    pruning = PruningSpec(SCHEDULE, granularity, "global")
    after = pruned(kernels, pruning, 0.9)
    elements = 800 if granularity == "bit" else 400
    assert work_left(after, pruning) == elements // 10
    # The layer with the larger weights keeps nearly everything that is kept.
    assert work_left(after[1:], pruning) > 9 * work_left(after[:1], pruning)
    relative = dataclasses.replace(pruning, criterion="relative_error")
    small, large = pruned(kernels, relative, 0.9)
    assert 0.5 < work_left([small], relative) / work_left([large], relative) < 2


def test_errors_per_work_save_work(rng):
    spec = MultiLevelConfig(2)
    kernels = [
        kernel(rng, (50, 4), spec, positions=100),
        kernel(rng, (50, 4), spec, positions=1),
    ]
    plain = PruningSpec(SCHEDULE, scope="global")
    per_work = dataclasses.replace(plain, criterion="squared_error_per_work")
    counted = dataclasses.replace(plain, sparsity_of="work")
    assert work_left(pruned(kernels, per_work, 0.8), plain) == 160
    assert work_left(pruned(kernels, plain, 0.8), plain) == 160
    assert work_left(pruned(kernels, per_work, 0.8), counted) < 0.3 * work_left(
        pruned(kernels, plain, 0.8), counted
    )


def test_sparsity_of_work_is_met_to_one_element(rng):
    spec = MultiLevelConfig(3)
    kernels = [
        kernel(rng, (50, 4), spec, positions=64),
        kernel(rng, (50, 4), spec, positions=7),
    ]
    pruning = PruningSpec(
        SCHEDULE, scope="global", criterion="relative_error_per_work", sparsity_of="work"
    )
    after = pruned(kernels, pruning, 0.9)
    total = 600 * (64 + 7)
    assert 0 <= 0.1 * total - work_left(after, pruning) < 64
    assert current_sparsity(after, pruning) == pytest.approx(0.9, abs=64 / total)
    assert masks_for(after, pruning, 0.9) is None
    assert not is_sparser(after, pruning, 0.9)
    assert is_sparser(after, pruning, 0.89)


@pytest.mark.parametrize("spec", [None, MultiLevelConfig(2)])
@pytest.mark.parametrize(("block_size", "blocks"), [((1, 4), 100), ((5, 2), 40), ("channel", 8)])
def test_blocks_are_pruned_as_one(rng, spec, block_size, blocks):
    pruning = PruningSpec(SCHEDULE, "word", block_size=block_size)
    after = pruned([kernel(rng, (50, 8), spec)], pruning, 0.75)[0]
    words = np.any(after.support(), axis=0)
    height, width = pruning.block_shape(words.shape, "layer")
    per_block = words.reshape(50 // height, height, 8 // width, width).sum(axis=(1, 3))
    assert set(np.unique(per_block)) <= {0, height * width}
    assert np.count_nonzero(per_block) == blocks // 4


def test_thresholds_decide_until_pruning_goes_below_them(rng):
    before = kernel(rng, (100, 4), MultiLevelConfig(2))
    pruning = PruningSpec(SCHEDULE)
    natural = current_sparsity([before], pruning)
    assert 0.3 < natural < 0.6
    assert masks_for([before], pruning, natural - 0.01) is None
    assert masks_for([before], pruning, natural + 0.01) is not None
    assert is_sparser([before], pruning, natural - 0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"granularity": "nibble"}, "granularity must be one of"),
        ({"scope": "model"}, "scope must be one of"),
        ({"criterion": "random"}, "criterion must be one of"),
        ({"sparsity_of": "bytes"}, "sparsity_of must be one of"),
        ({"granularity": "word", "block_size": (0, 1)}, "block_size must be"),
        ({"granularity": "word", "block_size": [1, 4]}, "block_size must be"),
        ({"block_size": (1, 4)}, "is for granularity='word'"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        PruningSpec(SCHEDULE, **changes)


def test_block_that_does_not_fit_names_the_layer(rng):
    pruning = PruningSpec(SCHEDULE, "word", block_size=(1, 3))
    with pytest.raises(ValueError, match=r"does not divide the weights of layer 'layer': 50 entr"):
        masks_for([kernel(rng, (50, 4))], pruning, 0.5)


def test_configuration_goes_through_json():
    for pruning in (
        PruningSpec(SCHEDULE, "word", "global", block_size=(1, 4), sparsity_of="work"),
        PruningSpec(SCHEDULE, "word", block_size="channel"),
    ):
        assert as_pruning_spec(json.loads(json.dumps(pruning.get_config()))) == pruning
