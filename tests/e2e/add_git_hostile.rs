//! git servers that want something: nothing is written outside of the checkout, and nothing of theirs is run.

use crate::support::{FileServer, GitRepository, Kind, Site, Who};

struct Hostile {
    site: Site,
    web: FileServer,
    repository: GitRepository,
    blob: String,
}

impl Hostile {
    fn new() -> Self {
        let web = FileServer::start();
        let repository = GitRepository::new(&web.files(), "r");
        repository.file("f", "x");
        repository.commit("ordinary");
        let blob = repository.object("blob", b"hostile");
        Self {
            site: Site::busybox(),
            web,
            repository,
            blob,
        }
    }

    fn add(&self, branch: &str) -> String {
        format!("ADD {}#{branch} /r", self.web.url("git/r.git"))
    }

    /// Fails the test unless the build of a branch is refused with these words, and nothing is left of it.
    fn refuses(&self, branch: &str, parts: &[&str]) {
        let context = self.site.context(&self.add(branch));
        let build = self.site.executor(Who::Root, &context).run();
        build.assert_error(1, &[&["Dockerfile:2: cannot fetch"], parts].concat());
    }
}

#[test]
fn names_that_lead_out_of_the_checkout_are_refused() {
    let hostile = Hostile::new();
    let (blob, repository) = (hostile.blob.as_str(), &hostile.repository);
    let inner = repository.tree(&[("100644", b"config", blob)]);
    for (number, name, mode, id) in [
        (0, &b".."[..], "40000", inner.as_str()),
        (1, b".", "40000", &inner),
        (2, b"../../../escaped", "100644", blob),
        (3, b"/tmp/escaped", "100644", blob),
        (4, b".git", "40000", &inner),
        (5, b".GiT", "40000", &inner),
        (6, b".git", "120000", blob),
        (7, b".git", "160000", &"1".repeat(40)),
    ] {
        let branch = format!("name{number}");
        repository.branch_with_tree(&branch, &[(mode, name, id)]);
        hostile.refuses(&branch, &["an entry that is refused"]);
    }
    repository.branch_with_tree("device", &[("20644", b"null", blob)]);
    hostile.refuses("device", &["a tree that cannot be read"]);
}

#[test]
fn a_tree_cannot_write_through_its_own_links() {
    let hostile = Hostile::new();
    let repository = &hostile.repository;
    let target = repository.object("blob", b"/tmp");
    let inner = repository.tree(&[("100644", b"escaped-by-link", &hostile.blob)]);
    let twice = [
        ("120000", &b"way"[..], target.as_str()),
        ("40000", b"way", inner.as_str()),
    ];
    repository.branch_with_tree("through", &twice);
    hostile.refuses("through", &["cannot create"]);
    let file_twice = [
        ("120000", &b"way"[..], target.as_str()),
        ("100644", b"way", hostile.blob.as_str()),
    ];
    repository.branch_with_tree("over", &file_twice);
    hostile.refuses("over", &["cannot create"]);
    // The submodule's place is a link.
    let commit = repository.git(&["rev-parse", "main"]);
    let modules = "[submodule \"way\"]\n\tpath = way\n\turl = ./\n";
    let modules = repository.object("blob", modules.as_bytes());
    let entries = [
        ("100644", &b".gitmodules"[..], modules.as_str()),
        ("120000", b"way", target.as_str()),
        ("160000", b"way", commit.as_str()),
    ];
    repository.branch_with_tree("submodule", &entries);
    hostile.refuses("submodule", &["cannot create"]);
    assert!(!std::path::Path::new("/tmp/escaped-by-link").exists());
}

#[test]
fn submodules_are_neither_paths_nor_programs_of_this_machine() {
    let hostile = Hostile::new();
    let repository = &hostile.repository;
    let commit = repository.git(&["rev-parse", "main"]);
    let own = hostile.web.files().join("r.git");
    for (number, url) in [
        own.to_str().expect("UTF-8").to_owned(),
        format!("file://{}", own.display()),
        "ext::touch /tmp/escaped-by-ext".to_owned(),
        "ssh://-oProxyCommand=touch%20x/r".to_owned(),
        "--upload-pack=touch x".to_owned(),
        "../../../../../../r.git".to_owned(),
        "../r\u{1b}.git".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let modules = format!("[submodule \"s\"]\n\tpath = s\n\turl = \"{url}\"\n");
        let modules = repository.object("blob", modules.as_bytes());
        let branch = format!("sub{number}");
        let entries = [
            ("100644", &b".gitmodules"[..], modules.as_str()),
            ("160000", b"s", commit.as_str()),
        ];
        repository.branch_with_tree(&branch, &entries);
        hostile.refuses(&branch, &["cannot get the submodule `s`"]);
    }
}

