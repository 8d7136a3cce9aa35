//! Build, change one thing, build again: what is answered and what is executed, written down by hand.
//!
//! Each table is data; `Change` says how to read a row, and `check` is all that is done with it.

mod bases;
mod case;
mod check;
mod dockerfile;
mod files;
mod flags;
mod linked;
mod stages;

use case::{BaseImages, Change, Edit};

#[test]
fn changes_of_files_execute_what_copies_them() {
    check::all(files::CHANGES);
}

#[test]
fn changes_of_the_dockerfile_execute_what_they_are_about() {
    check::all(dockerfile::CHANGES);
}

#[test]
fn changes_of_stages_execute_what_sees_other_files() {
    check::all(stages::CHANGES);
}

#[test]
fn changes_of_the_base_execute_what_sees_other_files() {
    check::all(bases::CHANGES);
}

#[test]
fn changes_of_flags_execute_what_they_reach() {
    check::all(flags::CHANGES);
}

#[test]
fn changes_below_a_linked_copy_execute_all_but_it() {
    check::all(linked::CHANGES);
}

#[test]
fn there_are_enough_changes() {
    let tables = [
        files::CHANGES,
        dockerfile::CHANGES,
        stages::CHANGES,
        bases::CHANGES,
        flags::CHANGES,
        linked::CHANGES,
    ];
    let changes: usize = tables.iter().map(|table| table.len()).sum();
    assert!(changes >= 30, "{changes}");
}
