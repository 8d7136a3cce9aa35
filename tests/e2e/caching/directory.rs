//! `--cache-dir` alone, without any cache in a registry.

use super::log::{assert_all_cached, assert_none_cached};
use super::project::Project;
use crate::support::{Base, Context, Proxy, Registry, TestDir};

fn context(base: &str) -> Context {
    Context::new(format!(
        "FROM {base} AS build\nCOPY src /src\nRUN cat /src/a > /made\n\
         FROM {base}\nWORKDIR /app\nCOPY src src\nRUN cat src/a > copy\nCOPY --from=build /made /made\n"
    ))
    .file("src/a", "a\n")
}

#[test]
fn a_directory_answers_every_step_and_the_registry_is_asked_for_the_tag_of_the_base_only() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let proxy = Proxy::before(&registry);
    let project = Project::new(
        &registry,
        "app",
        context(&proxy.reference("base/busybox:1")),
    );
    let dir = TestDir::new();
    let cache = format!("--cache-dir={}", dir.join("cache").display());
    let first = project.build(&[&cache]);
    assert_none_cached(&first.build);
    proxy.take();

    let again = project.build(&[&cache]);
    assert_all_cached(&again.build);
    assert_eq!(again.digest, first.digest);
    let asked = proxy.take().requests;
    let is_tag = |request: &String| {
        request.ends_with(" /v2/") || request.ends_with(" /v2/base/busybox/manifests/1")
    };
    assert!(!asked.is_empty() && asked.iter().all(is_tag), "{asked:#?}");
    assert_eq!(registry.tags("app/cache"), Vec::<String>::new());
    project.assert_same_as_uncached(&again, &[], &base);
}

#[test]
fn a_directory_named_as_a_repository_is_a_cache_for_all_steps_too() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let project = Project::new(&registry, "app", context(&base.reference));
    let dir = TestDir::new();
    let cache = format!("--cache-repo=oci:{}", dir.join("cache").display());
    let flags = ["--cache", "--cache-copy-layers", &cache];
    assert_none_cached(&project.build(&flags).build);
    let again = project.build(&flags);
    assert_all_cached(&again.build);
    assert_eq!(registry.tags("app/cache"), Vec::<String>::new());
    project.assert_same_as_uncached(&again, &[], &base);
    let verified = super::project::verify(&dir.join("cache"));
    assert_eq!(verified.code(), 0, "{verified:?}");
}
