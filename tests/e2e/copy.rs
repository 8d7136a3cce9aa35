//! COPY: from the context, from stages, from images, and from heredocs.

use crate::support::context::MTIME;
use crate::support::{Context, CraftedImage, Encoding, Family, Kind, LayerTar, Site, Who};

#[test]
fn files_keep_mode_and_time_and_belong_to_root() {
    let site = Site::busybox();
    let context = site
        .context("COPY script plain /opt/made/here/\nCOPY plain /opt/renamed\nWORKDIR /work\nCOPY plain .\nCOPY plain ./below/")
        .file("script", "#!/bin/sh\n")
        .mode("script", 0o750)
        .file("plain", "plain")
        .mtime("plain", 1_234_567_890);
    let tree = site.build_as_both(&context);
    let script = tree.get("opt/made/here/script");
    assert_eq!(
        (script.mode, script.uid, script.gid, script.mtime),
        (0o750, 0, 0, MTIME)
    );
    for path in ["opt/renamed", "work/plain", "work/below/plain"] {
        assert_eq!(
            (&tree.get(path).kind, tree.get(path).mtime),
            (&Kind::file("plain"), 1_234_567_890),
            "{path}"
        );
    }
    assert_eq!(tree.get("opt/made").mode, 0o755);
}

#[test]
fn directories_are_copied_by_their_contents_with_links_kept() {
    let site = Site::busybox();
    let context = site
        .context("COPY tree /new\nCOPY tree /home/\nCOPY link-to-tree /followed/\nCOPY link-to-file /file")
        .file("tree/a", "a")
        .hard_link("tree/twin", "tree/a")
        .file("tree/sub/b", "b")
        .mode("tree/sub", 0o700)
        .dir("tree/empty")
        .symlink("tree/link", "sub/b")
        .symlink("tree/dangling", "/nowhere")
        .symlink("link-to-tree", "tree")
        .symlink("link-to-file", "tree/a");
    let tree = site.build_as_both(&context);
    assert_eq!(
        tree.names_in("new"),
        ["a", "dangling", "empty", "link", "sub", "twin"]
    );
    assert_eq!(
        tree.names_in("home"),
        ["a", "app", "dangling", "empty", "link", "sub", "twin"]
    );
    assert_eq!(
        tree.get("new/link").kind,
        Kind::Symlink {
            target: "sub/b".to_owned()
        }
    );
    assert_eq!(
        tree.get("new/dangling").kind,
        Kind::Symlink {
            target: "/nowhere".to_owned()
        }
    );
    assert!(tree.are_hard_links("new/a", "new/twin"));
    assert_eq!(tree.get("new/sub").mode, 0o700);
    assert_eq!(tree.get("new").mode, 0o755);
    assert!(
        tree.has("followed/sub/b"),
        "a source that is a link is followed"
    );
    assert_eq!(tree.get("file").kind, Kind::file("a"));
}

#[test]
fn wildcards_match_within_one_directory() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY *.txt /text/\nCOPY sub/?.[ab] /pattern/\nCOPY no-such-*.x /none/\nCOPY d* /dirs/",
        )
        .file("one.txt", "1")
        .file("two.txt", "2")
        .file("sub/three.txt", "3")
        .file("sub/x.a", "")
        .file("sub/x.c", "")
        .file("d1/in1", "")
        .file("d2/in2", "");
    let tree = site.build_as_both(&context);
    assert_eq!(tree.names_in("text"), ["one.txt", "two.txt"]);
    assert_eq!(tree.names_in("pattern"), ["x.a"]);
    assert_eq!(
        tree.names_in("dirs"),
        ["in1", "in2"],
        "matched directories give their contents"
    );
}

#[test]
fn chown_and_chmod_apply_to_what_is_copied_and_made() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY --chown=app plain /by-name\nCOPY --chown=app:media plain /by-both\nCOPY --chown=12:34 tree /numbers/made/\n\
             COPY --chown=55 plain /uid-only\nCOPY --chmod=4711 plain /octal\nCOPY --chmod=u=rwX,go= tree /symbolic/",
        )
        .file("plain", "plain")
        .file("tree/a", "a");
    let tree = site.build_as_both(&context);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    assert_eq!(
        (owner("by-name"), owner("by-both")),
        ((1000, 1000), (1000, 2000))
    );
    assert_eq!(
        (
            owner("numbers"),
            owner("numbers/made"),
            owner("numbers/made/a")
        ),
        ((12, 34), (12, 34), (12, 34))
    );
    assert_eq!(owner("uid-only"), (55, 55));
    assert_eq!(tree.get("octal").mode, 0o4711);
    assert_eq!(tree.get("symbolic/a").mode, 0o600);
}

