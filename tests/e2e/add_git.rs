//! ADD from git repositories (Dockerfile reference, "ADD", "Adding files from a Git repository").

use std::os::unix::fs::PermissionsExt;

use crate::support::cache_dir::CacheDir;
use crate::support::container::Bundle;
use crate::support::git_repository::COMMITTED;
use crate::support::tool::Tool;
use crate::support::{
    Context, Executor, FileServer, GitDaemon, GitRepository, Kind, Site, TestDir, Tree, Who,
};

/// A server of each protocol, all with the same repositories.
struct Servers {
    site: Site,
    web: FileServer,
    daemon: GitDaemon,
}

impl Servers {
    fn start() -> Self {
        let web = FileServer::start();
        Self {
            site: Site::busybox(),
            daemon: GitDaemon::serving(&web.files()),
            web,
        }
    }

    fn repository(&self, name: &str) -> GitRepository {
        GitRepository::new(&self.web.files(), name)
    }

    fn add(&self, words: &str) -> Context {
        self.site.context(&format!("ADD {words} /r"))
    }

    fn tree(&self, words: &str) -> Tree {
        self.site.build(Who::Root, &self.add(words)).tree()
    }

    fn refuses(&self, words: &str, parts: &[&str]) {
        let build = self.site.executor(Who::Root, &self.add(words)).run();
        build.assert_error(1, &[&["Dockerfile:2:"], parts].concat());
    }
}

/// A repository with a branch, two kinds of tag, and a history. Returns the first and the last commit.
fn project(servers: &Servers) -> (String, String) {
    let repository = servers.repository("project");
    repository.file("README", "first").file("src/old", "old");
    let first = repository.commit("first");
    repository.git(&["tag", "light"]);
    repository.git(&["tag", "--annotate", "--message=v1", "v1"]);
    repository.git(&["branch", "side"]);
    // Files that git stores as deltas of each other.
    let long: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    repository
        .file("README", "last")
        .file("src/a", &long)
        .file("src/b", format!("{long}more\n"))
        .file_with_mode("run", "#!/bin/sh\n", 0o755)
        .file_with_mode("odd", "odd", 0o600)
        .symlink("link", "src/a");
    repository.git(&["rm", "--quiet", "src/old"]);
    let last = repository.commit("last");
    repository.git(&["gc", "--quiet", "--aggressive"]);
    (first, last)
}

fn text(tree: &Tree, path: &str) -> Kind {
    tree.get(path).kind.clone()
}

#[test]
fn the_files_of_a_commit_come_by_every_protocol() {
    let servers = Servers::start();
    project(&servers);
    let urls = [
        servers.web.url("git/project.git"),
        servers.web.url("older-git/project.git"),
        servers.daemon.url("project.git"),
    ];
    for url in urls {
        let tree = servers.tree(&url);
        assert_eq!(
            tree.names_in("r"),
            ["README", "link", "odd", "run", "src"],
            "{url}"
        );
        assert_eq!(text(&tree, "r/README"), Kind::file("last"));
        assert_eq!(tree.names_in("r/src"), ["a", "b"]);
        let modes = ["r", "r/src", "r/run", "r/odd"].map(|path| tree.get(path).mode);
        assert_eq!(modes, [0o755, 0o755, 0o755, 0o644], "{url}");
        let target = "src/a".to_owned();
        assert_eq!(text(&tree, "r/link"), Kind::Symlink { target });
        let long: String = (0..2000).map(|line| format!("line {line}\n")).collect();
        assert_eq!(text(&tree, "r/src/a"), Kind::file(&long));
        assert_eq!(text(&tree, "r/src/b"), Kind::file(&format!("{long}more\n")));
        assert_eq!((tree.get("r/run").uid, tree.get("r/run").gid), (0, 0));
    }
}

