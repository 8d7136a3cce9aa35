//! Steps that differ in one thing only, and that one must count: the second is never taken for the first.

use crate::support::cache_dir::CacheDir;
use crate::support::{FileServer, GitRepository, Site, Tree, Who};

struct Cached {
    site: Site,
    cache: CacheDir,
}

impl Cached {
    fn new() -> Self {
        Self {
            site: Site::busybox(),
            cache: CacheDir::new(Who::Root),
        }
    }

    /// Builds the lines, over a context with `a/b` in it, with all caches.
    fn tree(&self, lines: &str) -> Tree {
        let context = self.site.context(lines).file("a/b", "b");
        let executor = self.site.executor(Who::Root, &context);
        let executor = executor.args(["--cache", "--cache-copy-layers", "--cache-repo"]);
        let executor = executor.arg(format!("{}/cache", self.site.registry.host()));
        self.site.build_with(executor.arg(self.cache.flag())).tree()
    }
}

#[test]
fn what_is_excluded_of_a_repository_counts() {
    let (cached, web) = (Cached::new(), FileServer::start());
    let repository = GitRepository::new(&web.files(), "app");
    repository.file("docs/d", "d").file("src/s", "s");
    repository.commit("all");
    let url = web.url("git/app.git");
    for link in ["", "--link "] {
        for (exclude, expected) in [
            ("--exclude=docs ", vec!["src"]),
            ("", vec!["docs", "src"]),
            ("--exclude=src ", vec!["docs"]),
            ("--exclude=docs --exclude=src ", vec![]),
            ("--exclude=src --exclude=!src ", vec!["docs", "src"]),
        ] {
            let tree = cached.tree(&format!("ADD {link}{exclude}{url} /r/"));
            assert_eq!(tree.names_in("r"), expected, "{link}{exclude}");
        }
    }
}

#[test]
fn an_excluded_file_from_a_server_counts() {
    let (cached, web) = (Cached::new(), FileServer::start());
    web.file("f", "from afar");
    let url = web.url("plain/f");
    let tree = cached.tree(&format!("ADD --exclude=f {url} /r/"));
    assert!(!tree.has("r/f"));
    let tree = cached.tree(&format!("ADD {url} /r/"));
    assert!(tree.has("r/f"));
}

#[test]
fn the_reference_that_a_kept_git_directory_names_counts() {
    let (cached, web) = (Cached::new(), FileServer::start());
    let repository = GitRepository::new(&web.files(), "app");
    repository.file("f", "f");
    repository.commit("all");
    repository.git(&["tag", "one"]);
    repository.git(&["tag", "--annotate", "--message=two", "two"]);
    let url = web.url("git/app.git");
    let kept = |reference: &str| {
        let tree = cached.tree(&format!("ADD --keep-git-dir {url}#{reference} /r/"));
        tree.get("r/.git/packed-refs").kind.clone()
    };
    let (one, two) = (kept("one"), kept("two"));
    assert_ne!(one, two);
    assert_eq!(kept("one"), one);
}

#[test]
fn a_directory_that_is_only_the_way_to_a_file_is_not_one_that_is_copied() {
    let cached = Cached::new();
    let owner = |source: &str| {
        let lines = format!(
            "RUN mkdir -p /d/a && chown 1000:1000 /d/a\nCOPY --parents {source} /d/\nRUN true"
        );
        cached.tree(&lines).get("d/a").uid
    };
    assert_eq!(owner("a/b"), 1000);
    assert_eq!(owner("a"), 0);
    assert_eq!(owner("a/b"), 1000);
}
