//! Build contexts that are fetched: git repositories, archives, a Dockerfile alone.

use crate::support::crafted::encode;
use crate::support::tool::Tool;
use crate::support::{
    Context, Encoding, Executor, FileServer, GitDaemon, GitRepository, Image, Kind, LayerTar, Site,
    TestDir, Tree, Who,
};

struct Servers {
    site: Site,
    web: FileServer,
}

impl Servers {
    fn start() -> Self {
        Self {
            site: Site::busybox(),
            web: FileServer::start(),
        }
    }

    fn dockerfile(&self, lines: &str) -> String {
        format!("FROM {}\n{lines}\n", self.site.base)
    }

    fn executor(&self, who: Who, context: &str) -> Executor {
        let executor = Executor::new(who).destination(&self.site.app());
        executor.arg("--context").arg(context)
    }

    fn tree(&self, executor: Executor) -> Tree {
        self.site.build_with(executor).tree()
    }

    /// A repository with a Dockerfile in it, an ignore file, a submodule and a history.
    fn repository(&self) -> GitRepository {
        let sub = GitRepository::new(&self.web.files(), "sub");
        sub.file("s", "s");
        let commit = sub.commit("sub");
        let repository = GitRepository::new(&self.web.files(), "app");
        repository
            .file("Dockerfile", self.dockerfile("COPY . /app/"))
            .file(".dockerignore", "ignored")
            .file("ignored", "all the same")
            .file("f", "first")
            .file(
                ".gitmodules",
                "[submodule \"s\"]\n\tpath = sub\n\turl = ../sub.git\n",
            )
            .file("part/Dockerfile", self.dockerfile("COPY . /part/"))
            .file("part/p", "p");
        repository.submodule("sub", &commit);
        repository.commit("first");
        repository.git(&["tag", "v1"]);
        repository.file("f", "last");
        repository.commit("last");
        repository
    }
}

#[test]
fn a_git_repository_is_a_context_without_ignore_files() {
    let servers = Servers::start();
    servers.repository();
    let url = servers.web.url("git/app.git");
    for who in [Who::Root, Who::User] {
        let tree = servers.tree(servers.executor(who, &url));
        assert_eq!(tree.get("app/f").kind, Kind::file("last"));
        assert_eq!(tree.get("app/sub/s").kind, Kind::file("s"));
        assert!(tree.has("app/ignored") && !tree.has("app/.git"));
        assert_eq!((tree.get("app/f").uid, tree.get("app/f").mode), (0, 0o644));
    }
    let tree = servers.tree(servers.executor(Who::Root, &format!("{url}#v1")));
    assert_eq!(tree.get("app/f").kind, Kind::file("first"));
    let without_isolation = servers.executor(Who::User, &url).arg("--isolation=none");
    assert!(servers.tree(without_isolation).has("app/f"));
    let part = servers.tree(servers.executor(Who::Root, &format!("{url}#main:part")));
    assert_eq!(part.names_in("part"), ["Dockerfile", "p"]);
    let sub_path = servers
        .executor(Who::Root, &url)
        .arg("--context-sub-path=part");
    assert_eq!(servers.tree(sub_path).names_in("part"), ["Dockerfile", "p"]);
    let kept = servers.executor(Who::Root, &url);
    let kept = kept.arg("--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1");
    assert!(servers.tree(kept).has("app/.git/HEAD"));
}