#[test]
fn names_and_queries_say_what_is_taken() {
    let servers = Servers::start();
    let (first, last) = project(&servers);
    let web = servers.web.url("git/project.git");
    let older = servers.web.url("older-git/project.git");
    let daemon = servers.daemon.url("project.git");
    let full_hash = format!("{older}#{first}");
    for (words, readme) in [
        (format!("{web}#side"), "first"),
        (format!("{web}#v1"), "first"),
        (format!("{older}#v1"), "first"),
        (format!("{daemon}?tag=light"), "first"),
        (format!("{daemon}?branch=main"), "last"),
        (format!("{web}?ref=refs/heads/side"), "first"),
        (format!("{web}#{first}"), "first"),
        // No reference stands for it, and this server gives nothing else: the history is fetched.
        (full_hash, "first"),
        (format!("{web}?fetch-by-commit=true&commit={last}"), "last"),
        (format!("--checksum={} {web}#v1", &first[..10]), "first"),
        (format!("{web}?ref=v1&checksum={first}"), "first"),
    ] {
        let tree = servers.tree(&words);
        assert_eq!(text(&tree, "r/README"), Kind::file(readme), "{words}");
        assert!(!tree.has("r/.git"), "{words}");
    }
    let tree = servers.tree(&format!("{web}#main:src"));
    assert_eq!(tree.names_in("r"), ["a", "b"]);
    let tree = servers.tree(&format!(
        "--exclude=b --chown=3:4 --chmod=0700 {web}?subdir=src"
    ));
    assert_eq!(tree.names_in("r"), ["a"]);
    let found = tree.get("r/a");
    assert_eq!((found.uid, found.gid, found.mode), (3, 4, 0o700));
    let tree = servers.tree(&format!("{web}?mtime=commit"));
    assert_eq!(tree.get("r/src/a").mtime, COMMITTED);
    assert!(servers.tree(&web).get("r/src/a").mtime > COMMITTED);
}

#[test]
fn what_a_repository_lacks_is_told() {
    let servers = Servers::start();
    let (first, last) = project(&servers);
    servers.repository("empty");
    let web = servers.web.url("git/project.git");
    servers.refuses(&format!("{web}#nothing"), &["cannot fetch", "`nothing`"]);
    servers.refuses(
        &format!("{web}#:nowhere"),
        &["no directory `nowhere`", &last],
    );
    servers.refuses(&format!("{web}#:README"), &["no directory `README`"]);
    servers.refuses(&format!("--checksum={first} {web}"), &[&first, &last]);
    servers.refuses(&format!("{web}?depth=1"), &["unexpected query `depth`"]);
    servers.refuses(&servers.web.url("git/empty.git"), &["is empty"]);
    servers.refuses(
        &servers.daemon.url("missing.git"),
        &["the git server of", "says:"],
    );
    servers.refuses(
        &servers.web.url("git/missing.git"),
        &["404", "GIT_AUTH_TOKEN"],
    );
    servers.web.file("page.git", "no repository");
    servers.refuses(&servers.web.url("plain/page.git"), &["404"]);
    servers.refuses(
        "git://127.0.0.1:1/r",
        &["cannot fetch from the git repository"],
    );
    let unknown = "f".repeat(40);
    servers.refuses(&format!("{web}#{unknown}"), &["not our ref"]);
}

#[test]
fn a_kept_git_dir_is_a_repository_at_the_commit() {
    let servers = Servers::start();
    let (first, _) = project(&servers);
    let web = servers
        .web
        .url("git/project.git")
        .replace("http://", "http://user:pass@");
    let context = servers.add(&format!("--keep-git-dir=true {web}#v1"));
    let image = servers.site.build(Who::Root, &context);
    let home = TestDir::new();
    let bundle = Bundle::unpack(&image);
    let git = |args: &[&str]| {
        let output = Tool::new("git")
            .in_dir(&bundle.root().join("r"))
            .env("HOME", home.path())
            .args(["-c", "safe.directory=*"])
            .args(args)
            .run();
        output.trim().to_owned()
    };
    assert_eq!(git(&["rev-parse", "HEAD"]), first);
    assert_eq!(git(&["describe", "--tags"]), "v1");
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["log", "--format=%s"]), "first");
    git(&["fsck", "--strict"]);
    assert!(!git(&["config", "--list"]).contains("pass"));
    let by_query = servers.tree(&format!("{web}?keep-git-dir"));
    assert!(by_query.has("r/.git/HEAD"));
    servers.refuses(
        &format!("--keep-git-dir=false {web}?keep-git-dir=1"),
        &["--keep-git-dir conflicts"],
    );
}

