use super::*;

fn parsed(text: &str) -> GitSource {
    GitSource::parse(text).unwrap().expect("a repository")
}

fn refused(text: &str) -> String {
    GitSource::parse(text).unwrap_err().to_string()
}

#[test]
fn schemes_and_endings_say_what_is_a_repository() {
    for text in [
        "https://h/r.git",
        "http://h/r.git#main",
        "https://h/r.git?tag=v1",
        "git://h/r",
        "ssh://git@h:22/r",
        "git@h:group/r.git",
        "deploy-1@h.lan:r#main:sub",
    ] {
        assert!(GitSource::parse(text).unwrap().is_some(), "{text}");
    }
    for text in [
        "https://h/r",
        "https://h/r.git/file",
        "https://h/file.git.tar",
        "ftp://h/r.git",
        "file:///r.git",
        "r.git",
        "h:r.git",
        "a/b@c:d",
        "git@-oProxyCommand=id:r",
        "git@h:-r",
        "github.com/a/b",
    ] {
        assert_eq!(GitSource::parse(text).unwrap(), None, "{text}");
    }
    assert!(refused("ssh://-oProxyCommand=id/r").contains("begins with `-`"));
}

#[test]
fn fragment_and_query_say_what_of_it_is_meant() {
    let source = parsed("https://h/r.git#v1.0:docs/../src/");
    assert_eq!(
        (source.reference.as_str(), source.subdir.as_str()),
        ("v1.0", "src")
    );
    assert!(source.submodules && !source.has_commit_times && source.keep_git_dir.is_none());
    let source = parsed(
        "https://h/r.git?branch=b&subdir=/a/&keep-git-dir&submodules=0&mtime=commit&commit=ABCDEF0",
    );
    assert_eq!(source.reference, "refs/heads/b");
    assert_eq!(
        (source.subdir.as_str(), source.checksum.as_str()),
        ("a", "abcdef0")
    );
    assert!(!source.submodules && source.has_commit_times);
    assert_eq!(source.keep_git_dir, Some(true));
    assert_eq!(parsed("https://h/r.git?tag=v1").reference, "refs/tags/v1");
    assert_eq!(parsed("https://h/r.git#:sub").subdir, "sub");
    assert_eq!(parsed("https://h/r.git?subdir=../..").subdir, "");
    let by_commit = parsed(&format!(
        "git://h/r?fetch-by-commit&checksum={}",
        "a".repeat(40)
    ));
    assert!(by_commit.by_commit);
}

#[test]
fn what_contradicts_itself_or_means_nothing_is_refused() {
    for (text, expected) in [
        ("https://h/r.git?ref=a#b", "`#ref` conflicts with `ref`"),
        (
            "https://h/r.git?subdir=a#b:c",
            "`#:subdir` conflicts with `subdir`",
        ),
        (
            "https://h/r.git?tag=a&branch=b",
            "`tag` conflicts with `branch`",
        ),
        ("https://h/r.git?ref=a&tag=b", "`ref` conflicts with `tag`"),
        (
            "https://h/r.git?commit=1234567&checksum=1234567",
            "`checksum` conflicts with `commit`",
        ),
        ("https://h/r.git?ref=a&ref=b", "more than once"),
        ("https://h/r.git?depth=1", "unexpected query `depth`"),
        (
            "https://h/r.git?keep-git-dir=maybe",
            "expected `true` or `false`",
        ),
        (
            "https://h/r.git?mtime=now",
            "expected `checkout` or `commit`",
        ),
        ("https://h/r.git?commit=main", "the hash of a commit"),
        ("https://h/r.git?commit=123456", "the hash of a commit"),
        (
            "https://h/r.git?fetch-by-commit",
            "needs the commit's full hash",
        ),
        (
            "https://h/r.git?fetch-by-commit&commit=1234567",
            "needs the commit's full hash",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let pinned = parsed("https://h/r.git?commit=1234567");
    assert!(pinned.clone().demand("1234567").is_ok());
    assert!(pinned.demand("7654321").is_err());
}

#[test]
fn nothing_secret_is_shown() {
    let shown = |text: &str| parsed(text).repository.to_string();
    assert_eq!(
        shown("https://user:token@h:8443/r.git#x"),
        "https://h:8443/r.git"
    );
    assert_eq!(shown("ssh://git:token@h/r"), "ssh://git@h/r");
    assert_eq!(shown("git@h:g/r"), "ssh://git@h/g/r");
    assert_eq!(
        parsed("ssh://h/~me/r").repository.to_string(),
        "ssh://h/~me/r"
    );
}
