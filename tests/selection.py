"""What `make test` runs: every test but those that this file leaves to `make test-all`.

By hand: python -m pytest -m "" tests/test_examples.py
"""

import dataclasses
import fnmatch
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent
COLLECTED = pytest.StashKey()
NONE = ()

# By file and test: the parameters that `make test` runs it with, as patterns of their ids; "!" is
# before a pattern of those that it leaves out. The others are marked `thorough`. Each subsystem
# keeps a representative: a test of its usual path, one framework, one core of a family, a layer of
# each kind.
QUICK = {
    "backends/test_activation_levels.py": {"*": ("ternary", "")},
    "backends/test_contract.py": {"*": ("*keras-Conv2D",)},
    "backends/test_distillation.py": {"test_pruned_student_learns_from_the_teacher_alone": NONE},
    "backends/test_learned_options.py": {
        "test_starts_as_untrained_and_learns": ("keras-DepthwiseConv2D",),
        "test_scales_are_those_that_are_baked_and_reported": ("keras",),
        "test_learned_scales_of_a_pruned_model": NONE,
    },
    "backends/test_pruning.py": {
        "test_each_layer_meets_its_sparsity_and_keeps_its_zeros": ("keras-bit",),
        "test_global_scope_meets_the_sparsity_of_the_model": NONE,
        "test_pruned_float_model_is_quantized_with_its_zeros": NONE,
        "test_first_layer_stays_pruned_as_int8": NONE,
        "test_blocks_and_channels": NONE,
        "test_separable_convolutions_are_pruned_as_two": NONE,
        "test_steps_are_counted_through_epochs_fits_and_files": NONE,
        "test_several_steps_per_execution": NONE,
        "test_own_training_loop_uses_the_callback_as_that_of_tfmot": ("keras",),
        "test_training_without_the_callback_says_so": NONE,
        "test_what_cannot_be_pruned_is_refused": ("keras",),
        "test_gradients_stop_at_pruned_words": NONE,
        "test_frameworks_prune_alike": NONE,
        "test_data_parallel_pruning": NONE,
    },
    "backends/test_training.py": {
        "test_compiled_and_eager_training_are_the_same": NONE,
        "test_mixed_precision_keeps_float32_masters": NONE,
        "test_data_parallel_training": NONE,
    },
    "test_activation_levels.py": {
        "test_penalty_makes_activations_sparse": NONE,
        "test_scratch_above_the_limit_is_refused": ("ternary",),
        "test_both_families_give_the_same_bytes": ("ternary",),
        "test_scales_and_thresholds_are_trained": ("ternary",),
        "test_runtimes_give_the_same_bytes": ("ternary",),
        "test_saved_models_come_back": ("ternary",),
        "test_two_sided_figures_count_bits_of_both_sides": ("ternary",),
        "test_bytes_of_the_tables_are_counted": ("ternary",),
    },
    "test_attention.py": {
        "test_attention_is_int8_without_a_calibration_by_tensorflow": (
            "keras-self_attention", "keras-grouped", "keras-sums", "tf_keras-products",
        ),
        "test_quantized_attention_trains_loads_and_strips": ("keras",),
    },
    # JAX and PyTorch: tests/test_without_tensorflow.py.
    "test_backends.py": {"test_keras_on": ("tensorflow",)},
    "test_command_line.py": {"test_benchmark": NONE},
    "test_config.py": {
        "test_a_configuration_says_everything": ("keras",),
        "test_single_layers_have_configurations_of_their_own": ("keras",),
    },
    "test_convert.py": {
        "TestConv2D::*": ("tf_keras", "tensorflow"),
        "Test[!C]*::*": NONE,
        "TestConv1D::*": NONE,
        "test_pruned_models_keep_their_zeros": ("tf_keras-bit", "keras-float words"),
        "test_graphs_with_other_layers": ("squeeze_and_excitation-4",),
        "test_reference_models": NONE,
        "test_encodings_for_speed_give_the_same_outputs": NONE,
    },
    "test_device.py": {
        "test_core_on_device": ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc", "xtensa"),
        "test_core_without_optimisation": NONE,
        "test_clang_compiles_the_core": ("cortex-m0", "cortex-m55"),
    },
    "test_documentation.py": {"test_notebooks_*": NONE},
    "test_examples.py": {
        "test_digits": ("keras-tensorflow",),
        "test_resnet8_cifar10": NONE,
        "test_resnet8_pruning": NONE,
        "test_rebnet": NONE,
        "test_digits_sparsify": NONE,
        "test_spoken_digits": NONE,
        "test_post_training": NONE,
    },
    "test_export.py": {
        "test_generated_code_gives_the_bytes_of_the_interpreter": ("usual",),
        "test_the_arena_is_not_larger_than_the_interpreters": ("usual",),
        "test_generated_code_runs_on_the_core": ("usual-*",),
        "test_code_for_the_interpreter_compiles": ("usual-*",),
        "test_arduino_library": ("usual-*",),
        "test_esp_idf_project": ("usual-*",),
        "test_means_of_images": NONE,
        "test_names_and_folders_that_cannot_be_are_refused": ("usual*",),
    },
    "test_export_converted.py": {"*": ("*-int8",)},
    "test_firmware.py": {"test_digits": ("cortex-m0",), "test_resnet8": ("rv32imc",)},
    "test_int8_kernels.py": {"test_simulated_kernel_is_that_of_the_file": ("*-keras",)},
    "test_int8_sums.py": {"test_sums_are_exact": ("*-keras",)},
    "test_interpreter.py": {"test_importing_tflm_leaves_the_callers_flags_alone": NONE},
    "test_kernels.py": {"test_layers_of_every_size_run_on_the_same_kernel": ("cortex-m55",)},
    "test_normalization.py": {"test_agrees_with_keras": ("keras",)},
    "test_pareto.py": {"test_killed_training_goes_on_exactly": NONE},
    "test_range_groups.py": {
        "test_groups_train_and_are_saved": ("keras",),
        "test_the_range_of_a_group_holds_the_values_of_all": ("keras",),
        "test_a_range_ends_where_the_only_reader_saturates": ("*-keras",),
        "test_a_range_is_whole_where_its_values_are_read_elsewhere": ("*-keras",),
    },
    "test_recurrent.py": {
        "test_every_sample_gives_what_keras_gives": (
            "lstm-*-keras", "gru-*-keras", "bidirectional_simple_rnn-*-keras", "lstm_as_*-tf_keras",
        ),
        "test_written_out_layers_compute_the_same": ("*-keras", "gru-tf_keras"),
        "test_quantized_recurrent_models_train_and_load": ("keras",),
        "test_refusals_name_the_layer_and_the_way_out": ("*-keras",),
        "test_an_lstm_is_simulated_to_a_step": ("4-*",),
        "test_lstms_train_load_and_strip": NONE,
        "test_written_out_steps_are_exact_where_rounding_would_grow": NONE,
        "test_cells_of_any_size": ("100.0",),
    },
    "test_reports.py": {
        "test_two_sided_figures_are_as_defined": NONE,
        "test_reports_of_every_kind": ("True",),
    },
    "test_sparsify.py": {
        "test_directory_of_another_search_is_refused": NONE,
        "test_accuracy_that_is_no_number_stops_the_search": ("nan",),
        "test_length_of_training_has_to_be_known_or_given": NONE,
        "test_trials_run_under_a_strategy": NONE,
    },
    "test_structures.py": {
        "test_structure": (
            "keras-add_3", "keras-attention_heads", "keras-average_pooling", "keras-camera",
            "keras-conv_dilated", "keras-conv_next_block", "keras-conv_transpose",
            "keras-depthwise1d", "keras-embedding", "keras-layer_gelu", "keras-layer_norm",
            "keras-layer_sparsemax", "keras-lstm", "keras-multiply_3", "keras-operations",
            "keras-resizing_nearest", "keras-siamese", "keras-u_net",
            "tf_keras-batch_norm_after_relu", "tf_keras-layer_norm", "tf_keras-masking",
        ),
    },
    "test_tfmot_quantize.py": {
        "test_four_levels_are_close_to_the_float_model": NONE,
        "test_the_float_model_is_not_changed": NONE,
        "test_calibration_sets_ranges_to_the_extremes_and_can_be_repeated": NONE,
        "test_saved_models_load_with_plain_load_model": ("keras",),
    },
    "test_usage.py": {
        "*": ("!tf_keras*",),
        "test_lambda_layers_are_quantized": ("keras-arguments", "keras-shape and mask"),
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Collected:
    """A test: its file under tests/, its name (Class::name), its parameters' id."""

    file: str
    name: str
    id: str
    thorough: bool


def matches(text, patterns):
    return any(
        fnmatch.fnmatchcase(text, pattern.removeprefix("!")) != pattern.startswith("!")
        for pattern in patterns
    )


def mark_thorough(items):
    """Marks what is left to `make test-all`; returns all that was collected."""
    return [_mark(item) for item in items]


def _mark(item):
    file = item.path.relative_to(TESTS).as_posix()
    name, _, parameters = item.nodeid.partition("::")[2].partition("[")
    found = Collected(file, name, parameters.removesuffix("]"), thorough=False)
    for test, ids in QUICK.get(file, {}).items():
        if matches(name, [test]) and not matches(found.id, ids):
            item.add_marker(pytest.mark.thorough)
            return dataclasses.replace(found, thorough=True)
    return found
