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

#[test]
fn every_kind_of_pattern_is_understood_and_a_byte_order_mark_is_none() {
    let site = Site::busybox();
    let ignored = "\u{feff}top\n # not a comment\n#comment\n\n  spaced.txt  \n/rooted\n./cleaned/../also\ndir/\n**x\nfoo**\n*/deep?.[ab]\n\
                   !  kept-foo\nfoo-kept\n!foo-kept\n**/any/**\nDockerfile\n.dockerignore\n";
    let context = site.context("COPY . /all/").file(".dockerignore", ignored);
    let context = [
        "top",
        "topper",
        "#comment",
        "spaced.txt",
        "rooted",
        "also",
        "dir",
        "ends-in-x",
        "sub/ends-in-x",
        "sub/x-not",
        "foobar/in",
        "foo-kept",
        "sub/foo",
        "sub/deep1.a",
        "sub/deep1.c",
        "sub/deeper/deep1.a",
        "any/below",
        "sub/any/below/it",
        "sub/any-not",
    ]
    .into_iter()
    .fold(context, |context, path| context.file(path, ""));
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("all"),
        ["#comment", "any", "foo-kept", "sub", "topper"]
    );
    assert_eq!(
        tree.names_in("all/sub"),
        ["any", "any-not", "deep1.c", "deeper", "foo", "x-not"]
    );
    assert_eq!(tree.names_in("all/any"), Vec::<&str>::new());
    assert_eq!(tree.names_in("all/sub/any"), Vec::<&str>::new());
    assert_eq!(tree.names_in("all/sub/deeper"), ["deep1.a"]);
}

#[test]
fn a_file_that_cannot_be_read_as_patterns_is_an_error_with_its_line() {
    let site = Site::busybox();
    for (text, parts) in [
        ("a\n!\n", ["illegal exclusion pattern", "line 2"]),
        ("a\n\n! \n", ["illegal exclusion pattern", "line 3"]),
        ("[\n", ["syntax error in pattern", "line 1"]),
        ("a\n**/[b\n", ["syntax error in pattern", "line 2"]),
    ] {
        let context = site.context("COPY . /").file(".dockerignore", text);
        let build = site.executor(Who::Root, &context).run();
        build.assert_error(1, &[&[".dockerignore"], &parts[..]].concat());
    }
}

#[test]
fn a_source_below_what_is_ignored_says_which_line_it_was() {
    let site = Site::busybox();
    for (lines, hint) in [
        (
            "COPY dir/sub/file /",
            "`dir/sub/file` is excluded by line 2",
        ),
        ("ADD dir /", "`dir` is excluded by line 2"),
        ("COPY one dir/* /to/", "`one` is excluded by line 4"),
        (
            "COPY --parents ./dir/sub/file /to/",
            "`dir/sub/file` is excluded by line 2",
        ),
    ] {
        let context = site
            .context(lines)
            .file(".dockerignore", "x\ndir\n!dir/other\none\n")
            .file("dir/sub/file", "")
            .file("one", "");
        let build = site.executor(Who::Root, &context).run();
        build.assert_error(1, &["Dockerfile:2", "not found", hint]);
    }
}

#[test]
fn stages_and_images_have_no_ignore_file() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS made\nRUN mkdir /out && touch /out/ignored /.dockerignore\nFROM {base}\nCOPY --from=made /out /out\n"
    ))
    .file(".dockerignore", "*\n");
    assert_eq!(site.build_as_both(&context).names_in("out"), ["ignored"]);
}
