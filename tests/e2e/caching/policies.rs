//! The flags that say what is cached, and how it is kept: as kaniko has them.

use super::log::{Step, assert_all_cached, assert_none_cached, steps};
use super::project::{Built, Project};
use crate::support::image::text;
use crate::support::{Base, BaseImage, Context, Registry};
use serde_json::Value;
use std::fs;

const LINES: &str = "RUN echo one > /one\nCOPY src /src\nRUN cat /src/a > /copy\n";

fn project<'a>(registry: &'a Registry, base: &BaseImage) -> Project<'a> {
    let context = Context::new(format!("FROM {base}\n{LINES}")).file("src/a", "a\n");
    Project::new(registry, "app", context)
}

/// Fails the test unless the steps were hit as given, in their order.
fn assert_hits(built: &Built, expected: [bool; 3]) {
    let hits: Vec<bool> = steps(&built.build)
        .iter()
        .map(|Step { is_hit, .. }| *is_hit)
        .collect();
    assert_eq!(hits, expected, "{}", built.build.report());
}

/// What made the entries of the cache, by their tags.
fn makers(registry: &Registry, repository: &str) -> Vec<String> {
    let tags = registry.tags(repository).into_iter();
    tags.map(|tag| {
        let manifest = registry.manifest(repository, &tag);
        let config = registry.blob_file(text(&manifest["config"]["digest"]));
        let config: Value =
            serde_json::from_slice(&fs::read(config).expect("read a config")).expect("JSON");
        text(&config["history"][0]["created_by"]).to_owned()
    })
    .collect()
}

#[test]
fn copies_are_not_in_the_repository_by_default_and_commands_after_them_are() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    assert_none_cached(&project.build(&["--cache"]).build);
    let makers = makers(&registry, "app/cache");
    assert!(
        makers.len() >= 2 && makers.iter().all(|maker| !maker.contains("COPY")),
        "{makers:?}"
    );
    let again = project.build(&["--cache"]);
    assert_hits(&again, [true, false, true]);
    project.assert_same_as_uncached(&again, &[], &base);
}

#[test]
fn copies_are_in_the_repository_where_that_is_wanted() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    project.build(&["--cache", "--cache-copy-layers"]);
    let makers = makers(&registry, "app/cache");
    assert!(
        makers.iter().any(|maker| maker.contains("COPY")),
        "{makers:?}"
    );
    assert_all_cached(&project.build(&["--cache", "--cache-copy-layers"]).build);
}

#[test]
fn commands_are_not_cached_where_that_is_not_wanted() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    let flags = ["--cache", "--cache-run-layers=false", "--cache-copy-layers"];
    project.build(&flags);
    let makers = makers(&registry, "app/cache");
    assert!(
        !makers.is_empty() && makers.iter().all(|maker| maker.contains("COPY")),
        "{makers:?}"
    );
    let again = project.build(&flags);
    // The command before it has made what it made the last time.
    assert_hits(&again, [false, true, false]);
    project.assert_same_as_uncached(&again, &[], &base);
}

#[test]
fn nothing_is_pushed_to_a_cache_that_is_only_read() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    let flags = ["--cache", "--cache-copy-layers", "--no-push-cache"];
    assert_none_cached(&project.build(&flags).build);
    assert_eq!(registry.tags("app/cache"), Vec::<String>::new());
    project.build(&["--cache", "--cache-copy-layers"]);
    let kept = registry.tags("app/cache");
    assert!(!kept.is_empty());
    assert_all_cached(&project.build(&flags).build);
    assert_eq!(registry.tags("app/cache"), kept);
}

#[test]
fn a_cache_without_a_place_is_an_error() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    let build = project.executor().args(["--cache", "--no-push"]).run();
    // As kaniko (cmd/executor/cmd/root.go): the words are searched for.
    let words = "if using cache with --no-push, specify cache repo with --cache-repo";
    build.assert_error(1, &[words]);
    // With a place it is none.
    let cache = format!("--cache-repo={}", registry.reference("steps"));
    let build = project
        .executor()
        .args(["--cache", "--no-push", &cache])
        .run();
    build.assert_success();
    assert!(!registry.tags("steps").is_empty());
    assert_eq!(registry.tags("app"), Vec::<String>::new());
}

#[test]
fn an_entry_is_an_image_of_one_layer_under_64_digits() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = project(&registry, &base);
    for flags in [&["--compression=zstd"][..], &[]] {
        project.build(&[&["--cache", "--cache-copy-layers"], flags].concat());
    }
    let tags = registry.tags("app/cache");
    // Three steps, each at least under its key by definition, in two compressions.
    assert!(tags.len() >= 6, "{tags:?}");
    for tag in tags {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(tag.len() == 64 && tag.bytes().all(is_digit), "{tag}");
        let entry = crate::support::Image::pull(&registry, &format!("app/cache:{tag}"));
        assert_eq!(entry.layers.len(), 1, "{tag}");
        let complaints = crate::support::oracle::complaints_about(&entry, &[]);
        assert_eq!(complaints, Vec::<String>::new(), "{tag}");
    }
}
