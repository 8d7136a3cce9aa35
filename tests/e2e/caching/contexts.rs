//! What stands in for images and stages (`--build-context`) counts by what it is, not by where it lies.

use super::log::{assert_all_cached, steps};
use crate::support::cache_dir::CacheDir;
use crate::support::{Context, Executor, Image, Kind, Site, Who, site};

#[test]
fn what_a_cache_mount_starts_with_is_in_the_key() {
    let site = Site::busybox();
    let context = Context::new(format!(
        "FROM {base} AS made\nARG MADE\nRUN echo $MADE > /made\n\
         FROM {base}\nRUN --mount=type=cache,from=files,target=/c cp /c/f /seen\n\
         RUN --mount=type=cache,from=made,target=/d cp /d/made /made\n",
        base = site.base
    ));
    let cache = CacheDir::new(Who::Root);
    let build = |content: &str, made: &str| {
        let build = Executor::new(Who::Root)
            .context(&context)
            .named_context("files", &Context::without_dockerfile().file("f", content))
            .args([cache.flag(), "--cache-mounts=off".to_owned()])
            .arg(format!("--build-arg=MADE={made}"))
            .destination(&site.app())
            .run();
        build.assert_success();
        build
    };
    let seen = || {
        let tree = Image::pull(&site.registry, site::APP).tree();
        (tree.get("seen").kind.clone(), tree.get("made").kind.clone())
    };
    build("1", "a");
    assert_all_cached(&build("1", "a"));
    build("2", "a");
    assert_eq!(seen(), (Kind::file("2"), Kind::file("a\n")));
    build("2", "b");
    assert_eq!(seen(), (Kind::file("2"), Kind::file("b\n")));
}

#[test]
fn what_stands_in_is_in_the_keys_by_its_content_alone() {
    let site = Site::busybox();
    let named = |content: &str| Context::without_dockerfile().file("f", content);
    let context = Context::new(format!(
        "FROM files AS loaded\nFROM {}\nCOPY --from=files f /one\nCOPY --from=loaded f /two\nRUN --mount=from=files,target=/m cp /m/f /three\n",
        site.base
    ));
    let cache = CacheDir::new(Who::Root);
    let build = |named: &Context| {
        let build = Executor::new(Who::Root)
            .context(&context)
            .named_context("files", named)
            .arg(cache.flag())
            .destination(&site.app())
            .run();
        build.assert_success();
        build
    };
    build(&named("1"));
    // The same files elsewhere.
    assert_all_cached(&build(&named("1")));
    let changed = steps(&build(&named("2")));
    assert!(changed.iter().all(|step| !step.is_hit), "{changed:?}");
    let tree = Image::pull(&site.registry, site::APP).tree();
    for name in ["one", "two", "three"] {
        assert_eq!(tree.get(name).kind, Kind::file("2"), "{name}");
    }
}
