//! Where files come from and which of them stay out of the image.

use crate::support::{Executor, Kind, Site, Who};

#[test]
fn a_directory_of_the_context_is_the_context() {
    let site = Site::busybox();
    let context = site
        .context("COPY f /")
        .file("f", "outer")
        .file("sub/f", "inner")
        .file("sub/Dockerfile", format!("FROM {}\nCOPY f /\n", site.base));
    let dir = context.path().display().to_string();
    let given = |flags: &[&str]| {
        let executor = Executor::new(Who::Root).args(flags);
        let image = site.build_with(executor.destination(&site.app()));
        image.tree().get("f").kind.clone()
    };
    let (outer, inner) = (Kind::file("outer"), Kind::file("inner"));
    let url = format!("dir://{dir}");
    for context in [
        &["--context", &dir][..],
        &["-c", &url],
        &[&format!("-c={dir}")],
    ] {
        assert_eq!(given(context), outer, "{context:?}");
        // kaniko forgets it where the context is a bare path.
        let sub = [context, &["--context-sub-path=sub"]].concat();
        assert_eq!(given(&sub), inner, "{sub:?}");
        let none = [context, &["--context-sub-path="]].concat();
        assert_eq!(given(&none), outer, "{none:?}");
    }
}

#[test]
fn an_ignored_path_is_in_no_layer() {
    let site = Site::busybox();
    let context = site.context("RUN mkdir /a /b /c && touch /a/x /b/x /c/x");
    let executor = site.executor(Who::Root, &context);
    let tree = site
        .build_with(executor.args(["--ignore-path", "/a", "--ignore-path=/b/x"]))
        .tree();
    assert!(!tree.has("a/x") && !tree.has("b/x") && tree.has("c/x"));
}

#[test]
fn a_pattern_to_ignore_is_of_one_directory_on_the_way() {
    let site = Site::busybox();
    let context = site
        .context("RUN mkdir -p /a/log /b/log/x /c/log && touch /a/log/1 /b/log/x/1 /c/log/1 /c/x.tmp /y.tmp
COPY d /d/")
        .file("d/z.tmp", "")
        .file("d/z", "");
    for storage in ["overlay", "tree"] {
        let executor = site.executor(Who::Root, &context);
        let flags = ["--ignore-path=/[ab]/log", "--ignore-path=/*/*.tmp"];
        let executor = executor.args(flags).args(["--storage", storage]);
        let tree = site.build_with(executor).tree();
        for path in ["a", "b", "c/log/1", "y.tmp", "d/z"] {
            assert!(tree.has(path), "{storage}: {path}");
        }
        for path in ["a/log", "b/log", "c/x.tmp", "d/z.tmp"] {
            assert!(!tree.has(path), "{storage}: {path}");
        }
    }
    let wrong = site
        .executor(Who::Root, &context)
        .arg("--ignore-path=/a/[b");
    wrong.run().assert_error(
        1,
        &["cannot use --ignore-path", "syntax error in pattern `[b`"],
    );
}
