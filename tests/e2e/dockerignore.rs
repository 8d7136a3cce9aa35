//! What `.dockerignore` hides from the build.

use crate::support::{Context, Executor, Site, Who};

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

#[test]
fn an_ignored_file_is_not_reached_through_a_link_nor_an_ignored_link_followed() {
    let site = Site::busybox();
    let context = site
        .context("COPY *.conf /c/")
        .file(".dockerignore", "secret.env\nhidden.conf\n")
        .file("secret.env", "secret")
        .file("kept", "kept")
        .symlink("leaks.conf", "secret.env")
        .symlink("hidden.conf", "kept")
        .symlink("shown.conf", "kept");
    assert_eq!(site.build_as_both(&context).names_in("c"), ["shown.conf"]);
    let context = site
        .context("COPY hidden.conf /c")
        .file(".dockerignore", "hidden.conf\n")
        .file("kept", "kept")
        .symlink("hidden.conf", "kept");
    let build = site.executor(Who::Root, &context).run();
    build.assert_error(1, &["Dockerfile:2", "hidden.conf", "line 1"]);
}

#[test]
fn files_of_the_context_that_the_builder_reads_lead_nowhere_outside_of_it() {
    let outside = Context::without_dockerfile().file("secret", "hunter2 is no instruction\n");
    let target = outside.path().join("secret");
    let target = target.to_str().expect("a text");
    let context = Context::without_dockerfile().symlink("Dockerfile", target);
    let build = Executor::new(Who::Root)
        .context(&context)
        .args(["--no-push"])
        .run();
    build.assert_error(1, &["Dockerfile"]);
    assert!(!build.report().contains("hunter2"), "{}", build.report());
}
