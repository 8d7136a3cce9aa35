//! Everything that a RUN can do to files, and what the layers then say.

use crate::support::container::Bundle;
use crate::support::{Image, Kind, Site, Tree, Who};

/// Builds the lines over busybox for both accounts, and hands each image to `check`. The trees must be those that
/// `umoci` unpacks.
fn zoo(lines: &str, check: impl Fn(&Image, &Tree)) {
    let site = Site::busybox();
    let context = site.context(lines);
    for who in Who::BOTH {
        let image = site.build(who, &context);
        let tree = image.tree();
        assert_eq!(
            tree.differences(&Bundle::unpack(&image).tree()),
            Vec::<String>::new(),
            "{who:?}"
        );
        check(&image, &tree);
    }
}

#[test]
fn deleted_files_and_directories_are_gone() {
    zoo(
        "RUN mkdir -p /zoo/kept /zoo/d/e && touch /zoo/file /zoo/kept/a /zoo/kept/b /zoo/d/e/f\n\
         RUN rm -r /zoo/file /zoo/kept/a /zoo/d\n\
         RUN mkdir /zoo/d",
        |_, tree| {
            assert_eq!(tree.names_in("zoo"), ["d", "kept"]);
            assert_eq!(tree.names_in("zoo/kept"), ["b"]);
            assert_eq!(
                tree.names_in("zoo/d"),
                Vec::<&str>::new(),
                "a directory made anew is empty"
            );
        },
    );
}

#[test]
fn what_a_step_makes_and_deletes_itself_leaves_no_trace() {
    zoo(
        "RUN mkdir /zoo\nRUN touch /zoo/x /zoo/kept && rm /zoo/x",
        |image, _| {
            let mut last = Tree::default();
            last.apply(image.layers.last().expect("a layer").open());
            assert_eq!(last.names_in("zoo"), ["kept"]);
            assert_eq!(
                raw_names(image),
                ["zoo/", "zoo/kept"],
                "no whiteout for what was never there"
            );
        },
    );
}

/// The names in the tar of the last layer, as they are written.
fn raw_names(image: &Image) -> Vec<String> {
    let layer = image.layers.last().expect("a layer");
    let mut archive = tar::Archive::new(layer.open());
    let entries = archive.entries().expect("read a layer");
    entries
        .map(|entry| {
            String::from_utf8_lossy(&entry.expect("read a layer").path_bytes()).into_owned()
        })
        .collect()
}

#[test]
fn one_type_is_replaced_by_another() {
    zoo(
        "RUN mkdir -p /zoo/dir-to-file/sub /zoo/dir-to-link/sub && cd /zoo && touch file-to-dir file-to-link dir-to-file/sub/x \
           && ln -s dir-to-file link-to-dir && ln -s dir-to-file link-to-file\n\
         RUN cd /zoo && rm -r file-to-dir file-to-link dir-to-file dir-to-link link-to-dir link-to-file \
           && mkdir -p file-to-dir link-to-dir && touch file-to-dir/in link-to-dir/in && echo file > dir-to-file \
           && ln -s elsewhere file-to-link && ln -s elsewhere dir-to-link && echo file > link-to-file",
        |_, tree| {
            assert_eq!(tree.names_in("zoo/file-to-dir"), ["in"]);
            assert_eq!(tree.names_in("zoo/link-to-dir"), ["in"]);
            assert_eq!(tree.get("zoo/link-to-dir").kind, Kind::Directory);
            assert_eq!(tree.get("zoo/dir-to-file").kind, Kind::file("file\n"));
            assert_eq!(tree.get("zoo/link-to-file").kind, Kind::file("file\n"));
            for link in ["zoo/file-to-link", "zoo/dir-to-link"] {
                assert_eq!(
                    tree.get(link).kind,
                    Kind::Symlink {
                        target: "elsewhere".to_owned()
                    }
                );
            }
            assert_eq!(tree.count_below("zoo"), 8);
        },
    );
}

#[test]
fn a_directory_made_anew_hides_the_old_one_and_a_renamed_one_is_whole() {
    zoo(
        "RUN mkdir -p /zoo/again/old /zoo/from/deep && touch /zoo/again/old/x /zoo/from/deep/y\n\
         RUN rm -r /zoo/again && mkdir /zoo/again && touch /zoo/again/new && mv /zoo/from /zoo/to",
        |_, tree| {
            assert_eq!(tree.names_in("zoo"), ["again", "to"]);
            assert_eq!(tree.names_in("zoo/again"), ["new"]);
            assert_eq!(tree.names_in("zoo/to/deep"), ["y"]);
        },
    );
}

#[test]
fn hard_links_are_kept_within_a_layer() {
    zoo(
        "RUN mkdir /zoo && echo one > /zoo/a && ln /zoo/a /zoo/b && mkdir /zoo/d && ln /zoo/a /zoo/d/c && echo two > /zoo/lower\n\
         RUN ln /zoo/lower /zoo/linked-later",
        |_, tree| {
            assert!(
                tree.are_hard_links("zoo/a", "zoo/b") && tree.are_hard_links("zoo/a", "zoo/d/c")
            );
            assert!(!tree.are_hard_links("zoo/a", "zoo/lower"));
            assert_eq!(
                tree.get("zoo/linked-later").kind,
                Kind::file("two\n"),
                "the link to a file of a lower layer has its bytes"
            );
        },
    );
}