#[test]
fn kanikos_git_form_has_its_meaning() {
    let servers = Servers::start();
    let repository = servers.repository();
    let first = repository.git(&["rev-parse", "v1"]);
    let at = format!("git://{}/git/app.git", servers.web.host());
    let kaniko = |context: &str| {
        let executor = servers.executor(Who::Root, context);
        executor.env("GIT_PULL_METHOD", "http")
    };
    let tree = servers.tree(kaniko(&at));
    assert_eq!(tree.get("app/f").kind, Kind::file("last"));
    assert_eq!(tree.names_in("app/sub"), Vec::<&str>::new());
    let tree = servers.tree(kaniko(&at).arg("--git=branch=main,recurse-submodules=true"));
    assert!(tree.has("app/sub/s"));
    let of_tag = servers.tree(kaniko(&at).arg("--git=branch=v1,single-branch=true,depth=1"));
    assert_eq!(of_tag.get("app/f").kind, Kind::file("first"));
    let tree = servers.tree(kaniko(&format!("{at}#refs/heads/main#{first}")));
    assert_eq!(tree.get("app/f").kind, Kind::file("first"));
    let private = format!("git://{}/private-git/app.git", servers.web.host());
    let refused = kaniko(&private).run();
    refused.assert_error(1, &["cannot fetch the build context", "401"]);
    let login = kaniko(&private).env("GIT_USERNAME", "x-access-token");
    let tree = servers.tree(login.env("GIT_PASSWORD", "sesame-e2e"));
    assert!(tree.has("app/f"));
    // https is the default.
    let over_tls = servers.executor(Who::Root, &at).run();
    over_tls.assert_error(1, &["https://127.0.0.1"]);
    let daemon = GitDaemon::serving(&servers.web.files());
    let spoken = servers.executor(Who::Root, &daemon.url("app.git"));
    let tree = servers.tree(spoken.env("GIT_PULL_METHOD", "git"));
    assert!(tree.has("app/f"));
}

#[test]
fn a_git_servers_certificate_may_go_unchecked() {
    let web = FileServer::start_with_tls();
    let repository = GitRepository::new(&web.files(), "app");
    repository
        .file("Dockerfile", "FROM scratch\nCOPY f /\n")
        .file("f", "f");
    repository.commit("first");
    let build = |context: String, flag: &str| {
        let executor = Executor::new(Who::User).args(["--no-push", flag, "--context"]);
        executor.arg(context).run()
    };
    let at = format!("git://{}/git/app.git", web.host());
    build(at.clone(), "--git=insecure-skip-tls=true").assert_success();
    build(at, "--git=insecure-skip-tls=false").assert_error(1, &["cannot agree on TLS"]);
    // It is about git alone.
    let file = web.url("plain/app.git/HEAD");
    build(file, "--git=insecure-skip-tls=true").assert_error(1, &["cannot agree on TLS"]);
}

#[test]
fn an_archive_is_unpacked_and_all_else_is_the_dockerfile() {
    let servers = Servers::start();
    let tar = LayerTar::new()
        .file("Dockerfile", servers.dockerfile("COPY . /app/"))
        .file_with("owned", "x", 0o640, 77, &[])
        .dir("part/", 0o755)
        .file("part/Dockerfile", servers.dockerfile("COPY p /part/"))
        .file("part/p", "p")
        .finish();
    servers.web.file("c.tgz", encode(&tar, Encoding::Gzip));
    let alone = servers.dockerfile("RUN echo made > /made\nCOPY context /Dockerfile");
    servers.web.file("D", &alone);
    let archive = servers.web.url("plain/c.tgz");
    for who in [Who::Root, Who::User] {
        let tree = servers.tree(servers.executor(who, &archive));
        let owned = tree.get("app/owned");
        assert_eq!((owned.uid, owned.mode), (0, 0o640));
        let tree = servers.tree(servers.executor(who, &servers.web.url("plain/D")));
        assert_eq!(tree.get("made").kind, Kind::file("made\n"));
        assert_eq!(tree.get("Dockerfile").kind, Kind::file(&alone));
    }
    let without_isolation = servers
        .executor(Who::User, &archive)
        .arg("--isolation=none");
    assert_eq!(servers.tree(without_isolation).get("app/owned").mode, 0o640);
    let part = servers
        .executor(Who::Root, &archive)
        .arg("--context-sub-path=/part");
    assert_eq!(servers.tree(part).names_in("part"), ["p"]);
    // A Dockerfile of this machine.
    let local = TestDir::new();
    let dockerfile = local.join("Other");
    std::fs::write(&dockerfile, servers.dockerfile("COPY part/p /p")).expect("write it");
    let other = servers.executor(Who::Root, &archive);
    assert!(
        servers
            .tree(other.arg("--dockerfile").arg(dockerfile))
            .has("p")
    );
}