#[test]
fn copies_come_from_stages_by_name_and_number_and_from_images() {
    let site = Site::busybox();
    let other = LayerTar::new()
        .dir("data/", 0o755)
        .file("data/x", "from an image");
    CraftedImage::new(Family::Docker)
        .layer(other, Encoding::Gzip)
        .push_to(&site.registry, "other:1");
    let (base, other) = (&site.base, site.registry.reference("other:1"));
    let context = Context::new(format!(
        "FROM {base} AS first\nRUN mkdir /out && echo first > /out/one && ln -s one /out/link && chown 9:9 /out/one\n\
         FROM scratch AS unused\nCOPY missing /\n\
         FROM first AS second\nRUN echo second > /out/two\n\
         FROM {base}\nCOPY --from=First /out/one /one\nCOPY --from=2 /out /all\nCOPY --from={other} /data/x /x\n\
         COPY --from=first /out/link /followed\n"
    ));
    let tree = site.build_as_both(&context);
    assert_eq!(
        (tree.get("one").uid, &tree.get("one").kind),
        (9, &Kind::file("first\n")),
        "a stage's owners are kept"
    );
    assert_eq!(tree.names_in("all"), ["link", "one", "two"]);
    assert_eq!(tree.get("x").kind, Kind::file("from an image"));
    assert_eq!(tree.get("followed").kind, Kind::file("first\n"));
    assert!(!tree.has("out"));
}

#[test]
fn a_copy_follows_links_of_the_destination_and_replaces_what_is_there() {
    let site = Site::busybox();
    let context = site
        .context(
            "RUN mkdir -p /real /old && ln -s /real /linked && echo old > /old/file && ln -s /old/file /old/link && mkdir /old/dir\n\
             COPY new /linked/\nCOPY tree /old/\nCOPY new /old/dir",
        )
        .file("new", "new")
        .file("tree/file", "replaced")
        .file("tree/link", "no link any more");
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("real/new").kind, Kind::file("new"));
    assert_eq!(
        tree.get("linked").kind,
        Kind::Symlink {
            target: "/real".to_owned()
        }
    );
    assert_eq!(tree.get("old/file").kind, Kind::file("replaced"));
    assert_eq!(tree.get("old/link").kind, Kind::file("no link any more"));
    assert_eq!(tree.get("old/dir/new").kind, Kind::file("new"));
}

#[test]
fn heredocs_become_files() {
    let site = Site::busybox();
    let context = site.context(
        "ARG NAME=world\nCOPY <<EOF /greeting\nhello $NAME\nEOF\nCOPY --chmod=755 <<'one' <<two /many/\n$literal\none\nsecond\ntwo",
    );
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("greeting").kind, Kind::file("hello world\n"));
    assert_eq!(tree.get("greeting").mode, 0o644);
    assert_eq!(tree.get("many/one").kind, Kind::file("$literal\n"));
    assert_eq!(
        (&tree.get("many/two").kind, tree.get("many/two").mode),
        (&Kind::file("second\n"), 0o755)
    );
}

#[test]
fn twenty_thousand_files_and_a_gibibyte_of_zeroes_are_copied() {
    let site = Site::busybox();
    let context = site
        .context("COPY . /all/")
        .file(".dockerignore", "Dockerfile\n.dockerignore\n")
        .sparse_file("big", 1 << 30);
    let many = (0..20_000).fold(context, |context, number| {
        context.file(&format!("many/{}/{number}", number % 100), "x")
    });
    let tree = site.build(Who::User, &many).tree();
    assert_eq!(tree.count_below("all"), 20_000 + 100 + 2);
    assert!(matches!(
        tree.get("all/big").kind,
        Kind::File {
            size: 1_073_741_824,
            ..
        }
    ));
}
