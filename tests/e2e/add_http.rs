//! ADD from HTTP servers (Dockerfile reference, "ADD", "Adding files from a URL").

use crate::support::cache_dir::CacheDir;
use crate::support::image::sha256;
use crate::support::{Context, FileServer, Image, Kind, LayerTar, Site, Tree, Who};

/// What `Last-Modified` of the server says.
const DATE: i64 = 784_111_777;

/// Mode, owner, group and time of a file.
type Looks = (u32, u64, u64, i64);

#[track_caller]
fn assert_file(tree: &Tree, path: &str, contents: &str, looks: Looks) {
    let entry = tree.get(path);
    assert_eq!(entry.kind, Kind::file(contents), "{path}");
    let found = (entry.mode, entry.uid, entry.gid, entry.mtime);
    assert_eq!(found, looks, "{path}");
}

#[test]
fn a_file_has_its_name_from_the_url_and_its_time_from_the_server() {
    let (site, server) = (Site::busybox(), FileServer::start());
    for name in ["a.txt", "with space"] {
        server.file(name, name);
    }
    let url = |path: &str| server.url(path);
    let lines = [
        format!("ADD {} /dir/", url("dated/a.txt?x=/y")),
        format!("ADD {} /renamed", url("plain/a.txt#part")),
        format!("ADD {} /dir/", url("plain/with%20space")),
        format!("ADD --chown=7:8 --chmod=0751 {} /looks", url("plain/a.txt")),
        format!(
            "ADD {} kept.txt {} /mixed/",
            url("plain/a.txt"),
            url("tagged/with%20space")
        ),
        format!(
            "ADD {} /redirected/",
            url(&format!("away/x?{}", url("dated/a.txt")))
        ),
        format!("ADD {} /flaky/", url("flaky/a.txt")),
        format!("ADD {} /cut/", url("cut/a.txt")),
        format!("ADD {} /resumed/", url("resumable/a.txt")),
        format!("ADD {} /weak/", url("weak/a.txt")),
        format!("ADD {} /changed/", url("changed/a.txt")),
    ];
    let context = site.context(&lines.join("\n")).file("kept.txt", "kept");
    let image = site.build(Who::Root, &context);
    let tree = image.tree();
    assert_file(&tree, "dir/a.txt", "a.txt", (0o600, 0, 0, DATE));
    assert_file(&tree, "renamed", "a.txt", (0o600, 0, 0, 0));
    assert_file(&tree, "dir/with space", "with space", (0o600, 0, 0, 0));
    assert_file(&tree, "looks", "a.txt", (0o751, 7, 8, 0));
    assert_eq!(tree.names_in("mixed"), ["a.txt", "kept.txt", "with space"]);
    // The name is the one that was asked for, not the one that a server redirects to.
    assert_file(&tree, "redirected/x", "a.txt", (0o600, 0, 0, DATE));
    assert_file(&tree, "flaky/a.txt", "a.txt", (0o600, 0, 0, 0));
    assert_file(&tree, "cut/a.txt", "a.txt", (0o600, 0, 0, 0));
    assert_file(&tree, "resumed/a.txt", "a.txt", (0o600, 0, 0, 0));
    assert_file(&tree, "weak/a.txt", "a.txt", (0o600, 0, 0, 0));
    // Half of one state of a file is never joined to half of another.
    assert_file(&tree, "changed/a.txt", "A.TXT", (0o600, 0, 0, 0));
    let history = image.history();
    let expected = format!("ADD {} /renamed # buildkit", url("plain/a.txt#part"));
    assert!(history.contains(&expected.as_str()), "{history:?}");
}

#[test]
fn every_mode_of_isolation_gives_fetched_files_to_root() {
    let (site, server) = (Site::busybox(), FileServer::start());
    server.file("f", "f");
    let context = site.context(&format!("ADD {} /f", server.url("plain/f")));
    let tree = site.build_as_both(&context);
    assert_file(&tree, "f", "f", (0o600, 0, 0, 0));
    let copied = site.executor(Who::User, &context).arg("--isolation=none");
    let tree = site.build_with(copied).tree();
    assert_file(&tree, "f", "f", (0o600, 0, 0, 0));
}

#[test]
fn an_archive_from_a_server_is_unpacked_only_if_that_is_asked_for() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let tar = LayerTar::new().file_with("in/file", "x", 0o640, 5, &[]);
    server.file("a.tar", tar.finish());
    server.file("no.tar", "no archive");
    let lines = format!(
        "ADD {tar} /kept/\nADD --unpack {tar} {no} /unpacked/\nADD --unpack=false {tar} /off/",
        tar = server.url("plain/a.tar"),
        no = server.url("plain/no.tar"),
    );
    let tree = site.build(Who::Root, &site.context(&lines)).tree();
    assert_eq!(tree.names_in("kept"), ["a.tar"]);
    assert_eq!(tree.names_in("off"), ["a.tar"]);
    assert_eq!(tree.names_in("unpacked"), ["in", "no.tar"]);
    assert_eq!(tree.get("unpacked/in/file").uid, 5);
}

