//! The rules of COPY and ADD, sentence by sentence: what sources name, and where they go.

use crate::support::{Context, Kind, Site, Who};

#[test]
fn a_source_stays_in_the_context_and_its_last_slash_says_nothing() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY ../../one /up\nCOPY /one /absolute\nCOPY ./dir/../one /cleaned\nCOPY one/ /slash\n\
             COPY dir/ /dir-slash\nCOPY dir /dir-plain\nCOPY /../dir/. /dir-dot\nCOPY . /all/",
        )
        .file("one", "1")
        .file("dir/in", "in");
    let tree = site.build_as_both(&context);
    for path in ["up", "absolute", "cleaned", "slash", "all/one"] {
        assert_eq!(tree.get(path).kind, Kind::file("1"), "{path}");
    }
    for path in ["dir-slash", "dir-plain", "dir-dot"] {
        assert_eq!(tree.names_in(path), ["in"], "{path}");
    }
}

#[test]
fn names_are_taken_as_they_are_written() {
    let site = Site::busybox();
    let context = site
        .context("COPY a%20b ümläut x\\y /names/\nCOPY [\"with space\", \"/names/\"]\nCOPY --exclude=$LEFT * /excluded/\nCOPY a[[]b /brackets/")
        .file("a%20b", "")
        .file("ümläut", "")
        .file("xy", "")
        .file("with space", "")
        .file("$LEFT", "")
        .file("a[b", "");
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("names"),
        ["a%20b", "with space", "xy", "ümläut"]
    );
    assert!(
        !tree.has("excluded/$LEFT") && tree.has("excluded/xy"),
        "--exclude is not expanded"
    );
    assert_eq!(tree.names_in("brackets"), ["a[b"]);
}

#[test]
fn links_are_followed_to_a_source_and_never_out_of_the_context() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY to-file /file\nCOPY to-dir/in /through\nCOPY to-d* /hits/\nCOPY absolute /absolute\nCOPY climbing /climbing\nCOPY links /links/",
        )
        .file("dir/in", "in")
        .symlink("to-file", "dir/in")
        .symlink("to-dir", "dir")
        .symlink("absolute", "/dir/in")
        .symlink("climbing", "../../../../dir/in")
        .symlink("links/up", "../dir/in");
    let tree = site.build_as_both(&context);
    for path in ["file", "through", "hits/in", "absolute", "climbing"] {
        assert_eq!(tree.get(path).kind, Kind::file("in"), "{path}");
    }
    let target = "../dir/in".to_owned();
    assert_eq!(tree.get("links/up").kind, Kind::Symlink { target });
}

#[test]
fn several_sources_need_no_directory_and_the_last_one_stays() {
    let site = Site::busybox();
    let context = site
        .context("COPY one two /plain\nCOPY d1 d2 /joined\nWORKDIR /work\nCOPY one .\nCOPY one sub/\nCOPY one dot/.\nCOPY one name\nCOPY [\"two\", \"\"]")
        .file("one", "1")
        .file("two", "2")
        .file("d1/a", "")
        .file("d2/b", "");
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("plain").kind, Kind::file("2"));
    assert_eq!(tree.names_in("joined"), ["a", "b"]);
    assert_eq!(tree.names_in("work"), ["dot", "name", "one", "sub", "two"]);
    assert_eq!(tree.names_in("work/dot"), ["one"]);
    assert_eq!(tree.names_in("work/sub"), ["one"]);
}

