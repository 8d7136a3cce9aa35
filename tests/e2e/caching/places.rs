//! Where layers are kept: a repository, a directory, both, or a part of them.

use super::job::{Input, Job, Steps};
use crate::support::cache_dir::CacheDir;
use crate::support::{Context, Registry, Site, Who};

fn input(site: &Site) -> Input {
    let base = &site.base;
    Input {
        dockerfile: format!(
            "FROM {base}\nCOPY file /srv/\nRUN cat /srv/file > /made\nWORKDIR /work\n"
        ),
        files: vec![("file", super::job::Entry::File("file"))],
        args: Vec::new(),
    }
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
    let flags = ["--cache", "--cache-copy-layers", "--cache-repo"];
    let repository = site.registry.reference("kept/layers");
    let flags = [&flags[..], &[repository.as_str()]].concat();
    let input = input(&site);
    let (_, first) = Job::new(&site, "one", &flags).build(&input);
    for tag in site.registry.tags("kept/layers") {
        assert!(
            tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{tag}"
        );
        let entry = crate::support::Image::pull(&site.registry, &format!("kept/layers:{tag}"));
        assert_eq!(entry.layers.len(), 1, "{tag}");
    }
    let before = site.registry.requests().len();
    let two = Job::new(&site, "two", &flags);
    let build = two.run(&input);
    let transfers = transfers(&site.registry, before);
    let second = two.image("cached");
    let steps = Steps::of(&build);
    assert_eq!(
        (steps.cached.len(), steps.executed.len()),
        (3, 0),
        "{}",
        build.stderr()
    );
    assert_eq!(second.digest(), first.digest());
    // The configs of the base and of the image are all that moves.
    let of_layers: Vec<&String> = transfers
        .iter()
        .filter(|request| {
            second
                .layers
                .iter()
                .any(|layer| request.contains(&layer.digest))
        })
        .collect();
    assert_eq!(of_layers, Vec::<&String>::new());
}

#[test]
fn a_directory_alone_is_a_cache() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let cache = CacheDir::new(who);
        let context = Context::new(&input(&site).dockerfile).file("file", "file");
        let build = || {
            let executor = site.executor(who, &context).arg(cache.flag());
            let build = executor.run();
            build.assert_success();
            let steps = Steps::of(&build);
            (steps.cached.len(), steps.executed.len())
        };
        assert_eq!(build(), (0, 3), "{who:?}");
        assert_eq!(build(), (3, 0), "{who:?}");
        cache.assert_whole();
    }
}

#[test]
fn a_directory_in_place_of_a_repository_is_shared_by_jobs() {
    let site = Site::busybox();
    let dir = crate::support::TestDir::new();
    let repository = format!("--cache-repo=oci:{}", dir.join("shared").display());
    let flags = ["--cache", "--cache-copy-layers", &repository];
    let input = input(&site);
    Job::new(&site, "one", &flags).build(&input);
    let (build, _) = Job::new(&site, "two", &flags).build(&input);
    assert_eq!(Steps::of(&build).executed, Vec::<String>::new());
}

#[test]
fn copies_are_in_a_repository_only_if_they_are_wanted_there() {
    let site = Site::busybox();
    let input = input(&site);
    let job = Job::new(&site, "app", &["--cache"]);
    job.build(&input);
    // What stands on a copy that is executed again is found.
    let (build, cached) = job.build(&input);
    let steps = Steps::of(&build);
    assert_eq!(steps.executed, ["COPY file /srv/"], "{}", build.stderr());
    assert_eq!(cached.digest(), job.build_uncached(&input).digest());
}

#[test]
fn runs_are_executed_again_where_they_are_not_to_be_cached() {
    let site = Site::busybox();
    let input = input(&site);
    let flags = ["--cache", "--cache-run-layers=false", "--cache-copy-layers"];
    let job = Job::new(&site, "app", &flags);
    job.build(&input);
    let (build, _) = job.build(&input);
    assert_eq!(Steps::of(&build).cached, ["COPY file /srv/"]);
}

#[test]
fn nothing_is_kept_where_nothing_may_be_pushed() {
    let site = Site::busybox();
    let input = input(&site);
    let job = Job::new(&site, "app", &["--cache", "--no-push-cache"]);
    job.build(&input);
    let (build, _) = job.build(&input);
    assert_eq!(Steps::of(&build).cached, Vec::<String>::new());
    assert_eq!(site.registry.tags("app/cache"), Vec::<String>::new());
}

#[test]
fn without_a_push_a_cache_needs_a_place() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let build = |args: &[&str]| {
        let executor = crate::support::Executor::new(Who::Root).context(&context);
        executor.args(["--no-push", "--cache"]).args(args).run()
    };
    build(&[]).assert_error(1, &["--cache-repo", "--cache-dir"]);
    let cache = CacheDir::new(Who::Root);
    build(&[&cache.flag()]).assert_success();
}

#[test]
fn what_is_too_old_is_made_again() {
    let site = Site::busybox();
    let input = input(&site);
    Job::new(&site, "app", &["--cache"]).build(&input);
    let (build, _) = Job::new(
        &site,
        "app",
        &["--cache", "--cache-ttl=0s", "--explain-cache"],
    )
    .build(&input);
    assert_eq!(Steps::of(&build).cached, Vec::<String>::new());
    assert!(build.stderr().contains("expired"), "{}", build.stderr());
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
