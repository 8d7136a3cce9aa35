//! `COPY --link` and `ADD --link`: a layer of its own, made without a look at the stage's files.

use crate::support::{Context, Image, Kind, LayerTar, Site, Tree, Who};

/// Fixes the times of directories that a copy makes.
const EPOCH: &str = "1577836800";

/// The last layer alone.
fn last_layer(image: &Image) -> Tree {
    let mut tree = Tree::default();
    tree.apply(image.layers.last().expect("a layer").open());
    tree
}

fn names(tree: &Tree) -> Vec<&str> {
    tree.paths().collect()
}

#[test]
fn the_layer_is_the_same_on_any_files() {
    let site = Site::busybox();
    let base = &site.base;
    let copy = "COPY --link --chown=7:8 tree one /opt/here/\n";
    let stages = [
        format!("FROM {base}\n{copy}"),
        format!("FROM {base}\nRUN mkdir -m 700 /real && ln -s real /opt\n{copy}"),
        format!("FROM {base}\nRUN touch /opt\n{copy}"),
        format!(
            "FROM {base}\nRUN mkdir -p /opt/here/sub && chown -R 5:5 /opt && touch /opt/here/one\n{copy}"
        ),
        format!("FROM {base} AS made\n{copy}FROM made\nRUN rm -r /opt\n{copy}"),
    ];
    let mut made = Vec::new();
    for dockerfile in stages {
        let context = Context::new(&dockerfile)
            .file("tree/sub/a", "a")
            .symlink("tree/to", "/nowhere")
            .file("one", "1");
        for (who, flags) in [
            (Who::Root, [].as_slice()),
            (Who::User, &[]),
            (Who::Root, &["--storage=tree"]),
        ] {
            let executor = site.executor(who, &context).args(flags);
            let image = site.build_with(executor.env("SOURCE_DATE_EPOCH", EPOCH));
            let layer = last_layer(&image);
            assert_eq!(
                names(&layer),
                [
                    "opt",
                    "opt/here",
                    "opt/here/one",
                    "opt/here/sub",
                    "opt/here/sub/a",
                    "opt/here/to"
                ],
                "{dockerfile}"
            );
            let opt = layer.get("opt");
            assert_eq!((opt.mode, opt.uid, opt.gid), (0o755, 7, 8), "{dockerfile}");
            made.push(image.diff_ids().pop().expect("a layer"));
        }
    }
    assert!(made.iter().all(|id| *id == made[0]), "{made:#?}");
}

/// What is there before is put under the layer as under one of an image: the stage's own steps see what the image has.
#[test]
fn the_layer_replaces_what_is_no_directory_and_joins_what_is_one() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN chmod 711 / && mkdir -p /real /joined/sub && touch /real/kept /joined/kept /joined/sub/kept /file && ln -s real /linked\n\
             COPY --link tree /linked/\n\
             COPY --link tree /joined\n\
             COPY --link tree /file/\n\
             COPY --link one /joined/sub/leaf\n\
             RUN (stat -c %a /; ls -ld /linked /file | cut -c1; find /linked /real /joined /file -type f | sort) > /seen",
        )
        .file("tree/sub/a", "a")
        .file("one", "1");
    let expected = "711\nd\nd\n/file/sub/a\n/joined/kept\n/joined/sub/a\n/joined/sub/kept\n/joined/sub/leaf\n/linked/sub/a\n/real/kept\n";
    for (who, flags) in [
        (Who::Root, [].as_slice()),
        (Who::User, &[]),
        (Who::Root, &["--storage=tree"]),
        (Who::Root, &["--isolation=chroot"]),
    ] {
        let executor = site.executor(who, &context).args(flags);
        let tree = site.build_with(executor).tree();
        assert_eq!(
            tree.get("seen").kind,
            Kind::file(expected),
            "{who:?} {flags:?}"
        );
        assert_eq!(tree.get("linked").kind, Kind::Directory);
        assert_eq!(tree.names_in("real"), ["kept"]);
        assert_eq!(tree.names_in("joined/sub"), ["a", "kept", "leaf"]);
        assert_eq!(tree.names_in("file"), ["sub"]);
    }
}

#[test]
fn a_link_of_the_destination_is_followed_without_the_flag_and_not_with_it() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir /real && ln -s real /plain && ln -s real /fallen && ln -s real /linked\n\
             COPY a /plain/\nCOPY --link --chmod=600 b /fallen/\nCOPY --link --chown=0:0 c /linked/",
        )
        .file("a", "")
        .file("b", "")
        .file("c", "");
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("real"),
        ["a", "b"],
        "with --chmod it is a copy as any other"
    );
    assert_eq!(tree.get("real/b").mode, 0o600);
    assert_eq!(tree.names_in("linked"), ["c"]);
}

