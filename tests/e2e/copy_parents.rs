//! `COPY --parents`: directories on the way to a source are made at the destination too.

use crate::support::{Context, Kind, Site, Who};

fn context(site: &Site, lines: &str) -> Context {
    site.context(lines)
        .file("x/a.txt", "xa")
        .file("x/deep/er/a.txt", "deep")
        .file("x/deep/b.md", "")
        .file("y/a.txt", "ya")
        .file("y/ignored/a.txt", "")
        .dir("y/empty")
        .symlink("y/to-x", "../x")
        .file(".dockerignore", "y/ignored\n")
        .mode("x/deep", 0o750)
        .mtime("x/deep", 1_234_567_890)
}

#[test]
fn sources_keep_the_directories_behind_the_pivot() {
    let site = Site::busybox();
    let context = context(
        &site,
        "COPY --parents ./x/a.txt /y/a.txt /all/\n\
         COPY --parents x/./deep/er/a.txt /pivot/\n\
         COPY --parents x/./deep x/a.txt /dir\n\
         WORKDIR /work\n\
         COPY --parents ./x/deep/./er/../b.md .",
    );
    let tree = site.build_as_both(&context);
    assert_eq!(tree.names_in("all"), ["x", "y"]);
    assert_eq!(tree.names_in("all/x"), ["a.txt"]);
    assert_eq!(tree.get("all/y/a.txt").kind, Kind::file("ya"));
    assert_eq!(tree.names_in("pivot"), ["deep"]);
    assert_eq!(tree.names_in("pivot/deep"), ["er"]);
    assert_eq!(tree.names_in("dir"), ["deep", "x"]);
    assert_eq!(tree.names_in("dir/deep"), ["b.md", "er"]);
    assert_eq!(tree.names_in("work"), ["b.md"]);
    for parent in ["pivot/deep", "dir/deep"] {
        let parent = tree.get(parent);
        assert_eq!(
            (parent.mode, parent.mtime, parent.uid),
            (0o750, 1_234_567_890, 0),
            "a parent is what it is at the source"
        );
    }
    assert_eq!(tree.get("pivot").mode, 0o755);
}

#[test]
fn wildcards_stand_on_either_side_and_cross_directories_with_two_stars() {
    let site = Site::busybox();
    let context = context(
        &site,
        "COPY --parents **/a.txt /every/\n\
         COPY --parents x/*/b.md /one/\n\
         COPY --parents */./a.txt /left/\n\
         COPY --parents x/./** /below/\n\
         COPY --parents **/none no-such-*/./a /nothing/\n\
         COPY --parents no-such-directory/./*.txt /nothing-either/\n\
         COPY --parents --exclude=**/er --exclude=y ./** /left-out/\n\
         COPY --parents --exclude=x --exclude=!x/deep/b.md **/*.* /way/",
    );
    let tree = site.build_as_both(&context);
    assert_eq!(tree.names_in("every"), ["x", "y"]);
    assert_eq!(tree.names_in("every/x"), ["a.txt", "deep"]);
    assert_eq!(tree.names_in("every/x/deep"), ["er"]);
    assert_eq!(tree.names_in("every/y"), ["a.txt"], "links are not entered");
    assert_eq!(tree.get("every/x/deep").mode, 0o750);
    assert_eq!(tree.names_in("one/x/deep"), ["b.md"]);
    assert_eq!(tree.names_in("one/x"), ["deep"]);
    assert_eq!(tree.names_in("left"), ["a.txt"]);
    assert_eq!(
        tree.get("left/a.txt").kind,
        Kind::file("ya"),
        "the later one stays"
    );
    assert_eq!(tree.names_in("below"), ["a.txt", "deep"]);
    assert_eq!(tree.names_in("below/deep/er"), ["a.txt"]);
    assert_eq!(tree.names_in("nothing"), Vec::<&str>::new());
    assert_eq!(tree.get("nothing").kind, Kind::Directory);
    assert!(!tree.has("nothing-either"));
    assert_eq!(
        tree.names_in("left-out"),
        [".dockerignore", "Dockerfile", "x"]
    );
    assert_eq!(tree.names_in("left-out/x/deep"), ["b.md"]);
    assert_eq!(tree.names_in("way/x"), ["deep"]);
    assert_eq!(tree.names_in("way/x/deep"), ["b.md"]);
    assert_eq!(tree.names_in("way/y"), ["a.txt"]);
}

#[test]
fn stages_owners_and_modes_go_with_it() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS made\nRUN mkdir -p -m 711 /srv/data/in && touch /srv/data/in/f && chown -R 5:6 /srv\n\
         FROM {base}\nCOPY --parents --from=made /srv/data/in/f /kept/\nCOPY --parents --from=made --chown=7:8 --chmod=u=rwX,go= /srv/./data/* /changed/\n\
         COPY --parents --from=made --chmod=701 /srv/./data/in/f /octal/made/"
    ));
    let tree = site.build_as_both(&context);
    let looks = |path: &str| {
        let entry = tree.get(path);
        (entry.mode, entry.uid, entry.gid)
    };
    assert_eq!(looks("kept/srv"), (0o755, 5, 6));
    assert_eq!(looks("kept/srv/data/in"), (0o711, 5, 6));
    assert_eq!(looks("kept/srv/data/in/f"), (0o644, 5, 6));
    assert_eq!(looks("changed"), (0o755, 7, 8));
    assert_eq!(looks("changed/data"), (0o700, 7, 8));
    assert_eq!(looks("changed/data/in/f"), (0o600, 7, 8));
    for path in [
        "octal",
        "octal/made",
        "octal/made/data",
        "octal/made/data/in/f",
    ] {
        assert_eq!(tree.get(path).mode, 0o701, "{path}");
    }
}

#[test]
fn directories_that_are_there_keep_their_owner() {
    let site = Site::busybox();
    let context = context(
        &site,
        "RUN mkdir -p /to/x/deep && chown -R 5:6 /to\nCOPY --parents x/deep/b.md /to/\nCOPY --parents x/deep/er /to/",
    );
    let tree = site.build_as_both(&context);
    let deep = tree.get("to/x/deep");
    assert_eq!((deep.uid, deep.gid, deep.mode), (5, 6, 0o750));
    assert_eq!(tree.get("to").uid, 5);
    assert_eq!(tree.get("to/x/deep/er").uid, 0);
}

#[test]
fn what_is_missing_is_an_error_where_no_wildcard_is() {
    let site = Site::busybox();
    for (source, parts) in [
        ("x/none.txt", ["`/x/none.txt`", "not found"]),
        ("x/./none.txt", ["`/x/none.txt`", "not found"]),
        ("none/./a.txt", ["`/none/a.txt`", "not found"]),
        (
            "y/to-x/a.txt",
            ["`/y/to-x/a.txt`", "`/y/to-x` is a symbolic link"],
        ),
        ("y/ignored/a.txt", ["not found", "is excluded by line 1"]),
        (
            "x/[",
            ["cannot read the wildcards of `x/[`", "syntax error"],
        ),
    ] {
        let context = context(&site, &format!("COPY --parents {source} /to/"));
        let build = site.executor(Who::Root, &context).run();
        build.assert_error(1, &[&["Dockerfile:2"], &parts[..]].concat());
    }
}
