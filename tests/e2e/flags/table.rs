//! Which test sees what a flag does. A flag that ours lacks and kaniko has fails the tests above.

/// How it is known that a flag does what it promises.
pub(super) enum Proof {
    /// Tests that fail without it: a file of the repository and one of its functions, or the directory of a case.
    Tests(&'static [&'static str]),
    /// There is nothing left for it to do, and one line says why.
    NoEffect,
}

use Proof::{NoEffect, Tests};

/// Program, flag, proof; in the order of the list.
pub(super) const ROWS: &[(&str, &str, Proof)] = &[
    (
        "executor",
        "dockerfile",
        Tests(&[
            "tests/e2e/dockerfile_places.rs a_linked_dockerfile_and_a_lower_case_one_are_found",
            "tests/e2e/dockerfile_places.rs a_dockerfile_on_standard_input_copies_from_the_context",
        ]),
    ),
    (
        "executor",
        "context",
        Tests(&[
            "tests/e2e/flags/places.rs a_directory_of_the_context_is_the_context",
            "tests/e2e/archive_contexts.rs an_archive_of_this_machine_is_told_by_its_content",
            "tests/e2e/object_contexts.rs s3_takes_keys_and_refuses_wrong_ones",
        ]),
    ),
    (
        "executor",
        "context-sub-path",
        Tests(&["tests/e2e/flags/places.rs a_directory_of_the_context_is_the_context"]),
    ),
    (
        "executor",
        "bucket",
        Tests(&["tests/e2e/object_contexts.rs google_and_azure_have_contexts_too"]),
    ),
    (
        "executor",
        "git",
        Tests(&[
            "tests/e2e/remote_context.rs kanikos_git_form_has_its_meaning",
            "tests/e2e/remote_context.rs a_git_servers_certificate_may_go_unchecked",
        ]),
    ),
    (
        "executor",
        "build-arg",
        Tests(&[
            "tests/e2e/arguments.rs the_default_of_an_argument_that_is_given_is_not_read",
            "tests/e2e/flags/variables.rs a_bare_build_argument_has_its_value_from_the_environment",
        ]),
    ),
    (
        "executor",
        "secret",
        Tests(&["tests/e2e/mounts.rs a_secret_is_nowhere_but_in_its_run"]),
    ),
    (
        "executor",
        "target",
        Tests(&["tests/e2e/stages.rs several_targets_are_built_and_the_first_is_the_image"]),
    ),
    (
        "executor",
        "custom-platform",
        Tests(&[
            "tests/e2e/arguments.rs automatic_arguments_are_global_declared_in_a_stage_and_can_be_given",
        ]),
    ),
    (
        "executor",
        "label",
        Tests(&["tests/compat/cases/labels-are-merged"]),
    ),
    (
        "executor",
        "annotation",
        Tests(&[
            "tests/e2e/outputs.rs annotations_are_of_the_manifest_and_those_of_the_base_are_not_inherited",
        ]),
    ),
    (
        "executor",
        "ignore-path",
        Tests(&["tests/e2e/flags/places.rs an_ignored_path_is_in_no_layer"]),
    ),
    ("executor", "ignore-var-run", NoEffect),
    ("executor", "force", NoEffect),
    // Output.
    (
        "executor",
        "destination",
        Tests(&["tests/e2e/delivery.rs one_build_goes_to_several_destinations"]),
    ),
    (
        "executor",
        "no-push",
        Tests(&[
            "tests/e2e/delivery.rs without_a_push_nothing_is_pushed_and_a_tarball_can_be_had",
            "tests/e2e/flags/variables.rs the_variable_decides_whether_anything_is_pushed",
        ]),
    ),
    (
        "executor",
        "no-push-cache",
        Tests(&["tests/e2e/caching/policies.rs nothing_is_pushed_to_a_cache_that_is_only_read"]),
    ),
    (
        "executor",
        "tar-path",
        Tests(&["tests/e2e/delivery.rs the_tarball_and_the_layout_hold_the_image_that_was_pushed"]),
    ),
    (
        "executor",
        "oci-layout-path",
        Tests(&["tests/e2e/delivery.rs the_tarball_and_the_layout_hold_the_image_that_was_pushed"]),
    ),
    (
        "executor",
        "digest-file",
        Tests(&["tests/e2e/delivery.rs the_digest_file_has_the_digest_and_nothing_else"]),
    ),
    (
        "executor",
        "image-name-with-digest-file",
        Tests(&["tests/e2e/delivery.rs one_build_goes_to_several_destinations"]),
    ),
    (
        "executor",
        "image-name-tag-with-digest-file",
        Tests(&["tests/e2e/delivery.rs one_build_goes_to_several_destinations"]),
    ),
    (
        "executor",
        "reproducible",
        Tests(&["tests/e2e/reproducible.rs reproducible_builds_of_root_and_user_have_one_digest"]),
    ),
    (
        "executor",
        "compression",
        Tests(&["tests/e2e/flags/image.rs layers_are_compressed_as_asked"]),
    ),
    (
        "executor",
        "compression-level",
        Tests(&["tests/e2e/flags/image.rs layers_are_compressed_as_asked"]),
    ),
    (
        "executor",
        "image-format",
        Tests(&["tests/e2e/flags/image.rs media_types_are_those_that_are_asked_for"]),
    ),
    (
        "executor",
        "skip-push-permission-check",
        Tests(&[
            "tests/e2e/flags/registries.rs whether_a_push_is_permitted_is_asked_before_the_build",
        ]),
    ),
    (
        "executor",
        "push-retry",
        Tests(&["tests/e2e/pushes.rs a_push_is_tried_again_as_often_as_wanted"]),
    ),
    (
        "executor",
        "push-ignore-immutable-tag-errors",
        Tests(&[
            "tests/e2e/pushes.rs a_tag_that_cannot_be_overwritten_is_no_error_if_one_says_so_or_if_it_is_the_same",
        ]),
    ),
    // Cache and snapshots.
    (
        "executor",
        "cache",
        Tests(&[
            "tests/e2e/caching/policies.rs copies_are_not_in_the_repository_by_default_and_commands_after_them_are",
        ]),
    ),
    (
        "executor",
        "cache-repo",
        Tests(&["tests/e2e/caching/policies.rs a_cache_without_a_place_is_an_error"]),
    ),
    (
        "executor",
        "cache-dir",
        Tests(&["tests/e2e/warmer.rs a_refreshed_image_is_new_to_the_executor"]),
    ),
    (
        "executor",
        "cache-ttl",
        Tests(&["tests/e2e/warmer.rs a_refreshed_image_is_new_to_the_executor"]),
    ),
    (
        "executor",
        "cache-copy-layers",
        Tests(&["tests/e2e/caching/policies.rs copies_are_in_the_repository_where_that_is_wanted"]),
    ),
    (
        "executor",
        "cache-run-layers",
        Tests(&["tests/e2e/caching/policies.rs commands_are_not_cached_where_that_is_not_wanted"]),
    ),
    ("executor", "compressed-caching", NoEffect),
    ("executor", "snapshot-mode", NoEffect),
    (
        "executor",
        "single-snapshot",
        Tests(&[
            "tests/e2e/single_snapshot.rs a_stage_adds_one_layer_that_gives_the_files_its_steps_make",
            "testdata/build/one-layer-per-stage",
        ]),
    ),
    ("executor", "use-new-run", NoEffect),
    ("executor", "skip-unused-stages", NoEffect),
    ("executor", "force-build-metadata", NoEffect),
    ("executor", "cleanup", NoEffect),
    ("executor", "pre-cleanup", NoEffect),
    ("executor", "preserve-context", NoEffect),
    ("executor", "materialize", NoEffect),
    (
        "executor",
        "dryrun",
        Tests(&[
            "tests/e2e/dry_run.rs the_plan_names_stages_steps_lines_and_what_is_pulled_and_does_nothing",
        ]),
    ),
    (
        "executor",
        "image-fs-extract-retry",
        Tests(&[
            "tests/e2e/registries_retries.rs a_base_is_unpacked_again_and_nothing_of_the_failure_is_left",
        ]),
    ),
    (
        "executor",
        "image-download-retry",
        Tests(&[
            "tests/e2e/registries_retries.rs an_image_is_asked_for_again_as_often_as_the_flag_says",
        ]),
    ),
    (
        "executor",
        "kaniko-dir",
        Tests(&["tests/containers/templates/kaniko_jobs.rs the_executors_files_may_lie_elsewhere"]),
    ),
    // Registries.
    (
        "executor",
        "insecure",
        Tests(&["tests/e2e/flags/named_host.rs plain_http_is_spoken_to_whom_the_flags_name"]),
    ),
    (
        "executor",
        "insecure-pull",
        Tests(&["tests/e2e/flags/named_host.rs plain_http_is_spoken_to_whom_the_flags_name"]),
    ),
    (
        "executor",
        "insecure-registry",
        Tests(&["tests/e2e/flags/named_host.rs plain_http_is_spoken_to_whom_the_flags_name"]),
    ),
    (
        "executor",
        "skip-tls-verify",
        Tests(&["tests/e2e/delivery.rs tls_is_verified_against_the_authorities_that_are_given"]),
    ),
    (
        "executor",
        "skip-tls-verify-pull",
        Tests(&[
            "tests/e2e/flags/registries.rs certificates_are_not_looked_at_where_the_flags_say_so",
        ]),
    ),
    (
        "executor",
        "skip-tls-verify-registry",
        Tests(&[
            "tests/e2e/flags/registries.rs certificates_are_not_looked_at_where_the_flags_say_so",
        ]),
    ),
    (
        "executor",
        "registry-certificate",
        Tests(&["tests/e2e/delivery.rs tls_is_verified_against_the_authorities_that_are_given"]),
    ),
    (
        "executor",
        "registry-client-cert",
        Tests(&[
            "tests/registry.rs a_client_certificate_is_shown_where_it_is_asked_for",
            "src/cli/registry_options.rs a_client_certificate_is_two_files_of_a_host",
        ]),
    ),
    (
        "executor",
        "registry-map",
        Tests(&["tests/e2e/flags/registries.rs images_come_from_the_registry_that_stands_in"]),
    ),
    (
        "executor",
        "registry-mirror",
        Tests(&["tests/e2e/flags/registries.rs images_come_from_the_registry_that_stands_in"]),
    ),
    (
        "executor",
        "skip-default-registry-fallback",
        Tests(&["tests/e2e/flags/registries.rs images_come_from_the_registry_that_stands_in"]),
    ),
    (
        "executor",
        "credential-helpers",
        Tests(&["tests/e2e/credentials.rs a_refusal_lists_what_was_tried_and_no_secret"]),
    ),
    // Logging.
    (
        "executor",
        "verbosity",
        Tests(&["tests/e2e/flags/logs.rs less_is_said_at_each_level"]),
    ),
    (
        "executor",
        "log-format",
        Tests(&["tests/e2e/flags/logs.rs a_log_has_the_form_that_is_asked_for"]),
    ),
    (
        "executor",
        "log-timestamp",
        Tests(&["tests/e2e/flags/logs.rs a_log_has_the_form_that_is_asked_for"]),
    ),
    // The warmer.
    (
        "warmer",
        "image",
        Tests(&["tests/e2e/warmer.rs only_what_changed_or_expired_or_is_forced_is_pulled"]),
    ),
    (
        "warmer",
        "dockerfile",
        Tests(&[
            "tests/e2e/warmer.rs a_dockerfile_gives_all_its_images_with_arguments_and_platforms",
        ]),
    ),
    (
        "warmer",
        "build-arg",
        Tests(&[
            "tests/e2e/warmer.rs a_dockerfile_gives_all_its_images_with_arguments_and_platforms",
        ]),
    ),
    (
        "warmer",
        "cache-dir",
        Tests(&["tests/e2e/warmer.rs without_anything_to_pull_or_a_place_it_fails"]),
    ),
    (
        "warmer",
        "cache-ttl",
        Tests(&["tests/e2e/warmer.rs only_what_changed_or_expired_or_is_forced_is_pulled"]),
    ),
    (
        "warmer",
        "force",
        Tests(&["tests/e2e/warmer.rs only_what_changed_or_expired_or_is_forced_is_pulled"]),
    ),
    (
        "warmer",
        "customPlatform",
        Tests(&[
            "tests/e2e/warmer.rs a_dockerfile_gives_all_its_images_with_arguments_and_platforms",
        ]),
    ),
    (
        "warmer",
        "insecure-pull",
        Tests(&[
            "tests/e2e/flags/named_host.rs the_warmer_speaks_plain_http_to_whom_the_flags_name",
        ]),
    ),
    (
        "warmer",
        "insecure-registry",
        Tests(&[
            "tests/e2e/flags/named_host.rs the_warmer_speaks_plain_http_to_whom_the_flags_name",
        ]),
    ),
    (
        "warmer",
        "skip-tls-verify-pull",
        Tests(&["tests/e2e/flags/registries.rs the_warmer_trusts_whom_the_flags_name"]),
    ),
    (
        "warmer",
        "skip-tls-verify-registry",
        Tests(&["tests/e2e/flags/registries.rs the_warmer_trusts_whom_the_flags_name"]),
    ),
    (
        "warmer",
        "registry-certificate",
        Tests(&["tests/e2e/flags/registries.rs the_warmer_trusts_whom_the_flags_name"]),
    ),
    (
        "warmer",
        "registry-client-cert",
        Tests(&[
            "tests/registry.rs a_client_certificate_is_shown_where_it_is_asked_for",
            "src/cli/registry_options.rs a_client_certificate_is_two_files_of_a_host",
        ]),
    ),
    (
        "warmer",
        "registry-map",
        Tests(&["tests/e2e/warmer.rs mirrors_and_maps_are_asked_first"]),
    ),
    (
        "warmer",
        "registry-mirror",
        Tests(&["tests/e2e/flags/registries.rs the_warmer_pulls_from_the_registry_that_stands_in"]),
    ),
    (
        "warmer",
        "skip-default-registry-fallback",
        Tests(&["tests/e2e/warmer.rs mirrors_and_maps_are_asked_first"]),
    ),
    (
        "warmer",
        "verbosity",
        Tests(&["tests/e2e/flags/logs.rs the_warmers_log_has_the_same_forms"]),
    ),
    (
        "warmer",
        "log-format",
        Tests(&["tests/e2e/flags/logs.rs the_warmers_log_has_the_same_forms"]),
    ),
    (
        "warmer",
        "log-timestamp",
        Tests(&["tests/e2e/flags/logs.rs the_warmers_log_has_the_same_forms"]),
    ),
    // `executor push`.
    (
        "push",
        "destination",
        Tests(&[
            "tests/e2e/pushes.rs several_names_in_one_registry_get_each_blob_once_and_then_mounts",
        ]),
    ),
    (
        "push",
        "skip-push-permission-check",
        Tests(&["tests/e2e/pushes.rs what_is_there_is_pushed_again_without_an_upload"]),
    ),
    (
        "push",
        "insecure",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "insecure-pull",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "insecure-registry",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "skip-tls-verify",
        Tests(&["tests/e2e/pushes.rs certificates_are_looked_at_as_the_flags_say"]),
    ),
    (
        "push",
        "skip-tls-verify-pull",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "skip-tls-verify-registry",
        Tests(&["tests/e2e/pushes.rs certificates_are_looked_at_as_the_flags_say"]),
    ),
    (
        "push",
        "registry-certificate",
        Tests(&["tests/e2e/pushes.rs certificates_are_looked_at_as_the_flags_say"]),
    ),
    (
        "push",
        "registry-client-cert",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "registry-map",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "registry-mirror",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "skip-default-registry-fallback",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "credential-helpers",
        Tests(&["src/cli/push_options.rs registries_are_spoken_to_as_by_a_build"]),
    ),
    (
        "push",
        "verbosity",
        Tests(&["tests/e2e/pushes.rs the_log_of_a_push_is_as_the_flags_say"]),
    ),
    (
        "push",
        "log-format",
        Tests(&["tests/e2e/pushes.rs the_log_of_a_push_is_as_the_flags_say"]),
    ),
    (
        "push",
        "log-timestamp",
        Tests(&["tests/e2e/pushes.rs the_log_of_a_push_is_as_the_flags_say"]),
    ),
];
