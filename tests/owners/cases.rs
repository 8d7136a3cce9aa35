//! All cases, each with the tree that it needs.

use crate::fixture::Fixture;
use crate::support::Base;

mod creations;
mod debian;
mod identities;
mod owners;
mod processes;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) base: Base,
    pub(crate) run: fn(&Fixture),
}

macro_rules! cases {
    ($($base:ident: $module:ident::$name:ident,)*) => {
        &[$(Case {
            name: stringify!($name),
            base: Base::$base,
            run: $module::$name,
        }),*]
    };
}

pub(crate) const CASES: &[Case] = cases![
    Busybox: owners::a_change_of_owner_is_recorded_and_shown,
    Busybox: owners::a_link_itself_can_be_given_away,
    Busybox: owners::all_names_of_a_file_have_one_owner_and_a_new_file_has_none,
    Busybox: owners::set_id_bits_go_with_the_owner,
    Busybox: owners::a_copy_keeps_owners,
    Busybox: owners::paths_are_found_as_the_process_finds_them,
    Busybox: owners::only_root_gives_files_away,
    Busybox: identities::a_step_begins_as_its_user,
    Busybox: identities::su_makes_another_user_and_there_is_no_way_back,
    Busybox: identities::a_set_id_program_gives_the_rights_of_its_owner,
    Busybox: identities::who_a_process_is_outlives_its_parent,
    Busybox: creations::what_a_user_makes_is_theirs,
    Busybox: creations::the_umask_and_the_mode_of_new_files_are_those_asked_for,
    Busybox: creations::what_is_made_in_a_set_group_id_directory_has_its_group,
    Busybox: creations::descriptors_are_opened_again_by_name,
    Busybox: creations::devices_are_recorded_and_shown,
    Busybox: creations::errors_are_those_of_the_kernel,
    Busybox: processes::many_short_lived_processes_are_answered,
    Busybox: processes::killed_processes_hold_nothing_up,
    Busybox: processes::a_step_that_cannot_start_ends,
    Busybox: processes::programs_of_32_bits_are_answered_too,
    Busybox: processes::what_an_answer_costs,
    Debian: debian::set_id_bits_of_programs_count_and_those_of_scripts_do_not,
    Debian: debian::nameless_files_keep_their_owner_when_they_get_a_name,
    Debian: debian::packages_with_users_of_their_own_are_installed,
];
