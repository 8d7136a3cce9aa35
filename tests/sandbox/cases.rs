//! The list of cases, by what they are about and what they need.

mod changes;
mod commands;
mod endings;
mod surroundings;
mod trees;

use crate::setup::{Place, Setup};

/// One case: a function that panics if it fails, run in a process of its own.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
    pub(crate) needs: Needs,
}

/// What a case is about, that not every mode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A `/proc` that the command can read.
    Proc,
    /// Users and devices that are the kernel's, and `/proc`.
    RealIds,
    /// Mounts and a host name of the step's own.
    Namespaces,
    /// Files of the step's own that tell about the network.
    NetworkFiles,
    /// Processes of the step's own.
    PidNamespace,
    /// Each step's changes in a directory of their own.
    Layers,
    /// One directory that every step changes.
    Trees,
    /// A tree, and no processes of the step's own.
    SharedPids,
    /// A tree, and neither mounts nor a host name of the step's own.
    SharedMounts,
    /// The container's own root directory.
    Container,
}

impl Needs {
    /// Returns what of it `setup` lacks; `None` where the case can be tried.
    pub(crate) fn missing_in(self, setup: &Setup) -> Option<&'static str> {
        let (has, what) = match self {
            Self::Nothing => return None,
            Self::Proc => (setup.has_proc, "needs /proc"),
            Self::RealIds => (
                setup.has_ids && setup.has_proc,
                "needs the kernel's users and /proc",
            ),
            Self::Namespaces => (setup.has_mounts, "needs mounts of the step's own"),
            Self::NetworkFiles => (
                setup.place != Place::Container,
                "has the container's own network files",
            ),
            Self::PidNamespace => (setup.has_pids, "needs a pid namespace"),
            Self::Container => (
                setup.place == Place::Container,
                "is about the container's own root directory",
            ),
            Self::Layers => (!setup.is_tree, "needs overlays"),
            Self::Trees => (setup.is_tree, "is about plain trees"),
            Self::SharedPids => (
                setup.is_tree && !setup.has_pids,
                "is about steps without a pid namespace",
            ),
            Self::SharedMounts => (
                setup.is_tree && !setup.has_mounts,
                "is about steps without mounts of their own",
            ),
        };
        (!has).then_some(what)
    }
}

macro_rules! cases {
    ($($module:ident, $needs:ident: $($name:ident)+;)+) => {
        &[$($(Case {
            name: stringify!($name),
            run: $module::$name,
            needs: Needs::$needs,
        },)+)+]
    };
}

pub(crate) const CASES: &[Case] = cases! {
    commands, Nothing:
        exit_codes_and_signals_are_told_apart
        output_arrives_in_pieces_and_by_stream
        large_output_arrives_whole
        the_environment_is_exactly_what_was_given
        the_program_is_searched_in_the_steps_path
        what_cannot_be_run_says_why
        the_working_directory_is_entered_and_a_missing_one_is_named
        users_and_groups_are_switched
        a_setuid_program_works_for_an_ordinary_user;
    commands, Proc:
        umask_core_limit_and_descriptors_are_clean;
    commands, RealIds:
        capabilities_are_those_of_a_container;
    surroundings, PidNamespace:
        proc_sys_and_dev_are_those_of_a_container
        the_builder_is_not_seen_by_the_step;
    surroundings, Namespaces:
        masked_and_read_only_paths_hold
        a_device_made_by_a_step_cannot_be_opened
        hostname_and_network_files_are_in_place
        a_step_without_network_has_loopback_only;
    surroundings, NetworkFiles:
        linked_network_files_are_followed_inside;
    surroundings, Nothing:
        shown_files_can_be_read_and_executed_and_leave_nothing;
    changes, Layers:
        a_step_that_changes_nothing_leaves_an_empty_upper_directory
        stubs_are_in_no_diff_and_their_parents_look_as_before
        frozen_steps_stay_what_they_were
        deletions_and_replacements_are_marked
        files_written_before_a_command_are_seen_by_it
        a_discarded_step_changes_nothing
        stages_share_layers_and_part_ways
        an_empty_root_and_two_hundred_layers_work
        layers_that_lie_elsewhere_are_stacked_and_stay_what_they_are
        deep_trees_go_with_the_sandbox
        the_roots_own_metadata_is_kept;
    trees, Trees:
        a_tree_has_exactly_what_the_command_did
        a_failed_start_leaves_the_tree_as_it_was
        an_empty_tree_gets_a_root_directory_like_any_other
        a_command_may_wreck_its_tree
        nothing_written_to_a_device_stays
        trees_run_side_by_side;
    trees, SharedPids:
        a_killed_first_process_leaves_nothing_running
        a_stopped_first_process_is_killed_in_the_end
        the_builders_secrets_cannot_be_read
        a_builders_own_children_are_left_alone;
    trees, SharedMounts:
        the_machines_name_is_in_hosts_and_a_network_cannot_be_had;
    trees, Container:
        closing_waits_for_the_command_and_leaves_the_container_as_it_was
        what_the_builder_keeps_is_reached_by_its_path_and_in_no_tree;
    endings, Nothing:
        what_a_command_leaves_running_is_killed
        what_other_users_leave_running_is_killed
        a_killed_builder_takes_the_step_with_it
        a_stop_ends_a_step_that_obeys
        a_stop_kills_a_step_that_does_not_obey
        a_step_cannot_ask_for_its_own_stop
        a_panic_while_a_step_runs_leaves_nothing;
    endings, Layers:
        steps_run_side_by_side
        the_sandbox_cannot_be_entered_late_or_by_what_is_not_there;
};

/// Processes that cases start.
pub(crate) const HELPERS: &[Case] = cases! {
    endings, Nothing:
        helper_that_sleeps_in_a_step
        helper_that_enters_and_leaves;
};