/// Patterns are those of an ignore file, below each source that is a directory.
#[test]
fn excluded_files_are_left_out_and_an_empty_directory_stays() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY --exclude=*.txt tree /top/\nCOPY --exclude=**/*.txt tree /deep/\n\
             COPY --exclude=sub --exclude=!sub/keep.txt tree /but/\nCOPY --exclude=** tree /nothing/\n\
             COPY --exclude=*.txt tree/a.txt tree/b.md /files/\nCOPY --exclude=a.* tree/* /hits/\nCOPY --exclude=s* tree/* /without-a-directory/\nCOPY --exclude=tree tree /itself/\n\
             COPY --exclude=tree . /whole/",
        )
        .file("tree/a.txt", "")
        .file("tree/b.md", "")
        .file("tree/sub/c.txt", "")
        .file("tree/sub/keep.txt", "")
        .file(".dockerignore", "Dockerfile\n.dockerignore\n");
    let tree = site.build_as_both(&context);
    assert_eq!(tree.names_in("top"), ["b.md", "sub"]);
    assert_eq!(tree.names_in("top/sub"), ["c.txt", "keep.txt"]);
    assert_eq!(tree.names_in("deep"), ["b.md", "sub"]);
    assert_eq!(tree.names_in("deep/sub"), Vec::<&str>::new());
    assert_eq!(tree.names_in("but/sub"), ["keep.txt"]);
    assert_eq!(tree.get("nothing").kind, Kind::Directory);
    assert_eq!(tree.names_in("nothing"), Vec::<&str>::new());
    assert_eq!(tree.names_in("files"), ["b.md"], "as the reference has it");
    assert_eq!(tree.names_in("hits"), ["b.md", "c.txt", "keep.txt"]);
    assert_eq!(tree.names_in("without-a-directory"), ["a.txt", "b.md"]);
    assert_eq!(tree.names_in("itself"), ["a.txt", "b.md", "sub"]);
    assert_eq!(tree.names_in("whole"), Vec::<&str>::new());
}

#[test]
fn a_file_goes_into_a_directory_and_replaces_anything_else() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir -p /d /safe && echo safe > /safe/file && ln /safe/file /hard && ln -s /safe/file /d/soft && ln -s /d /to-d \
             && ln -s ../../safe /d/up && mkfifo /fifo\n\
             COPY one /d\nCOPY one /hard\nCOPY soft /d/\nCOPY one /to-d/up/two\nCOPY one /fifo\nCOPY one /dangling/../made",
        )
        .file("one", "1")
        .file("soft", "s");
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("d/one").kind, Kind::file("1"));
    assert_eq!(tree.get("hard").kind, Kind::file("1"));
    assert_eq!(tree.get("d/soft").kind, Kind::file("s"));
    assert_eq!(
        tree.get("safe/file").kind,
        Kind::file("safe\n"),
        "nothing is written through a link"
    );
    assert_eq!(tree.get("safe/two").kind, Kind::file("1"));
    assert_eq!(tree.get("fifo").kind, Kind::file("1"));
    assert_eq!(tree.get("made").kind, Kind::file("1"));
}

#[test]
fn what_cannot_be_put_there_is_an_error_with_its_line() {
    let site = Site::busybox();
    for (lines, parts) in [
        (
            "RUN touch /f\nCOPY tree /f",
            ["Dockerfile:3", "copy a directory to"],
        ),
        ("RUN touch /f\nCOPY tree /f/", ["Dockerfile:3", "/f"]),
        (
            "RUN mkdir -p /d/in\nCOPY tree /d",
            ["Dockerfile:3", "replace a directory with a file"],
        ),
        (
            "RUN mkdir -p /d/in\nCOPY tree/in /d/",
            ["Dockerfile:3", "replace a directory with a file"],
        ),
        ("RUN touch /f\nCOPY tree/in /f/x", ["Dockerfile:3", "/f"]),
        (
            "COPY --chmod=99 tree /d",
            ["Dockerfile:2", "invalid chmod parameter: '99'"],
        ),
        (
            "COPY --chmod=10000 tree /d",
            ["Dockerfile:2", "between 0 and 07777"],
        ),
        (
            "COPY --chmod=a=z tree /d",
            ["Dockerfile:2", "invalid chmod parameter: 'a=z'"],
        ),
        (
            "RUN false\nADD --chmod=x tree /d",
            ["Dockerfile:3", "invalid chmod parameter: 'x'"],
        ),
        ("COPY tree none /d/", ["Dockerfile:2", "`/none`: not found"]),
        (
            "COPY --exclude=[ tree /d/",
            ["Dockerfile:2", "cannot read --exclude"],
        ),
        (
            "COPY tree/[ /d/",
            ["Dockerfile:2", "cannot read the wildcards of `tree/[`"],
        ),
    ] {
        let context = site.context(lines).file("tree/in", "");
        let build = site.executor(Who::Root, &context).run();
        build.assert_error(1, &parts);
    }
}

#[test]
fn a_variable_that_is_empty_takes_a_flag_back() {
    let site = Site::busybox();
    let context = site
        .context("ARG MODE\nARG WHO\nCOPY --chmod=$MODE --chown=$WHO script /script\nARG MODE=701 WHO=7:8\nCOPY --chmod=${MODE} --chown=$WHO script /changed")
        .file("script", "")
        .mode("script", 0o750);
    let tree = site.build_as_both(&context);
    let looks = |path: &str| {
        let entry = tree.get(path);
        (entry.mode, entry.uid, entry.gid)
    };
    assert_eq!(looks("script"), (0o750, 0, 0));
    assert_eq!(looks("changed"), (0o701, 7, 8));
}

#[test]
fn a_file_of_the_dockerfile_goes_where_any_file_goes() {
    let site = Site::busybox();
    let context = Context::new(format!(
        "FROM {}\nRUN mkdir /d /real && ln -s real /to\nCOPY <<a /d\n1\na\nCOPY <<b /to/new/\n2\nb\nCOPY --chown=3:4 --chmod=440 <<c /made/here\n3\nc\n",
        site.base
    ));
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("d/a").kind, Kind::file("1\n"));
    assert_eq!(tree.get("real/new/b").kind, Kind::file("2\n"));
    let made = tree.get("made/here");
    assert_eq!((made.mode, made.uid, made.gid), (0o440, 3, 4));
    assert_eq!(
        (tree.get("made").mode, tree.get("made").uid),
        (0o440, 3),
        "an octal mode is that of parents too"
    );
}