#[test]
fn a_checksum_is_held_and_both_are_named_where_it_is_not() {
    let (site, server) = (Site::busybox(), FileServer::start());
    server.file("f", "right");
    let (right, wrong) = (sha256(b"right"), sha256(b"wrong"));
    let url = server.url("plain/f?token=$TOKEN");
    let with_sum = |sum: &str| {
        let lines = format!("ARG TOKEN\nADD --checksum=sha256:{sum} {url} /f");
        let executor = site.executor(Who::Root, &site.context(&lines));
        executor.arg("--build-arg=TOKEN=hidden")
    };
    let tree = site.build_with(with_sum(&right)).tree();
    assert_file(&tree, "f", "right", (0o600, 0, 0, 0));
    let refused = with_sum(&wrong).run();
    let parts = [
        "Dockerfile:3: cannot fetch",
        "3 | ADD --checksum",
        &right,
        &wrong,
    ];
    refused.assert_error(1, &parts);
    assert!(!refused.stderr().contains("hidden"), "{}", refused.report());
    let asked = "GET /plain/f?token=hidden -".to_owned();
    assert!(server.requests().contains(&asked));
}

#[test]
fn what_a_server_says_no_to_is_told_with_status_and_line() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let context = site.context(&format!("RUN true\nADD {} /f", server.url("plain/missing")));
    let build = site.executor(Who::Root, &context).run();
    build.assert_error(1, &["Dockerfile:3: cannot fetch", "plain/missing", "404"]);
    let nobody = site.context("ADD http://127.0.0.1:1/f /f");
    let build = site.executor(Who::Root, &nobody).run();
    build.assert_error(
        1,
        &[
            "Dockerfile:2: cannot fetch `http://127.0.0.1:1/f`",
            "cannot reach",
        ],
    );
    let twice = site.context("ADD --checksum=sha256:1 http://127.0.0.1:1/f x /f/");
    let build = site.executor(Who::Root, &twice).run();
    build.assert_error(1, &["Dockerfile:2:", "--checksum"]);
    site.assert_nothing_pushed();
}

#[test]
fn secrets_open_their_own_server_and_go_to_no_other() {
    let site = Site::busybox();
    let (server, other) = (FileServer::start(), FileServer::start());
    server.file("f", "secret file");
    other.file("f", "other file");
    let context = site.context(&format!("ADD {} /f", server.url("private/f")));
    let refused = site.executor(Who::Root, &context).run();
    refused.assert_error(1, &["401", "hint:", "HTTP_AUTH_TOKEN_127.0.0.1"]);
    let with_token = |context: &Context| {
        let executor = site.executor(Who::Root, context);
        let id = format!("HTTP_AUTH_TOKEN_{}", server.host());
        let executor = executor.arg(format!("--secret=id={id},env=TOKEN"));
        executor.env("TOKEN", "sesame-e2e")
    };
    let tree = site.build_with(with_token(&context)).tree();
    assert_file(&tree, "f", "secret file", (0o600, 0, 0, 0));
    // The server itself sends us on to the other one.
    let away = server.url(&format!("away/f?{}", other.url("plain/f")));
    let tree = site
        .build_with(with_token(&site.context(&format!("ADD {away} /f"))))
        .tree();
    assert_file(&tree, "f", "other file", (0o600, 0, 0, 0));
    assert!(
        server
            .requests()
            .iter()
            .any(|it| it.ends_with("Bearer sesame-e2e"))
    );
    assert_eq!(other.requests(), ["GET /plain/f -"]);
    // User and password in the URL.
    let basic = server
        .url("basic/f")
        .replace("http://", "http://user:pass@");
    let image = site.build(Who::Root, &site.context(&format!("ADD {basic} /f")));
    assert_file(&image.tree(), "f", "secret file", (0o600, 0, 0, 0));
    assert!(
        !image.history().concat().contains("pass@"),
        "{:?}",
        image.history()
    );
}

#[test]
fn https_trusts_whom_the_user_names_for_the_host() {
    let (site, server) = (Site::busybox(), FileServer::start_with_tls());
    let plain = FileServer::start();
    server.file("f", "over TLS");
    plain.file("f", "over TLS");
    let context = site.context(&format!("ADD {} /f", server.url("dated/f")));
    let stranger = site.executor(Who::Root, &context).run();
    stranger.assert_error(1, &["Dockerfile:2: cannot fetch", "cannot agree on TLS"]);
    let trusted = |context: &Context| {
        let certificate = format!("{}={}", server.host(), server.ca_file().display());
        site.executor(Who::Root, context)
            .arg("--registry-certificate")
            .arg(certificate)
    };
    let tree = site.build_with(trusted(&context)).tree();
    assert_file(&tree, "f", "over TLS", (0o600, 0, 0, DATE));
    let as_system = site.executor(Who::Root, &context);
    let tree = site
        .build_with(as_system.env("SSL_CERT_FILE", server.ca_file()))
        .tree();
    assert_file(&tree, "f", "over TLS", (0o600, 0, 0, DATE));
    // Down to plain HTTP only where a checksum vouches for the bytes.
    let away = server.url(&format!("away/f?{}", plain.url("plain/f")));
    let down = trusted(&site.context(&format!("ADD {away} /f"))).run();
    down.assert_error(1, &["redirects to plain http"]);
    let sum = sha256(b"over TLS");
    let pinned = site.context(&format!("ADD --checksum=sha256:{sum} {away} /f"));
    let tree = site.build_with(trusted(&pinned)).tree();
    assert_file(&tree, "f", "over TLS", (0o600, 0, 0, 0));
}