#[test]
fn submodules_come_with_their_commits() {
    let servers = Servers::start();
    let inner = servers.repository("inner");
    inner.file("deep", "deep");
    let inner_commit = inner.commit("inner");
    let lib = servers.repository("lib");
    lib.file("lib.c", "old");
    let pinned = lib.commit("old");
    lib.file(
        ".gitmodules",
        "[submodule \"in\"]\n\tpath = sub/in\n\turl = ./../inner.git\n",
    );
    lib.submodule("sub/in", &inner_commit);
    let with_inner = lib.commit("with a submodule");
    lib.file("lib.c", "newer");
    lib.commit("newer");
    let main = servers.repository("main");
    let inner_url = servers.daemon.url("inner.git");
    main.file(
        ".gitmodules",
        format!(
            "[submodule \"lib\"]\n\tpath = libs/lib\n\turl = ../lib.git\n\
             [submodule \"old\"]\n\tpath = libs/old\n\turl = ../lib.git\n\
             [submodule \"in\"]\n\tpath = in\n\turl = {inner_url}\n\
             [submodule \"left\"]\n\tpath = left\n\turl = ../nowhere.git\n\tupdate = none\n"
        ),
    );
    main.submodule("libs/lib", &with_inner)
        .submodule("libs/old", &pinned)
        .submodule("in", &inner_commit)
        .submodule("left", &pinned);
    main.commit("main");
    for url in [
        servers.web.url("git/main.git"),
        servers.web.url("older-git/main.git"),
    ] {
        let tree = servers.tree(&url);
        assert_eq!(text(&tree, "r/libs/old/lib.c"), Kind::file("old"), "{url}");
        assert_eq!(
            text(&tree, "r/libs/lib/sub/in/deep"),
            Kind::file("deep"),
            "{url}"
        );
        assert_eq!(text(&tree, "r/in/deep"), Kind::file("deep"), "{url}");
        assert_eq!(tree.names_in("r/left"), Vec::<&str>::new());
        assert!(!tree.paths().any(|path| path.ends_with(".git")));
        let tree = servers.tree(&format!("{url}?submodules=false"));
        assert_eq!(tree.names_in("r/libs/lib"), Vec::<&str>::new());
    }
    let lost = servers.repository("lost");
    lost.file("a", "a").submodule("sub", &pinned);
    lost.commit("no .gitmodules");
    servers.refuses(
        &servers.web.url("git/lost.git"),
        &["cannot get the submodule `sub`", "no URL"],
    );
}

#[test]
fn a_token_opens_the_repository_and_no_other_server() {
    let servers = Servers::start();
    let elsewhere = FileServer::start();
    let sub = GitRepository::new(&elsewhere.files(), "sub");
    sub.file("s", "s");
    let commit = sub.commit("sub");
    let beside = servers.repository("beside");
    beside.file("b", "b");
    let beside = beside.commit("beside");
    let main = servers.repository("main");
    let modules = format!(
        "[submodule \"s\"]\n\tpath = s\n\turl = {}\n\
         [submodule \"b\"]\n\tpath = b\n\turl = ../beside.git\n",
        elsewhere.url("git/sub.git")
    );
    main.file(".gitmodules", modules)
        .submodule("s", &commit)
        .submodule("b", &beside);
    main.commit("main");
    let url = servers.web.url("private-git/main.git");
    servers.refuses(&url, &["401", "hint:", "GIT_AUTH_TOKEN"]);
    let with_token = |executor: Executor| {
        let executor = executor.arg("--secret=id=GIT_AUTH_TOKEN,env=TOKEN");
        // For the same host, but neither for that port nor for plain HTTP.
        let executor = executor.arg("--secret=id=GIT_AUTH_TOKEN.127.0.0.1,env=TOKEN");
        executor.env("TOKEN", "sesame-e2e\n")
    };
    let executor = servers.site.executor(Who::Root, &servers.add(&url));
    let tree = servers.site.build_with(with_token(executor)).tree();
    assert_eq!(text(&tree, "r/s/s"), Kind::file("s"));
    assert_eq!(text(&tree, "r/b/b"), Kind::file("b"));
    let requests = elsewhere.requests();
    assert!(
        !requests.is_empty() && requests.iter().all(|it| it.ends_with(" -")),
        "{requests:?}"
    );
}

