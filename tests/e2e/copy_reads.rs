//! A COPY costs what it copies: everything else of a context is neither listed nor opened. Counted, not timed.

use crate::support::{Context, Site, Who};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, create_dir};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const DIRS: usize = 100;
const FILES_PER_DIR: usize = 1000;

/// Hears of every file and directory below a directory that anybody opens, to list or to read it.
struct Ear {
    inotify: OwnedFd,
    dirs: BTreeMap<i32, PathBuf>,
}

impl Ear {
    fn at(root: &Path) -> Self {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).expect("start to listen");
        let mut dirs = BTreeMap::new();
        let found: Vec<PathBuf> = walkdir::WalkDir::new(root)
            .into_iter()
            .map(|entry| entry.expect("walk the context"))
            .filter(|entry| entry.file_type().is_dir())
            .map(walkdir::DirEntry::into_path)
            .collect();
        // The walk is over: nothing of it is heard.
        for dir in found {
            let watch = inotify::add_watch(&inotify, &dir, WatchFlags::OPEN);
            let path = dir.strip_prefix(root).expect("below the root");
            dirs.insert(watch.expect("listen to a directory"), path.to_owned());
        }
        Self { inotify, dirs }
    }

    /// Everything that was opened, relative to the directory.
    fn opened(&self) -> BTreeSet<PathBuf> {
        let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut opened = BTreeSet::new();
        while let Ok(event) = reader.next() {
            assert!(
                !event.events().contains(ReadFlags::QUEUE_OVERFLOW),
                "more was opened than can be counted"
            );
            let dir = &self.dirs[&event.wd()];
            opened.insert(match event.file_name() {
                Some(name) => dir.join(name.to_str().expect("a text")),
                None => dir.clone(),
            });
        }
        opened
    }
}

/// Directories that no instruction names, in the context and beside what is named.
fn with_100_000_files_more(context: Context) -> Context {
    for number in 0..DIRS {
        let place = ["", "few/deep", "wanted/deep", "parents"][number % 4];
        let dir = context.path().join(place).join(format!("other{number}"));
        create_dir(&dir).expect("make a directory");
        for file in 0..FILES_PER_DIR {
            File::create(dir.join(file.to_string())).expect("make a file");
        }
    }
    context
}

#[test]
fn a_copy_of_ten_files_opens_nothing_else_of_a_hundred_thousand() {
    let site = Site::busybox();
    let context = site
        .context(
            "COPY wanted/a wanted/b /to/\nCOPY few/*.txt /few/\nCOPY few/h*/x.md /hit/\nCOPY --link to-sub/c /linked\n\
             COPY --parents parents/in/**/*.c /parents/\nADD --exclude=**/*.o sub /sub",
        )
        .file("wanted/a", "a")
        .file("wanted/b", "b")
        .dir("wanted/deep")
        .file("few/one.txt", "1")
        .file("few/two.txt", "2")
        .file("few/not.md", "")
        .file("few/hit/x.md", "")
        .dir("few/deep")
        .file("sub/c", "c")
        .file("sub/left.o", "")
        .file("sub/in/d", "d")
        .symlink("to-sub", "sub")
        .file("parents/in/e.c", "e")
        .file("parents/in/er/f.c", "f")
        .file("parents/in/er/f.o", "")
        .file(".dockerignore", "**/*.log\n*/ignored\n!few/ignored/back\n");
    let context = with_100_000_files_more(context);
    let expected = [
        "",
        ".dockerignore",
        "Dockerfile",
        "few",
        "few/hit",
        "few/hit/x.md",
        "few/one.txt",
        "few/two.txt",
        "parents",
        "parents/in",
        "parents/in/e.c",
        "parents/in/er",
        "parents/in/er/f.c",
        "sub",
        "sub/c",
        "sub/in",
        "sub/in/d",
        "wanted",
        "wanted/a",
        "wanted/b",
    ];
    let expected: Vec<&Path> = expected.iter().map(Path::new).collect();
    let plain: &[&str] = &[];
    for flags in [plain, &["--cache", "--cache-copy-layers"]] {
        let executor = site.executor(Who::Root, &context).args(flags);
        let ear = Ear::at(context.path());
        let tree = site.build_with(executor).tree();
        let opened = ear.opened();
        let opened: Vec<&Path> = opened.iter().map(PathBuf::as_path).collect();
        assert_eq!(opened, expected, "{flags:?}");
        assert_eq!(tree.names_in("few"), ["one.txt", "two.txt"]);
        assert_eq!(tree.count_below("parents"), 5);
    }
}