#[test]
fn everything_that_can_be_copied_can_be_linked() {
    let site = Site::busybox();
    let base = &site.base;
    let tar = LayerTar::new()
        .dir("in/", 0o700)
        .file_with("in/owned", "owned", 0o640, 77, &[("user.note", b"n")])
        .hard_link("in/twin", "in/owned")
        .symlink("in/up", "../../..");
    let context = Context::new(format!(
        "FROM {base} AS made\nRUN mkdir /out && echo made > /out/made && chown 9:9 /out/made && ln /out/made /out/twin\n\
         FROM {base} AS linked\nCOPY --link --from=made /out /copied\nADD --link a.tar /added\n\
         COPY --link <<one /inline/\ntext\none\nCOPY --link --exclude=**/no --parents d/./sub /parents/\n\
         FROM linked AS unused\nCOPY --link only-here /\n\
         FROM linked\nCOPY --from=unused /only-here /\nCOPY --link --from=linked /inline/one /last\n"
    ))
    .file("a.tar", tar.finish())
    .file("d/sub/yes", "")
    .file("d/sub/no", "")
    .file("only-here", "1");
    let tree = site.build_as_both(&context);
    let made = tree.get("copied/made");
    assert_eq!((made.uid, &made.kind), (9, &Kind::file("made\n")));
    assert!(tree.are_hard_links("copied/made", "copied/twin"));
    let owned = tree.get("added/in/owned");
    assert_eq!((owned.uid, owned.mode), (77, 0o640));
    assert!(tree.are_hard_links("added/in/owned", "added/in/twin"));
    assert!(owned.xattrs.contains_key("user.note"));
    assert_eq!(tree.get("inline/one").kind, Kind::file("text\n"));
    assert_eq!(tree.names_in("parents/sub"), ["yes"]);
    assert_eq!(tree.get("only-here").kind, Kind::file("1"));
    assert_eq!(tree.get("last").kind, Kind::file("text\n"));
}

#[test]
fn without_commands_it_needs_no_privilege() {
    let site = Site::busybox();
    let context = site
        .context("COPY --link --chown=3:4 one /a/\nCOPY --from=0 /a/one /b\nCOPY one /a/two")
        .file("one", "1");
    let context = context.file(
        "Dockerfile",
        format!(
            "FROM {} AS first\nCOPY --link --chown=3:4 one /a/\nFROM first\nCOPY --from=first /a/one /b\n",
            site.base
        ),
    );
    let executor = site.executor(Who::User, &context).arg("--isolation=none");
    let tree = site.build_with(executor).tree();
    for path in ["a/one", "b"] {
        assert_eq!((tree.get(path).uid, tree.get(path).gid), (3, 4), "{path}");
    }
}

#[test]
fn names_in_chown_are_an_error_before_anything_is_done() {
    let site = Site::busybox();
    for (line, name) in [
        ("COPY --link --chown=app one /", "--chown=app"),
        ("ADD --link --chown=0:media one /", "--chown=0:media"),
    ] {
        let context = site.context(line).file("one", "");
        let build = site.executor(Who::Root, &context).run();
        build.assert_error(
            1,
            &["Dockerfile:2", name, "--link", "hint: give the numbers"],
        );
    }
    let context = site
        .context("COPY --link --chown=root:root one /a\nCOPY --link --chown=6: one /b\nCOPY --link --chmod=600 --chown=app one /c")
        .file("one", "");
    let tree = site.build_as_both(&context);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    assert_eq!(
        (owner("a"), owner("b"), owner("c")),
        ((0, 0), (6, 0), (1000, 1000))
    );
}

#[test]
fn what_is_linked_into_an_ignored_path_is_there_for_later_steps_and_in_no_layer() {
    let site = Site::busybox();
    let context = site
        .context("COPY --link one /cache/\nRUN cat /cache/one > /seen")
        .file("one", "1");
    for storage in ["--storage=tree", "--storage=overlay"] {
        let executor = site.executor(Who::Root, &context).arg(storage);
        let tree = site.build_with(executor.arg("--ignore-path=/cache")).tree();
        assert_eq!(tree.get("seen").kind, Kind::file("1"), "{storage}");
        assert!(!tree.has("cache/one"), "{storage}");
    }
}
