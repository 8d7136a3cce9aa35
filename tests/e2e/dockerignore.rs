//! What `.dockerignore` hides from the build.

use crate::support::{Site, Who};

#[test]
fn ignored_files_are_not_there() {
    let site = Site::busybox();
    let context = site
        .context("COPY . /all/")
        .file(
            ".dockerignore",
            "# not this\n*.log\nsecret/\n!secret/public\n**/deep.tmp\nDockerfile\n",
        )
        .file("kept.txt", "")
        .file("dropped.log", "")
        .file("sub/kept.log", "")
        .file("secret/private", "")
        .file("secret/public", "")
        .file("a/b/c/deep.tmp", "")
        .file("a/b/c/kept", "");
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("all"),
        [".dockerignore", "a", "kept.txt", "secret", "sub"]
    );
    assert_eq!(tree.names_in("all/secret"), ["public"]);
    assert_eq!(
        tree.names_in("all/sub"),
        ["kept.log"],
        "a pattern without `**` is of the top level only"
    );
    assert_eq!(tree.names_in("all/a/b/c"), ["kept"]);
}

#[test]
fn a_dockerfiles_own_ignore_file_replaces_the_contexts() {
    let site = Site::busybox();
    let context = site
        .context("COPY . /all/")
        .file(".dockerignore", "one\n")
        .file("Dockerfile.dockerignore", "two\n");
    let context = context.file("one", "").file("two", "");
    let tree = site.build_as_both(&context);
    assert!(tree.has("all/one") && !tree.has("all/two"));
}

#[test]
fn copying_an_ignored_file_is_an_error_that_says_why() {
    let site = Site::busybox();
    let context = site
        .context("COPY secret /")
        .file(".dockerignore", "other\nsecret\n")
        .file("secret", "");
    site.executor(Who::Root, &context)
        .run()
        .assert_error(1, &["Dockerfile:2", "secret", "not found", ".dockerignore"]);
}