#[test]
fn an_archive_that_breaks_off_goes_on_where_it_broke_if_it_is_still_the_same() {
    let web = FileServer::start();
    let tar = LayerTar::new()
        .file("Dockerfile", "FROM scratch\nCOPY f /\n")
        .file("f", "f".repeat(100_000))
        .finish();
    web.file("c.tar", tar);
    let behaviours = [
        ("resumable", 2),
        ("weak", 2),
        ("replaced", 3),
        ("rangeless", 3),
    ];
    for (behaviour, expected) in behaviours {
        let executor = Executor::new(Who::User).args(["--no-push", "--context"]);
        let layout = executor.out("layout");
        let executor = executor.arg(web.url(&format!("{behaviour}/c.tar")));
        let executor = executor.arg("--oci-layout-path").arg(&layout);
        let mut build = None;
        let requests = web.requests_of(|| build = Some(executor.run()));
        let build = build.expect("it ran");
        build.assert_success();
        let gets = requests.iter().filter(|line| line.starts_with("GET "));
        assert_eq!(gets.count(), expected, "{behaviour}: {requests:?}");
        let tree = Image::taken_from_layout(&layout).tree();
        let all = Kind::file(&"f".repeat(100_000));
        assert_eq!(tree.get("f").kind, all, "{behaviour}");
    }
}

#[test]
fn roots_of_the_system_are_those_of_every_server() {
    let web = FileServer::start_with_tls();
    let repository = GitRepository::new(&web.files(), "app");
    repository
        .file("Dockerfile", "FROM scratch\nCOPY f /\n")
        .file("f", "f");
    repository.commit("first");
    let tar = LayerTar::new()
        .file("Dockerfile", "FROM scratch\nCOPY f /\n")
        .file("f", "f")
        .finish();
    web.file("c.tar", tar);
    let adding = Context::new(format!(
        "FROM scratch\nADD {} /a\nADD {} /b\n",
        web.url("plain/c.tar"),
        web.url("git/app.git")
    ));
    let directory = TestDir::new();
    std::fs::copy(web.ca_file(), directory.join("any-name")).expect("copy the authority");
    let authority = web.ca_file();
    let contexts = [
        web.url("git/app.git"),
        web.url("plain/c.tar"),
        adding.path().display().to_string(),
    ];
    for context in contexts {
        let build = || Executor::new(Who::User).args(["--no-push", "--context", &context]);
        let refused = build().run();
        refused.assert_error(1, &["cannot agree on TLS", "certificate"]);
        let file = build().env("SSL_CERT_FILE", &authority).run();
        file.assert_success();
        let dir = build().env("SSL_CERT_DIR", directory.path()).run();
        dir.assert_success();
    }
}

#[test]
fn a_context_cannot_lead_out_of_itself() {
    let servers = Servers::start();
    let repository = GitRepository::new(&servers.web.files(), "app");
    let outside = TestDir::new();
    let secret = outside.join("Dockerfile");
    std::fs::write(&secret, servers.dockerfile("RUN touch /from-outside")).expect("write it");
    let outside = outside.path().to_str().expect("UTF-8");
    repository
        .symlink("Dockerfile", secret.to_str().expect("UTF-8"))
        .symlink("way", outside)
        .file("f", "f");
    repository.commit("links");
    let url = servers.web.url("git/app.git");
    let build = servers.executor(Who::Root, &url).run();
    build.assert_error(1, &["there is no Dockerfile"]);
    let build = servers
        .executor(Who::Root, &url)
        .arg("--context-sub-path=way")
        .run();
    build.assert_error(1, &["has no directory"]);
    let build = servers
        .executor(Who::Root, &url)
        .arg("--context-sub-path=../../..")
        .run();
    build.assert_error(1, &["there is no Dockerfile"]);
    let missing = servers
        .executor(Who::Root, &servers.web.url("plain/no.tar"))
        .run();
    missing.assert_error(1, &["cannot fetch the build context", "404"]);
}

