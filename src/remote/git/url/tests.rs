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
fn characters_that_programs_take_for_their_own_are_refused() {
    for (text, part) in [
        ("git://h/r%00host=other", "path"),
        ("git://h/r%0A", "path"),
        ("git://h%00x/r", "host"),
        ("ssh://h%20x/r", "host"),
        ("ssh://%24%28id%29/r", "host"),
        ("ssh://a%40b@h/r", "user"),
        ("ssh://u%25h@h/r", "user"),
    ] {
        // Some are refused by the URL's own rules already.
        let error = refused(text);
        let is_named = error.contains(&format!("the {part} of the URL has characters"));
        assert!(
            is_named || error.contains("cannot read the URL"),
            "{text}: {error}"
        );
    }
    assert!(refused("git://h/r%00x").contains("the path of the URL has characters"));
    assert!(refused("ssh://a%40b@h/r").contains("the user of the URL has characters"));
    assert_eq!(GitSource::parse("git@h:r\u{1b}[2J").unwrap(), None);
    for text in [
        "ssh://git@[::1]:22/r",
        "git://[::1]/r",
        "ssh://me.too@h-1.lan/r",
    ] {
        assert!(GitSource::parse(text).unwrap().is_some(), "{text}");
    }
}

#[test]
fn what_a_url_says_cannot_move_the_cursor() {
    for text in ["https://h/r.git?%1b[2J=1", "https://h/r.git?mtime=%1b[2J"] {
        assert!(!refused(text).contains(char::is_control), "{text}");
    }
}

#[test]
fn fragment_and_query_say_what_of_it_is_meant() {
    let source = parsed("https://h/r.git#v1.0:docs/../src/");
    assert_eq!(
        (source.reference.as_str(), source.subdir.as_str()),
        ("v1.0", "src")
    );
    assert!(
        source.submodules && source.has_commit_times.is_none() && source.keep_git_dir.is_none()
    );
    let source = parsed(
        "https://h/r.git?branch=b&subdir=/a/&keep-git-dir&submodules=0&mtime=commit&commit=ABCDEF0",
    );
    assert_eq!(source.reference, "refs/heads/b");
    assert_eq!(
        (source.subdir.as_str(), source.checksum.as_str()),
        ("a", "abcdef0")
    );
    assert!(!source.submodules && source.has_commit_times == Some(true));
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