#[test]
fn what_git_reads_of_a_commit_has_a_limit() {
    let hostile = Hostile::new();
    let (blob, repository) = (hostile.blob.as_str(), &hostile.repository);
    let commit = repository.git(&["rev-parse", "main"]);
    let modules = "[submodule \"s\"]\n\tpath = s\n\turl = ./\n".repeat(40_000);
    let modules = repository.object("blob", modules.as_bytes());
    let entries = [
        ("100644", &b".gitmodules"[..], modules.as_str()),
        ("160000", b"s", commit.as_str()),
    ];
    repository.branch_with_tree("modules", &entries);
    hostile.refuses("modules", &["bytes"]);
    // No file can be called so; the tree is too large before anybody looks at names.
    let name = vec![b'a'; 33 * 1024 * 1024];
    repository.branch_with_tree("tree", &[("100644", &name, blob)]);
    hostile.refuses("tree", &["an object of 346"]);
    let name = &name[..22 * 1024 * 1024];
    let mut inner = repository.tree(&[("100644", b"f", blob)]);
    for _ in 0..3 {
        inner = repository.tree(&[("40000", b"d", &inner), ("100644", name, blob)]);
    }
    repository.branch_with_tree("trees", &[("40000", b"d", &inner)]);
    hostile.refuses(
        "trees",
        &["`d/d/d`: the directories that it is in are too large"],
    );
    let mut inner = repository.tree(&[("100644", b"f", blob)]);
    for _ in 0..17 {
        inner = repository.tree(&[("40000", &[b'd'; 250], &inner)]);
    }
    repository.branch_with_tree("path", &[("40000", b"d", &inner)]);
    hostile.refuses("path", &["its path is too long"]);
}

#[test]
fn only_the_beginning_of_attributes_is_looked_at() {
    let hostile = Hostile::new();
    let repository = &hostile.repository;
    let attributes = ["# x\n".repeat(300_000).as_str(), "* filter=late\n"].concat();
    let attributes = repository.object("blob", attributes.as_bytes());
    let entries = [("100644", &b".gitattributes"[..], attributes.as_str())];
    repository.branch_with_tree("attributes", &entries);
    let context = hostile.site.context(&hostile.add("attributes"));
    let build = hostile.site.executor(Who::Root, &context).run();
    build.assert_success();
    assert!(
        !build.stderr().contains("filter=late"),
        "{}",
        build.report()
    );
}

#[test]
fn a_repository_that_is_its_own_submodule_comes_to_an_end() {
    let hostile = Hostile::new();
    let repository = &hostile.repository;
    let mut commit = repository.git(&["rev-parse", "main"]);
    let modules = "[submodule \"s\"]\n\tpath = s\n\turl = ../r.git\n";
    let modules = repository.object("blob", modules.as_bytes());
    for level in 0..40 {
        let entries = [
            ("100644", &b".gitmodules"[..], modules.as_str()),
            ("160000", b"s", commit.as_str()),
        ];
        commit = repository.branch_with_tree(&format!("level{level}"), &entries);
    }
    hostile.refuses("level39", &["levels of submodules"]);
}

#[test]
fn filters_and_hooks_of_a_repository_are_not_run() {
    let hostile = Hostile::new();
    let repository = &hostile.repository;
    repository.git(&[
        "config",
        "filter.evil.smudge",
        "touch /tmp/escaped-by-filter",
    ]);
    let attributes = repository.object("blob", b"* filter=evil\n");
    let entries = [
        ("100644", &b".gitattributes"[..], attributes.as_str()),
        ("100644", b"f", hostile.blob.as_str()),
    ];
    repository.branch_with_tree("filtered", &entries);
    let context = hostile.site.context(&hostile.add("filtered"));
    let build = hostile.site.executor(Who::Root, &context).run();
    build.assert_success();
    let said = "asks for `filter=evil`, which is not done";
    assert!(build.stderr().contains(said), "{}", build.report());
    let image = crate::support::Image::pull(&hostile.site.registry, crate::support::site::APP);
    assert_eq!(image.tree().get("r/f").kind, Kind::file("hostile"));
    assert!(!std::path::Path::new("/tmp/escaped-by-filter").exists());
}
