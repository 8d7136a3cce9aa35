//! `--explain-cache`: why a step was found, or not.

use crate::support::cache_dir::CacheDir;
use crate::support::{Site, Who};

#[test]
fn a_miss_is_explained_by_what_has_changed() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let build = |value: &str| {
        let context = site.context(&format!(
            "ARG VERSION={value}\nRUN echo $VERSION > /version"
        ));
        let executor = site.executor(Who::Root, &context);
        let build = executor.args(["--explain-cache", &cache.flag()]).run();
        build.assert_success();
        build.stderr().to_owned()
    };
    build("1");
    assert!(build("1").contains("cache: [stage-0 3/3] hit"));
    let explained = build("2");
    assert!(
        explained.contains("since the last time: variable VERSION changed"),
        "{explained}"
    );
}

#[test]
fn every_step_is_explained_and_without_the_flag_in_the_debug_log_only() {
    let site = Site::busybox();
    let context = site
        .context("COPY f /f\nRUN cat /f > /seen\nENV A=1")
        .file("f", "1");
    // Copies are not in the repository unless that is wanted.
    let build = |flags: &[&str]| {
        let executor = site.executor(Who::Root, &context).arg("--cache");
        let build = executor.args(flags).run();
        build.assert_success();
        let lines = build.stderr().lines();
        let lines = lines.filter_map(|line| Some(line.split_once("cache: [stage-0 ")?.1));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = build(&["--explain-cache"]);
    assert!(first[0].starts_with("2/4] uncacheable: "), "{first:?}");
    assert!(
        first[1].starts_with("3/4] miss ") && first[1].ends_with(": not found"),
        "{first:?}"
    );
    let again = build(&["--verbosity=debug"]);
    assert!(again[1].starts_with("3/4] hit "), "{again:?}");
    assert_eq!((first.len(), again.len()), (2, 2));
    assert_eq!(build(&[]), Vec::<String>::new());
}
