//! A context that somebody writes to while it is built, and steps that made what they would not have made elsewhere: nobody
//! else is given their layers.

use super::log::{assert_all_cached, steps, warnings};
use crate::support::cache_dir::CacheDir;
use crate::support::executor::{Build, Executor};
use crate::support::file_server::FileServer;
use crate::support::{Image, Kind, Site, Who, site};
use std::fs;

fn hits(build: &Build) -> Vec<bool> {
    steps(build).iter().map(|step| step.is_hit).collect()
}

/// Starts a build whose first step waits for `go` on the server, and lets it go on after `change`.
fn run_around(executor: Executor, server: &FileServer, go: &str, change: impl FnOnce()) -> Build {
    let running = executor.start();
    server.wait_for_request(&format!("GET /plain/{go}"));
    change();
    server.file(go, "");
    running.wait()
}

/// How many steps were said not to be cached because the context has changed.
fn changes_told(build: &Build) -> usize {
    let told = warnings(build);
    let told = told
        .iter()
        .filter(|line| line.contains("have changed since"));
    told.count()
}

#[test]
fn files_that_change_during_a_build_are_kept_under_no_key() {
    let site = Site::busybox();
    let (server, cache) = (FileServer::start(), CacheDir::new(Who::Root));
    let context = site
        .context(&format!(
            "RUN until wget -q -O - {} > /dev/null 2>&1; do sleep 0.1; done
COPY f /copied
RUN --mount=target=/m cp /m/f /seen
RUN true",
            server.url("plain/go")
        ))
        .file("f", "old");
    let write = |text: &str| fs::write(context.path().join("f"), text).expect("write a file");
    let executor = || site.executor(Who::Root, &context).arg(cache.flag());
    let built = run_around(executor(), &server, "go", || write("new"));
    built.assert_success();
    assert_eq!(changes_told(&built), 2, "{}", built.report());
    // What was there when the build began was not copied; the next build copies it.
    write("old");
    let again = executor().run();
    again.assert_success();
    assert_eq!(
        hits(&again),
        [true, false, false, false],
        "{}",
        again.report()
    );
    let tree = Image::pull(&site.registry, site::APP).tree();
    for path in ["copied", "seen"] {
        assert_eq!(tree.get(path).kind, Kind::file("old"), "{path}");
    }
    assert_all_cached(&executor().run());
    cache.assert_whole();
}

#[test]
fn files_that_change_before_a_step_that_takes_others_too_are_kept_under_no_key() {
    let site = Site::busybox();
    let (server, cache) = (FileServer::start(), CacheDir::new(Who::Root));
    let context = site
        .context(&format!(
            "FROM {base} AS tools
RUN echo tool > /tool
FROM {base}
RUN until wget -q -O - {go} > /dev/null 2>&1; do sleep 0.1; done
RUN --mount=target=/m --mount=from=tools,target=/t cp /m/f /seen",
            base = site.base,
            go = server.url("plain/go")
        ))
        .file("f", "old");
    let write = |text: &str| fs::write(context.path().join("f"), text).expect("write a file");
    let executor = || site.executor(Who::Root, &context).arg(cache.flag());
    let built = run_around(executor(), &server, "go", || write("new"));
    built.assert_success();
    assert_eq!(changes_told(&built), 1, "{}", built.report());
    // What was made of the new files is nothing that the old ones are answered with.
    write("old");
    executor().run().assert_success();
    let tree = Image::pull(&site.registry, site::APP).tree();
    assert_eq!(tree.get("seen").kind, Kind::file("old"));
}

#[test]
fn what_was_found_for_the_old_files_is_not_put_on_new_ones() {
    let site = Site::busybox();
    let (server, cache) = (FileServer::start(), CacheDir::new(Who::Root));
    let context = site
        .context(&format!(
            "ARG ROUND
RUN until wget -q -O - {}$ROUND > /waited 2>/dev/null; do sleep 0.1; done
FROM {}
COPY f /copied
RUN cp /copied /two
COPY --from=0 /waited /",
            server.url("plain/"),
            site.base,
        ))
        .file("f", "old");
    let write = |text: &str| fs::write(context.path().join("f"), text).expect("write a file");
    let executor = |round: &str| {
        let executor = site.executor(Who::Root, &context);
        executor.args([
            &cache.flag(),
            "--cache-copy-layers=false",
            &format!("--build-arg=ROUND={round}"),
        ])
    };
    server.file("1", "");
    executor("1").run().assert_success();
    // The last stage is asked for at once, and built when the first is there.
    let built = run_around(executor("2"), &server, "2", || write("new"));
    built.assert_error(1, &["files of the build context have changed"]);
    let stderr = built.stderr();
    assert!(stderr.contains("hint: build again"), "{}", built.report());
    executor("2").run().assert_success();
    let tree = Image::pull(&site.registry, site::APP).tree();
    assert_eq!(tree.get("two").kind, Kind::file("new"));
}

#[test]
fn a_mount_that_could_not_be_kept_read_only_is_told_and_its_layer_not_kept() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let context = site.context("RUN --mount=target=/m touch /m/new || true");
    let build = |isolation: &str| {
        let executor = site.executor(Who::Root, &context);
        let build = executor
            .args(["--isolation", isolation, &cache.flag()])
            .run();
        build.assert_success();
        build
    };
    for _ in 0..2 {
        let build = build("chroot");
        let told = warnings(&build);
        let told = told.iter().filter(|line| {
            line.contains("wrote to `/m`, which is mounted read-only: isolation `chroot`")
        });
        assert_eq!(told.count(), 1, "{}", build.report());
        assert_eq!(hits(&build), [false], "{}", build.report());
    }
    // Where it is refused, the step is as good as any.
    let refused = build("ns");
    let is_told = warnings(&refused)
        .iter()
        .any(|line| line.contains("read-only"));
    assert!(!is_told, "{}", refused.report());
    assert_all_cached(&build("ns"));
}

#[test]
fn a_secret_that_could_not_be_kept_read_only_is_told_and_its_layer_not_kept() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let build = |command: &str| {
        let context = site.context(&format!("RUN --mount=type=secret,id=key {command}"));
        let executor = site.executor(Who::Root, &context);
        let build = executor
            .args(["--isolation=chroot", &cache.flag()])
            .args(["--secret=id=key,env=KEY"])
            .env("KEY", "very-secret")
            .run();
        build.assert_success();
        build
    };
    for _ in 0..2 {
        let build = build("echo more >>/run/secrets/key");
        let told = warnings(&build);
        let told = told.iter().filter(|line| {
            line.contains("wrote to `/run/secrets/key`, which is mounted read-only")
        });
        assert_eq!(told.count(), 1, "{}", build.report());
        assert_eq!(hits(&build), [false], "{}", build.report());
    }
    let reading = "cat /run/secrets/key";
    let read = build(reading);
    let told = warnings(&read);
    let told = told.iter().filter(|line| line.contains("wrote to"));
    assert_eq!(told.count(), 0, "{}", read.report());
    assert_all_cached(&build(reading));
}

#[test]
fn a_tmpfs_without_a_limit_is_measured_in_the_end() {
    let site = Site::busybox();
    let run = |bytes: &str| {
        let context = site.context(&format!(
            "RUN --mount=type=tmpfs,target=/t,size=64k head -c {bytes} /dev/zero > /t/file"
        ));
        let executor = site.executor(Who::Root, &context);
        executor.arg("--isolation=chroot").run()
    };
    run("65536").assert_success();
    run("65537").assert_error(
        1,
        &["left 69632 bytes in the tmpfs `/t`, which is limited to 65536"],
    );
}
