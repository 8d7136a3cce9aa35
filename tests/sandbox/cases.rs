//! The list of cases, by what they are about.

mod changes;
mod commands;
mod endings;
mod surroundings;

/// One case: a function that panics if it fails, run in a process of its own.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

macro_rules! cases {
    ($($module:ident: $($name:ident)+;)+) => {
        &[$($(Case { name: stringify!($name), run: $module::$name },)+)+]
    };
}

pub(crate) const CASES: &[Case] = cases! {
    commands:
        exit_codes_and_signals_are_told_apart
        output_arrives_in_pieces_and_by_stream
        large_output_arrives_whole
        the_environment_is_exactly_what_was_given
        the_program_is_searched_in_the_steps_path
        what_cannot_be_run_says_why
        umask_core_limit_and_descriptors_are_clean
        the_working_directory_is_entered_and_a_missing_one_is_named
        users_and_groups_are_switched
        a_setuid_program_works_for_an_ordinary_user
        capabilities_are_those_of_a_container;
    surroundings:
        proc_sys_and_dev_are_those_of_a_container
        masked_and_read_only_paths_hold
        a_device_made_by_a_step_cannot_be_opened
        the_builder_is_not_seen_by_the_step
        hostname_and_network_files_are_in_place
        linked_network_files_are_followed_inside
        shown_files_are_read_only_and_can_be_executed
        a_step_without_network_has_loopback_only;
    changes:
        a_step_that_changes_nothing_leaves_an_empty_upper_directory
        stubs_are_in_no_diff_and_their_parents_look_as_before
        frozen_steps_stay_what_they_were
        deletions_and_replacements_are_marked
        files_written_before_a_command_are_seen_by_it
        a_discarded_step_changes_nothing
        stages_share_layers_and_part_ways
        an_empty_root_and_two_hundred_layers_work
        deep_trees_go_with_the_sandbox
        the_roots_own_metadata_is_kept;
    endings:
        what_a_command_leaves_running_is_killed
        a_killed_builder_takes_the_step_with_it
        a_stop_ends_a_step_that_obeys
        a_stop_kills_a_step_that_does_not_obey
        a_step_cannot_ask_for_its_own_stop
        a_panic_while_a_step_runs_leaves_nothing
        steps_run_side_by_side
        the_sandbox_cannot_be_entered_late_or_by_what_is_not_there;
};

/// Processes that cases start.
pub(crate) const HELPERS: &[Case] = cases! {
    endings:
        helper_that_sleeps_in_a_step
        helper_that_enters_and_leaves;
};