/// Builds with a cache directory, and returns the image with the requests that it took.
fn cached(site: &Site, server: &FileServer, cache: &CacheDir, lines: &str) -> (Image, Vec<String>) {
    let mut image = None;
    let requests = server.requests_of(|| {
        let executor = site.executor(Who::Root, &site.context(lines));
        let executor = executor.args(["--cache", "--cache-copy-layers", "--cache-repo"]);
        let executor = executor.arg(format!("{}/cache", site.registry.host()));
        image = Some(site.build_with(executor.arg(cache.flag())));
    });
    (image.expect("built"), requests)
}

#[test]
fn a_cached_file_costs_one_request_and_no_download() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let cache = CacheDir::new(Who::Root);
    server.file("f", "one");
    for behaviour in ["tagged", "dated", "no-head"] {
        let lines = format!(
            "ADD {} /f\nRUN cp /f /g",
            server.url(&format!("{behaviour}/f"))
        );
        server.file("f", "one");
        let (first, _) = cached(&site, &server, &cache, &lines);
        let (again, requests) = cached(&site, &server, &cache, &lines);
        assert_eq!(first.diff_ids(), again.diff_ids(), "{behaviour}");
        let expected = match behaviour {
            // What is not answered to HEAD is asked for with GET; its body is not read.
            "no-head" => vec!["HEAD /no-head/f -", "GET /no-head/f -"],
            "tagged" => vec!["HEAD /tagged/f -"],
            _ => vec!["HEAD /dated/f -"],
        };
        assert_eq!(requests, expected);
        if behaviour == "dated" {
            continue;
        }
        server.file("f", "two");
        let (changed, _) = cached(&site, &server, &cache, &lines);
        assert_eq!(
            changed.tree().get("g").kind,
            Kind::file("two"),
            "{behaviour}"
        );
    }
}

#[test]
fn a_checksum_in_the_dockerfile_answers_without_any_request() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let cache = CacheDir::new(Who::Root);
    server.file("f", "pinned");
    let sum = sha256(b"pinned");
    let lines = format!("ADD --checksum=sha256:{sum} {} /f", server.url("plain/f"));
    let (first, requests) = cached(&site, &server, &cache, &lines);
    assert_eq!(requests, ["GET /plain/f -"]);
    let (again, requests) = cached(&site, &server, &cache, &lines);
    assert_eq!(requests, Vec::<String>::new());
    assert_eq!(first.diff_ids(), again.diff_ids());
}

#[test]
fn a_file_whose_server_says_nothing_of_it_counts_by_its_bytes() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let cache = CacheDir::new(Who::Root);
    let random = "RUN head -c 16 /dev/urandom > /made";
    for behaviour in ["plain", "unstable"] {
        server.file("f", "same");
        let url = server.url(&format!("{behaviour}/f"));
        let lines = format!("ADD {url} /f\n{random}");
        let (first, _) = cached(&site, &server, &cache, &lines);
        let (again, requests) = cached(&site, &server, &cache, &lines);
        // The RUN after it was found again, although the file was fetched.
        assert_eq!(first.diff_ids(), again.diff_ids(), "{behaviour}");
        assert!(
            requests.iter().any(|it| it.starts_with("GET")),
            "{requests:?}"
        );
        server.file("f", "other");
        let (changed, _) = cached(&site, &server, &cache, &lines);
        assert_eq!(changed.tree().get("f").kind, Kind::file("other"));
        assert_ne!(
            changed.tree().get("made").kind,
            first.tree().get("made").kind
        );
    }
}

#[test]
fn unpacking_a_file_from_a_server_is_another_step_than_copying_it() {
    let (site, server) = (Site::busybox(), FileServer::start());
    let cache = CacheDir::new(Who::Root);
    server.file("a.tar", LayerTar::new().file("in", "x").finish());
    let url = server.url("tagged/a.tar");
    let (kept, _) = cached(&site, &server, &cache, &format!("ADD {url} /d/"));
    let (unpacked, _) = cached(&site, &server, &cache, &format!("ADD --unpack {url} /d/"));
    assert_eq!(kept.tree().names_in("d"), ["a.tar"]);
    assert_eq!(unpacked.tree().names_in("d"), ["in"]);
}