#[test]
fn named_contexts_are_fetched_where_something_needs_them() {
    let servers = Servers::start();
    servers.repository();
    servers
        .web
        .file("tool.tar", "no archive that anybody unpacks");
    let lines = "COPY --from=source f ignored sub/s /copied/\n\
         COPY --from=tool . /tool/\n\
         RUN --mount=from=source,target=/m cat /m/f > /mounted\n\
         FROM source AS unused";
    let dockerfile = format!("FROM {} AS wanted\n{lines}\n", servers.site.base);
    let context = Context::new(dockerfile);
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .destination(&servers.site.app())
            .arg("--target=wanted")
            .arg(format!(
                "--build-context=source={}#v1",
                servers.web.url("git/app.git")
            ))
            .arg(format!(
                "--build-context=tool={}",
                servers.web.url("plain/tool.tar")
            ))
            .arg("--build-context=nobody=https://127.0.0.1:1/x.git");
        let tree = servers.tree(executor);
        assert_eq!(tree.names_in("copied"), ["f", "ignored", "s"], "{who:?}");
        assert_eq!(tree.get("copied/f").kind, Kind::file("first"));
        assert_eq!(tree.get("mounted").kind, Kind::file("first"));
        assert_eq!(tree.names_in("tool"), ["context"], "{who:?}");
    }
}

#[test]
fn a_stage_is_replaced_by_a_repository_and_its_password_is_not_shown() {
    let servers = Servers::start();
    servers.repository();
    let context = Context::new(
        "FROM nowhere.invalid/x AS files\nRUN false\nFROM scratch\nCOPY --from=files f /\n",
    );
    let url = servers.web.url("git/app.git");
    let build = |url: &str| {
        Executor::new(Who::User)
            .context(&context)
            .arg("--no-push")
            .arg("--verbosity=trace")
            .arg(format!("--build-context=files={url}"))
            .run()
    };
    let with_password = url.replace("http://", "http://me:hunter2@");
    let built = build(&with_password);
    built.assert_success();
    assert!(!built.report().contains("hunter2"), "{}", built.report());
    let failed = build(&with_password.replace("app.git", "none.git"));
    failed.assert_error(1, &["Dockerfile:1", "build context `files`", "404"]);
    assert!(!failed.report().contains("hunter2"), "{}", failed.report());
}

#[test]
fn a_dockerfile_is_fetched_alone() {
    let servers = Servers::start();
    servers
        .web
        .file("Dockerfile.web", servers.dockerfile("COPY f /"));
    let context = Context::new("no Dockerfile\n").file("f", "of the context");
    let build = |url: String| {
        Executor::new(Who::Root)
            .destination(&servers.site.app())
            .context_alone(&context)
            .arg("--dockerfile")
            .arg(url)
    };
    let tree = servers.tree(build(servers.web.url("plain/Dockerfile.web")));
    assert_eq!(tree.get("f").kind, Kind::file("of the context"));
    let missing = build(servers.web.url("plain/none?token=hunter2")).run();
    missing.assert_error(1, &["cannot fetch the Dockerfile", "plain/none?..", "404"]);
    assert!(
        !missing.report().contains("hunter2"),
        "{}",
        missing.report()
    );
    servers.web.file("Wrong", servers.dockerfile("NONSENSE"));
    let wrong = build(servers.web.url("plain/Wrong")).run();
    wrong.assert_error(1, &["/plain/Wrong:2", "NONSENSE"]);
}

#[test]
fn a_repository_with_sha_256_names_is_refused_by_name() {
    let web = FileServer::start();
    let bare = web.files().join("new.git");
    let init = Tool::new("git").args(["init", "--quiet", "--bare", "--object-format=sha256"]);
    init.arg(&bare).run();
    let context = web.url("git/new.git");
    let build = Executor::new(Who::User).arg("--context").arg(context);
    let build = build.arg("--no-push").run();
    build.assert_error(1, &["new.git", "SHA-256, which is not supported"]);
}
