//! COPY and ADD from the context, from stages and from images; `.dockerignore`; ONBUILD.

use crate::support::context::MTIME;
use crate::support::crafted::{self, CraftedImage, Encoding, Family, LayerTar};
use crate::support::image::sha256;
use crate::support::tool::Tool;
use crate::support::{Context, Kind, Site, Tree, Who};
use serde_json::json;

fn contents(text: &str) -> Kind {
    Kind::File {
        size: text.len() as u64,
        sha256: sha256(text.as_bytes()),
    }
}

/// Builds as both accounts, which must give the same files, and returns what the user's build made.
fn built(site: &Site, context: &Context) -> Tree {
    let as_root = site.build(Who::Root, context).tree();
    let image = site.build(Who::User, context);
    let differences = as_root
        .without_times()
        .differences(&image.tree().without_times());
    assert_eq!(
        differences,
        Vec::<String>::new(),
        "root's build, then the user's"
    );
    image.tree()
}

#[test]
fn files_keep_mode_and_time_and_belong_to_root() {
    let site = Site::busybox();
    let context = site
        .context("COPY script plain /opt/made/here/\nCOPY plain /opt/renamed\nWORKDIR /work\nCOPY plain .\nCOPY plain ./below/")
        .file("script", "#!/bin/sh\n")
        .mode("script", 0o750)
        .file("plain", "plain")
        .mtime("plain", 1_234_567_890);
    let tree = built(&site, &context);
    let script = tree.get("opt/made/here/script");
    assert_eq!(
        (script.mode, script.uid, script.gid, script.mtime),
        (0o750, 0, 0, MTIME)
    );
    for path in ["opt/renamed", "work/plain", "work/below/plain"] {
        assert_eq!(
            (&tree.get(path).kind, tree.get(path).mtime),
            (&contents("plain"), 1_234_567_890),
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
    let tree = built(&site, &context);
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
    assert_eq!(tree.get("file").kind, contents("a"));
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
    let tree = built(&site, &context);
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
    let tree = built(&site, &context);
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
    let tree = built(&site, &context);
    assert_eq!(
        (tree.get("one").uid, &tree.get("one").kind),
        (9, &contents("first\n")),
        "a stage's owners are kept"
    );
    assert_eq!(tree.names_in("all"), ["link", "one", "two"]);
    assert_eq!(tree.get("x").kind, contents("from an image"));
    assert_eq!(tree.get("followed").kind, contents("first\n"));
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
    let tree = built(&site, &context);
    assert_eq!(tree.get("real/new").kind, contents("new"));
    assert_eq!(
        tree.get("linked").kind,
        Kind::Symlink {
            target: "/real".to_owned()
        }
    );
    assert_eq!(tree.get("old/file").kind, contents("replaced"));
    assert_eq!(tree.get("old/link").kind, contents("no link any more"));
    assert_eq!(tree.get("old/dir/new").kind, contents("new"));
}

#[test]
fn archives_are_unpacked_by_add_and_not_by_copy() {
    let site = Site::busybox();
    let tar = LayerTar::new()
        .dir("in/", 0o700)
        .file_with("in/owned", "owned", 0o640, 77, &[])
        .symlink("in/link", "owned");
    let mut context = site
        .context(
            "ADD plain.tar gz.tgz bz2.data xz.tar zst.tar /first/\nADD gz.tgz /gz/\nADD bz2.data /bz2/\nADD xz.tar /xz/\nADD zst.tar /zst/\n\
             ADD --chown=5:6 plain.tar /chowned/\nCOPY gz.tgz /copied/\nADD text.gz /text/\nADD --unpack=false plain.tar /kept/",
        )
        .file("plain.tar", tar.finish());
    for (program, name) in [
        ("gzip", "gz.tgz"),
        ("bzip2", "bz2.data"),
        ("xz", "xz.tar"),
        ("zstd", "zst.tar"),
    ] {
        let compressed = Tool::new(program)
            .arg("-c")
            .arg(context.path().join("plain.tar"))
            .output();
        assert!(compressed.status.success(), "{program}");
        context = context.file(name, compressed.stdout);
    }
    let no_tar = crafted::encode(b"text that is no archive", Encoding::Gzip);
    let context = context.file("text.gz", no_tar);
    let tree = built(&site, &context);
    for directory in ["first", "gz", "bz2", "xz", "zst"] {
        assert_eq!(tree.names_in(directory), ["in"], "{directory}");
        let owned = tree.get(&format!("{directory}/in/owned"));
        assert_eq!(
            (owned.uid, owned.mode, owned.mtime),
            (77, 0o640, crafted::MTIME as i64),
            "{directory}"
        );
        assert_eq!(
            tree.get(&format!("{directory}/in")).mode,
            0o700,
            "{directory}"
        );
    }
    assert_eq!(
        (
            tree.get("chowned/in/owned").uid,
            tree.get("chowned/in/owned").gid
        ),
        (5, 6)
    );
    assert_eq!(
        (tree.names_in("copied"), tree.names_in("kept")),
        (vec!["gz.tgz"], vec!["plain.tar"])
    );
    assert_eq!(
        tree.names_in("text"),
        ["text.gz"],
        "a compressed file that holds no tar is copied as it is"
    );
}

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
    let tree = built(&site, &context);
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
    let tree = built(&site, &context);
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
fn triggers_of_the_base_run_first_and_are_used_up() {
    let site = Site::busybox();
    let image = CraftedImage::new(Family::Docker)
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .config(
            "OnBuild",
            json!([
                "ARG WHO=nobody",
                "COPY app.txt /app/",
                "RUN echo $WHO >> /app/app.txt"
            ]),
        );
    image.push_to(&site.registry, "onbuild:1");
    let base = crate::support::BaseImage::in_registry(&site.registry, "onbuild:1");
    let site = Site {
        registry: site.registry,
        base,
    };
    let context = site
        .context("RUN echo own >> /app/app.txt\nONBUILD RUN false")
        .file("app.txt", "app\n");
    let image = site.build_with(
        site.executor(Who::Root, &context)
            .arg("--build-arg=WHO=somebody"),
    );
    assert_eq!(
        image.tree().get("app/app.txt").kind,
        contents("app\nsomebody\nown\n")
    );
    assert_eq!(*image.setting("OnBuild"), json!(["RUN false"]));
}

#[test]
fn heredocs_become_files() {
    let site = Site::busybox();
    let context = site.context(
        "ARG NAME=world\nCOPY <<EOF /greeting\nhello $NAME\nEOF\nCOPY --chmod=755 <<'one' <<two /many/\n$literal\none\nsecond\ntwo",
    );
    let tree = built(&site, &context);
    assert_eq!(tree.get("greeting").kind, contents("hello world\n"));
    assert_eq!(tree.get("greeting").mode, 0o644);
    assert_eq!(tree.get("many/one").kind, contents("$literal\n"));
    assert_eq!(
        (&tree.get("many/two").kind, tree.get("many/two").mode),
        (&contents("second\n"), 0o755)
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