#[test]
fn a_commit_is_the_key_and_a_branch_that_moves_is_another_one() {
    let servers = Servers::start();
    let repository = servers.repository("app");
    repository.file("f", "one");
    repository.commit("one");
    let url = servers.web.url("git/app.git");
    let lines = format!("ADD {url}#main /r\nRUN head -c 16 /dev/urandom > /made");
    let cache = CacheDir::new(Who::Root);
    let build = || {
        let executor = servers
            .site
            .executor(Who::Root, &servers.site.context(&lines));
        let executor = executor.args(["--cache", "--cache-copy-layers", "--cache-repo"]);
        let executor = executor.arg(format!("{}/cache", servers.site.registry.host()));
        servers.site.build_with(executor.arg(cache.flag()))
    };
    let first = build();
    let mut again = None;
    let requests = servers.web.requests_of(|| again = Some(build()));
    assert_eq!(first.diff_ids(), again.expect("built").diff_ids());
    // The references and nothing more.
    assert_eq!(requests.len(), 2, "{requests:?}");
    repository.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--message=the same files",
    ]);
    repository.file("f", "two");
    repository.commit("two");
    let moved = build();
    assert_eq!(text(&moved.tree(), "r/f"), Kind::file("two"));
    assert_ne!(text(&moved.tree(), "made"), text(&first.tree(), "made"));
}

/// A program in the place of `ssh` that runs what it is told to on this machine, as the server's shell would.
const SSH: &str = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>LOG\nfor last; do :; done\n\
    cd ROOT && exec env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' sh -c \"$last\"\n";

#[test]
fn ssh_is_spoken_through_its_program() {
    let servers = Servers::start();
    let (first, _) = project(&servers);
    let bin = TestDir::new();
    let log = bin.join("log");
    std::fs::write(&log, "").expect("write the log");
    let root = servers.web.files();
    let script = SSH.replace("LOG", log.to_str().expect("UTF-8"));
    let script = script.replace("ROOT", root.to_str().expect("UTF-8"));
    let program = bin.join("ssh");
    std::fs::write(&program, script).expect("write the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.path().display());
    for words in [
        "deploy@git.lan:project.git#v1".to_owned(),
        format!(
            "ssh://git@git.lan:2222{}/project.git#{first}",
            root.display()
        ),
    ] {
        let executor = servers.site.executor(Who::Root, &servers.add(&words));
        let tree = servers.site.build_with(executor.env("PATH", &path)).tree();
        assert_eq!(text(&tree, "r/README"), Kind::file("first"), "{words}");
    }
    let calls = std::fs::read_to_string(&log).expect("read the log");
    assert!(
        calls.contains("-l deploy -- git.lan git-upload-pack 'project.git'"),
        "{calls}"
    );
    assert!(calls.contains("-p 2222 -l git -- git.lan"), "{calls}");
}

#[test]
fn what_ssh_says_is_passed_on_without_what_moves_the_cursor() {
    let servers = Servers::start();
    let bin = TestDir::new();
    let script = "#!/bin/sh\nprintf 'Permission \\033[2Jdenied' >&2\nprintf '000cERR nope'\n";
    let program = bin.join("ssh");
    std::fs::write(&program, script).expect("write the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let context = servers.add("git@git.lan:r.git");
    let executor = servers.site.executor(Who::Root, &context);
    let build = executor.env("PATH", &path).run();
    build.assert_error(1, &["says: nope"]);
    let said = "warning: ssh: Permission [2Jdenied\n";
    assert!(build.stderr().contains(said), "{}", build.report());
}

#[test]
fn ssh_needs_a_program_and_says_so() {
    let servers = Servers::start();
    let executor = servers
        .site
        .executor(Who::Root, &servers.add("git@127.0.0.1:r.git"));
    let build = executor.env("PATH", "/nowhere").run();
    build.assert_error(
        1,
        &[
            "Dockerfile:2:",
            "ssh://git@127.0.0.1/r.git",
            "no program `ssh`",
        ],
    );
}
