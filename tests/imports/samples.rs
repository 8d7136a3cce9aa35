//! Each rule of the house, held against a sample that keeps it and one that breaks it.

use super::rules::complaints_about;
use std::path::Path;

fn complaints(file: &str, text: &str) -> Vec<String> {
    complaints_about(Path::new(file), text)
}

fn assert_flagged(file: &str, text: &str, expected: &str) {
    let found = complaints(file, text);
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "expected one complaint with {expected:?}, got {found:?} about: {text}"
    );
}

fn assert_clean(file: &str, text: &str) {
    assert_eq!(
        complaints(file, text),
        Vec::<String>::new(),
        "about: {text}"
    );
}

#[test]
fn an_upward_import_is_flagged_with_its_line() {
    assert_flagged(
        "image/digest.rs",
        "\nuse crate::registry::Client;\n",
        "2: `image` imports `registry`",
    );
}

#[test]
fn a_sideways_import_is_flagged() {
    assert_flagged(
        "sandbox/run.rs",
        "use crate::snapshot::Changes;",
        "`sandbox` imports `snapshot`",
    );
    assert_flagged(
        "sys/fork.rs",
        "use crate::dockerfile::Span;",
        "`sys` imports `dockerfile`",
    );
}

#[test]
fn a_downward_import_and_one_within_the_room_pass() {
    assert_clean(
        "build/run.rs",
        "use crate::sandbox::Rootfs; use crate::build::step::Step;",
    );
    assert_clean("bin/executor.rs", "fn main() { sawagani::cli::main() }");
    assert_clean("lib.rs", "pub mod cli; pub use crate::cli::main;");
}

#[test]
fn a_path_inside_an_expression_counts_as_an_import() {
    assert_flagged(
        "fs/root.rs",
        "fn f() { crate::build::go() }",
        "`fs` imports `build`",
    );
}

#[test]
fn each_name_of_a_braced_import_is_followed() {
    assert_flagged(
        "fs/walk.rs",
        "use crate::{sys::{open, close}, fs::root, image::Digest};",
        "`fs` imports `image`",
    );
    assert_flagged(
        "fs/walk.rs",
        "use {crate::sys, crate::cache::Key};",
        "`fs` imports `cache`",
    );
}

#[test]
fn super_chains_that_reach_the_root_are_followed() {
    assert_flagged("fs/mod.rs", "use super::build::go;", "`fs` imports `build`");
    assert_flagged(
        "fs/walk.rs",
        "use super::super::build::go;",
        "`fs` imports `build`",
    );
    assert_flagged(
        "fs/walk.rs",
        "mod tests { use super::super::super::build::go; }",
        "`fs` imports `build`",
    );
    assert_clean(
        "fs/walk.rs",
        "use super::build::go; mod tests { use super::super::build; }",
    );
}

#[test]
fn what_is_no_room_cannot_be_imported_from_the_root() {
    assert_flagged("fs/walk.rs", "use crate::*;", "`crate::*`");
    assert_flagged("fs/walk.rs", "use crate::Result;", "`crate::Result`");
}

#[test]
fn comments_strings_and_lifetimes_are_not_read_as_code() {
    assert_clean(
        "fs/walk.rs",
        r###"
//! See `crate::build`, /* unbalanced
/* crate::cli /* nested: unsafe */ println!() */
fn f<'a>(x: &'a str) -> char { let _ = ("crate::cli \" unsafe", r##"crate::build "# "##, b"unsafe", '"', '\''); 'c' }
"###,
    );
    assert_flagged(
        "fs/walk.rs",
        "fn f<'a>() { let c = '\"'; crate::cli::x(\"\") }",
        "`fs` imports `cli`",
    );
}

#[test]
fn unsafe_is_flagged_outside_sys_only() {
    assert_flagged("sandbox/init.rs", "unsafe { fork() }", "`unsafe`");
    assert_clean("sys/fork.rs", "unsafe { fork() }");
    assert_clean("sandbox/mod.rs", "#![allow(unsafe_code)]");
}

#[test]
fn printing_is_flagged_outside_cli_and_bin() {
    assert_flagged("build/mod.rs", "fn f() { println!(\"x\"); }", "`println!`");
    assert_flagged(
        "output/mod.rs",
        "fn f() { std::io::stderr().write_all(b\"x\"); }",
        "`io::stderr`",
    );
    assert_clean("cli/progress.rs", "fn f() { eprintln!(\"x\"); }");
    assert_clean("bin/warmer.rs", "fn main() { eprintln!(\"x\"); }");
    assert_clean("build/run.rs", "command.stdout(Stdio::inherit());");
}

#[test]
fn reading_the_environment_is_flagged_outside_cli_and_bin() {
    assert_flagged(
        "registry/auth.rs",
        "let home = std::env::var(\"HOME\");",
        "`env::var`",
    );
    assert_flagged(
        "registry/auth.rs",
        "use std::env::{consts::ARCH, args};",
        "`env::args`",
    );
    assert_clean(
        "image/platform.rs",
        "const ARCH: &str = std::env::consts::ARCH;",
    );
    assert_clean("cli/options.rs", "std::env::args_os()");
}

#[test]
fn unit_tests_may_print_and_read_the_environment_but_not_import_upward() {
    assert_clean(
        "fs/walk.rs",
        "mod tests { fn f() { println!(\"{:?}\", std::env::temp_dir()); } }",
    );
    assert_clean("fs/walk/tests.rs", "fn f() { println!(); }");
    assert_flagged(
        "fs/walk.rs",
        "mod tests { use crate::build::go; }",
        "`fs` imports `build`",
    );
    assert_flagged(
        "fs/walk.rs",
        "mod tests { } fn f() { println!(); }",
        "`println!`",
    );
}