#[test]
fn fifos_empty_directories_and_special_modes_are_kept() {
    zoo(
        "RUN mkdir -p /zoo/empty && mkfifo -m 600 /zoo/pipe && cd /zoo && touch suid sgid none && chmod 4711 suid \
           && chmod 2755 sgid && chmod 0 none && mkdir -m 1777 sticky && mkdir shared && chown 12:34 shared && chmod 2770 shared \
           && ln -s /nowhere owned-link && chown -h 7:8 owned-link",
        |_, tree| {
            let mode = |name: &str| tree.get(&format!("zoo/{name}")).mode;
            assert_eq!(tree.get("zoo/empty").kind, Kind::Directory);
            assert_eq!(
                (&tree.get("zoo/pipe").kind, mode("pipe")),
                (&Kind::Fifo, 0o600)
            );
            assert_eq!(
                (mode("suid"), mode("sgid"), mode("none")),
                (0o4711, 0o2755, 0)
            );
            assert_eq!((mode("sticky"), mode("shared")), (0o1777, 0o2770));
            assert_eq!(
                (tree.get("zoo/shared").uid, tree.get("zoo/shared").gid),
                (12, 34)
            );
            assert_eq!(
                (
                    tree.get("zoo/owned-link").uid,
                    tree.get("zoo/owned-link").gid
                ),
                (7, 8)
            );
        },
    );
}

#[test]
fn metadata_alone_makes_a_change_and_a_mere_look_makes_none() {
    let names = [
        "chmodded",
        "chowned",
        "touched",
        "read",
        "rewritten-as-it-was",
    ];
    let make = format!(
        "RUN mkdir /zoo && cd /zoo && for f in {}; do echo same > $f; touch -d @1500000000 $f; done",
        names.join(" ")
    );
    let lines = format!(
        "{make}\n\
         RUN cd /zoo && chmod 600 chmodded && chown 5:6 chowned && touch -d @1400000000 touched && cat read > /dev/null \
           && chmod 644 read && echo same > rewritten-as-it-was && touch -d @1500000000 rewritten-as-it-was && touch -d @1500000000 ."
    );
    zoo(&lines, |image, tree| {
        assert_eq!(tree.get("zoo/chmodded").mode, 0o600);
        assert_eq!(tree.get("zoo/chowned").uid, 5);
        assert_eq!(tree.get("zoo/touched").mtime, 1_400_000_000);
        assert_eq!(
            raw_names(image),
            ["zoo/", "zoo/chmodded", "zoo/chowned", "zoo/touched"],
            "only what differs"
        );
    });
}

#[test]
fn names_of_every_kind_survive() {
    let long_name = "n".repeat(250);
    let deep = ["d".repeat(100), "e".repeat(100), "f".repeat(120)].join("/");
    let odd = [
        "ünïcödé-名前-🦀",
        "with space",
        "-dash",
        "back\\slash",
        "a=b",
        "tab\there",
        "*glob?[x]",
        "…",
        " ",
        ".hidden",
        "%41",
    ];
    let makes: Vec<String> = odd.iter().map(|name| format!("touch './{name}'")).collect();
    let target = "t/".repeat(90);
    let lines = format!(
        "RUN mkdir -p /zoo/{deep} && cd /zoo && touch {long_name} {deep}/{long_name} && ln -s {target} long-link \
           && ln {deep}/{long_name} long-hard-link && printf '' > \"$(printf 'new\\nline')\"\n\
         RUN cd /zoo && {}\n\
         RUN cd /zoo && echo deleted > {deep}/deleted-{} && rm {long_name}",
        makes.join(" && "),
        "x".repeat(200)
    );
    zoo(&lines, |_, tree| {
        for name in odd.iter().chain(&["new\nline"]) {
            assert!(tree.has(&format!("zoo/{name}")), "{name:?}");
        }
        assert!(
            !tree.has(&format!("zoo/{long_name}")),
            "deleted by a whiteout whose name is 254 bytes long"
        );
        assert!(tree.are_hard_links(&format!("zoo/{deep}/{long_name}"), "zoo/long-hard-link"));
        assert_eq!(
            tree.get("zoo/long-link").kind,
            Kind::Symlink {
                target: target.clone()
            }
        );
    });
}

#[test]
fn the_epoch_and_times_far_in_the_future_are_kept() {
    zoo(
        "RUN touch -d @8589934592 /future && touch -d @4102444800 /later && touch -d @0 /epoch",
        |_, tree| {
            assert_eq!(
                tree.get("future").mtime,
                8_589_934_592,
                "beyond the eleven octal digits of a ustar header"
            );
            assert_eq!(tree.get("later").mtime, 4_102_444_800);
            assert_eq!(tree.get("epoch").mtime, 0);
        },
    );
}

#[test]
fn ids_beyond_the_header_field_are_kept() {
    let site = Site::busybox();
    // A user's range ends at 65535, so only root can own more: 2097152 needs a PAX record.
    let image = site.build(
        Who::Root,
        &site.context("RUN touch /big && chown 2097152:3000000 /big"),
    );
    let big = image.tree();
    assert_eq!(
        (big.get("big").uid, big.get("big").gid),
        (2_097_152, 3_000_000)
    );
}

#[test]
fn a_sparse_file_of_two_gibibytes_streams_through() {
    let site = Site::busybox();
    let context = site.context("RUN truncate -s 2147483648 /sparse && printf end >> /sparse");
    for who in Who::BOTH {
        let image = site.build(who, &context);
        let tree = image.tree();
        let Kind::File { size, .. } = tree.get("sparse").kind else {
            panic!("not a file")
        };
        assert_eq!(size, (2 << 30) + 3, "{who:?}");
    }
}

#[test]
fn twenty_thousand_small_files_come_through() {
    let make = "RUN mkdir /many && cd /many && i=0 && while [ $i -lt 20000 ]; do echo $i > f$i; i=$((i+1)); done";
    zoo(make, |_, tree| {
        assert_eq!(tree.count_below("many"), 20_000);
        assert_eq!(tree.get("many/f19999").kind, Kind::file("19999\n"));
    });
}
