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
