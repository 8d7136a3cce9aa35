//! The environment that kaniko's documentation names, and how flags are written.

use crate::support::executor::Build;
use crate::support::{Context, Executor, Site, Who};

#[test]
fn the_variable_decides_whether_anything_is_pushed() {
    let site = Site::busybox();
    let context = site.context("LABEL a=b");
    let build = |flag: &str, value: &str| {
        let executor = site.executor(Who::User, &context).arg(flag);
        executor.env("KANIKO_NO_PUSH", value).run()
    };
    build("--no-push=false", "true").assert_success();
    site.assert_nothing_pushed();
    build("--no-push=0", "T").assert_success();
    site.assert_nothing_pushed();
    build("--no-push", "").assert_success();
    site.assert_nothing_pushed();
    build("--no-push", "maybe").assert_error(1, &["KANIKO_NO_PUSH", "maybe"]);
    build("--no-push", "0").assert_success();
    assert_eq!(site.registry.tags("app"), ["1"]);
}

#[test]
fn the_variable_asks_for_an_isolation_as_the_flag_does() {
    let context = Context::new("FROM scratch\nCOPY f /\n").file("f", "");
    let build = |value: &str, flags: &[&str]| {
        let executor = Executor::new(Who::Root).context(&context).arg("--no-push");
        executor.args(flags).env("SAWAGANI_ISOLATION", value).run()
    };
    let mode = |build: &Build| {
        build.assert_success();
        let mut words = build.stderr().split_whitespace();
        words.find(|word| *word == "isolation:");
        words.next().map(str::to_owned)
    };
    assert_eq!(mode(&build("none", &[])).as_deref(), Some("none"));
    let given = build("none", &["--isolation=chroot"]);
    assert_eq!(mode(&given).as_deref(), Some("chroot"));
    build("best", &[]).assert_error(1, &["unknown isolation `best`"]);
}

#[test]
fn a_bare_build_argument_has_its_value_from_the_environment() {
    let site = Site::busybox();
    let context = site
        .context("ARG A\nARG B=default\nARG C=default\nRUN test \"$A,$B,$C\" = 'x=1,2,,default'");
    let executor = site.executor(Who::User, &context).env("A", "x=1,2");
    let build = executor.args(["--build-arg", "A", "--build-arg=B"]).run();
    build.assert_success();
}

#[test]
fn variables_that_steer_kanikos_mechanism_are_told() {
    let context = Context::new("FROM scratch\nLABEL a=b\n");
    let executor = || Executor::new(Who::User).context(&context).arg("--no-push");
    let build = executor()
        .env("KANIKO_CLEANUP", "true")
        .env("KANIKO_PRE_CLEANUP", "true")
        .env("KANIKO_PRESERVE_CONTEXT", "true")
        .env("KANIKO_PRINT_PLAN", "1")
        .env("SNAPSHOT_TIMEOUT_DURATION", "90m")
        .env("FF_KANIKO_COPY_AS_ROOT", "1")
        .env("FF_KANIKO_RUN_VIA_TINI", "1")
        .run();
    build.assert_success();
    for name in [
        "KANIKO_CLEANUP",
        "KANIKO_PRE_CLEANUP",
        "KANIKO_PRESERVE_CONTEXT",
        "KANIKO_PRINT_PLAN",
        "SNAPSHOT_TIMEOUT_DURATION",
    ] {
        let line = format!("{name} has no effect: ");
        assert_eq!(
            build.stderr().matches(&line).count(),
            1,
            "{name}\n{}",
            build.report()
        );
    }
    let features = build.stderr().matches("FF_KANIKO_* have no effect: ");
    assert_eq!(features.count(), 1, "{}", build.report());
    let build = executor().run();
    assert!(!build.stderr().contains("no effect"), "{}", build.report());
}

#[test]
fn empty_values_are_as_if_nothing_was_given() {
    let site = Site::busybox();
    let context = site.context("LABEL a=b");
    let flags = [
        "--tar-path=",
        "--oci-layout-path=",
        "--digest-file=",
        "--image-name-with-digest-file=",
        "--image-name-tag-with-digest-file=",
        "--cache-repo=",
        "--cache-dir=",
        "--target=",
        "--context-sub-path=",
        "--custom-platform=",
        "--kaniko-dir=",
    ];
    // What has no value follows, and a value that begins with a dash is one.
    let executor = site.executor(Who::User, &context).args(flags);
    executor
        .args(["--compression-level", "-1"])
        .run()
        .assert_success();
    assert_eq!(site.registry.tags("app"), ["1"]);
}

#[test]
fn words_that_are_no_flags_end_the_program_with_1() {
    for words in [
        &["--no-such-flag"][..],
        &["--no-push", "true"],
        &["--no-push=yes"],
        &["--cache-ttl=14d"],
        &["--compression=lz4"],
        &["--image-format=v1"],
        &["--destination"],
        &["--push-retry-forever=1"],
        &["-z"],
        &["no-such-command"],
    ] {
        let build = Executor::new(Who::User).args(words).run_as_given();
        build.assert_error(1, &[]);
    }
    // Neither does help where nothing was asked for.
    let build = Executor::new(Who::User).run_as_given();
    assert_eq!(build.code(), 1, "{}", build.report());
}
