//! Where layers are kept: a repository, a directory, both, or a part of them.

use super::log::{assert_all_cached, assert_none_cached, steps};
use super::project::Project;
use crate::support::cache_dir::CacheDir;
use crate::support::executor::Build;
use crate::support::{Context, Executor, Image, Registry, Site, TestDir, Who};

/// Three steps, one of each kind that is kept.
fn context(site: &Site) -> Context {
    let lines = "COPY file /srv/
RUN cat /srv/file > /made
WORKDIR /work";
    site.context(lines).file("file", "file")
}

/// The steps that were executed.
fn executed(build: &Build) -> Vec<String> {
    let executed = steps(build).into_iter().filter(|step| !step.is_hit);
    executed.map(|step| step.text).collect()
}

/// Requests for blobs since `before`, but for those that ask whether they are there.
fn transfers(registry: &Registry, before: usize) -> Vec<String> {
    let requests = registry.requests().into_iter().skip(before);
    let is_transfer = |request: &String| {
        request.contains("/blobs/") && !request.starts_with("HEAD ") && !request.contains("mount=")
    };
    requests.filter(is_transfer).collect()
}

#[test]
fn what_is_found_in_a_repository_is_neither_pulled_nor_sent() {
    let site = Site::busybox();
    let repository = format!("--cache-repo={}", site.registry.reference("kept/layers"));
    let flags = ["--cache", "--cache-copy-layers", &repository];
    let first = Project::new(&site.registry, "one", context(&site)).build(&flags);
    for tag in site.registry.tags("kept/layers") {
        let is_key = tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_key, "{tag}");
        let entry = Image::pull(&site.registry, &format!("kept/layers:{tag}"));
        assert_eq!(entry.layers.len(), 1, "{tag}");
    }
    let two = Project::new(&site.registry, "two", context(&site));
    let before = site.registry.requests().len();
    let second = two.build(&flags);
    let transfers = transfers(&site.registry, before);
    assert_all_cached(&second.build);
    assert_eq!(second.digest, first.digest);
    // The configs of the base and of the image are all that moves.
    let image = two.pull(&second.digest);
    let is_of_a_layer = |request: &&String| {
        image
            .layers
            .iter()
            .any(|layer| request.contains(&layer.digest))
    };
    let of_layers: Vec<&String> = transfers.iter().filter(is_of_a_layer).collect();
    assert_eq!(of_layers, Vec::<&String>::new());
}

#[test]
fn a_directory_alone_is_a_cache() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let cache = CacheDir::new(who);
        let context = context(&site);
        let build = || {
            let build = site.executor(who, &context).arg(cache.flag()).run();
            build.assert_success();
            build
        };
        assert_none_cached(&build());
        assert_all_cached(&build());
        cache.assert_whole();
    }
}

#[test]
fn a_directory_in_place_of_a_repository_is_shared_by_jobs() {
    let site = Site::busybox();
    let dir = TestDir::new();
    let repository = format!("--cache-repo=oci:{}", dir.join("shared").display());
    let flags = ["--cache", "--cache-copy-layers", &repository];
    Project::new(&site.registry, "one", context(&site)).build(&flags);
    let second = Project::new(&site.registry, "two", context(&site)).build(&flags);
    assert_all_cached(&second.build);
}

#[test]
fn copies_are_in_a_repository_only_if_they_are_wanted_there() {
    let site = Site::busybox();
    let project = Project::new(&site.registry, "app", context(&site));
    project.build(&["--cache"]);
    // What stands on a copy that is executed again is found.
    let second = project.build(&["--cache"]);
    assert_eq!(executed(&second.build), ["COPY file /srv/"]);
    project.assert_same_as_uncached(&second, &[], &site.base);
}

#[test]
fn runs_are_executed_again_where_they_are_not_to_be_cached() {
    let site = Site::busybox();
    let project = Project::new(&site.registry, "app", context(&site));
    let flags = ["--cache", "--cache-run-layers=false", "--cache-copy-layers"];
    project.build(&flags);
    let second = project.build(&flags);
    assert_eq!(
        executed(&second.build),
        ["RUN cat /srv/file > /made", "WORKDIR /work"]
    );
}

#[test]
fn nothing_is_kept_where_nothing_may_be_pushed() {
    let site = Site::busybox();
    let project = Project::new(&site.registry, "app", context(&site));
    let flags = ["--cache", "--no-push-cache"];
    project.build(&flags);
    assert_none_cached(&project.build(&flags).build);
    assert_eq!(
        site.registry.tags(&project.cache_repository()),
        Vec::<String>::new()
    );
}

#[test]
fn without_a_push_a_cache_needs_a_place() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let build = |args: &[&str]| {
        let executor = Executor::new(Who::Root).context(&context);
        executor.args(["--no-push", "--cache"]).args(args).run()
    };
    build(&[]).assert_error(1, &["--cache-repo", "--cache-dir"]);
    let cache = CacheDir::new(Who::Root);
    build(&[&cache.flag()]).assert_success();
}

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
