//! A real registry server on loopback, with its own storage, for one test.

use super::process::Running;
use super::test_dir::TestDir;
use super::token_server::TokenServer;
use super::tool::Tool;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The user and password of a registry that asks for one.
pub(crate) const USER: &str = "e2e";
pub(crate) const PASSWORD: &str = "sesame-e2e";

/// bcrypt of `PASSWORD`, cost 5: the least, as every request pays it.
const HTPASSWD: &str = "e2e:$2b$05$abcdefghijklmnopqrstuu8AbC/PhyI9mfqRDSAn67lOWk6yGPGua\n";

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Begins the names of repositories that are asked for to find the end of the log.
const MARK: &str = "end-of-the-log-";
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than any test: the registry is killed when the test drops it.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A running `docker-registry` on 127.0.0.1; dropping it stops the server and removes its storage.
pub(crate) struct Registry {
    /// Declared, so dropped, before the directory: the server is gone before its storage is.
    server: Running,
    port: u16,
    guard: Guard,
    dir: TestDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    Open,
    Password,
    Tls,
    Token,
}

impl Registry {
    /// Plain HTTP, open to all.
    pub(crate) fn start() -> Self {
        Self::start_guarded(Guard::Open)
    }

    /// Plain HTTP, with Basic authentication as `USER`.
    pub(crate) fn start_with_password() -> Self {
        Self::start_guarded(Guard::Password)
    }

    /// HTTPS for `localhost`, 127.0.0.1 and `registry.test`, under a certificate authority that no system trusts (`ca_file`).
    pub(crate) fn start_with_tls() -> Self {
        Self::start_guarded(Guard::Tls)
    }

    /// Plain HTTP, for those with a token of `server` for what they do.
    pub(crate) fn start_with_tokens(server: &TokenServer) -> Self {
        Self::start_with(Guard::Token, &server.registry_settings())
    }

    /// Plain HTTP, with what another registry has, and with nothing of its own: a pull-through cache.
    pub(crate) fn start_mirror_of(original: &Self) -> Self {
        let settings = format!("proxy: {{remoteurl: 'http://{}'}}\n", original.host());
        Self::start_with(Guard::Open, &settings)
    }

    fn start_guarded(guard: Guard) -> Self {
        Self::start_with(guard, "")
    }

    /// `settings` are further lines of the server's configuration.
    fn start_with(guard: Guard, settings: &str) -> Self {
        // Started by another program below, which could not say what is missing.
        Tool::new("docker-registry").arg("--version").run();
        let mut last_log = String::new();
        // Between the choice of a free port and the server's bind another process may take it: then again.
        for _ in 0..5 {
            let dir = TestDir::in_memory();
            if guard == Guard::Tls {
                make_certificates(dir.path());
            }
            let port = free_port();
            let config = dir.join("config.yml");
            fs::write(&config, configuration(guard, port, dir.path()) + settings)
                .expect("write the registry's configuration");
            // The kernel ends the server with the thread that started it: a test run that is itself killed leaves none.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "docker-registry", "serve"]);
            command
                .arg(&config)
                .env_clear()
                .env("PATH", "/usr/bin:/bin");
            let mut server = Running::start("docker-registry", command, LIFETIME);
            if answers(&mut server, port) {
                return Self {
                    server,
                    port,
                    guard,
                    dir,
                };
            }
            last_log = server.wait().stderr;
        }
        panic!("docker-registry did not start:\n{last_log}");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The full reference of `name`, such as `app:1`, in this registry.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// The PEM file of the authority that signed this registry's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        assert!(self.guard == Guard::Tls, "this registry has no certificate");
        self.dir.join("ca.crt")
    }

    /// Pushes an image as skopeo names it (`oci:PATH:TAG`, `dir:PATH`), with every platform of an index, byte for byte:
    /// left to itself, skopeo compresses plain layers.
    pub(crate) fn push(&self, source: &str, name: &str) {
        let destination = format!("docker://{}", self.reference(name));
        Tool::new("skopeo")
            .args(["copy", "--quiet", "--all", "--preserve-digests"])
            .args(self.skopeo_access("dest"))
            .args([source, &destination])
            .run();
    }

    /// Pulls the image into a directory in skopeo's `dir` form: manifest and blobs, byte for byte.
    pub(crate) fn pull(&self, name: &str, into: &Path) {
        let source = format!("docker://{}", self.reference(name));
        let destination = format!("dir:{}", into.display());
        Tool::new("skopeo")
            .args(["copy", "--quiet"])
            .args(self.skopeo_access("src"))
            .args([source, destination])
            .run();
    }

    /// Copies an image to another name, byte for byte.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let [source, destination] =
            [from, to].map(|name| format!("docker://{}", self.reference(name)));
        Tool::new("skopeo")
            .args(["copy", "--quiet", "--preserve-digests"])
            .args(self.skopeo_access("src"))
            .args(self.skopeo_access("dest"))
            .args([source, destination])
            .run();
    }

    /// What `skopeo inspect` says of an image, with the flags given.
    pub(crate) fn inspect(&self, name: &str, flags: &[&str]) -> String {
        let source = format!("docker://{}", self.reference(name));
        Tool::new("skopeo")
            .arg("inspect")
            .args(flags)
            .args(self.skopeo_access(""))
            .arg(source)
            .run()
    }

    /// The tags of a repository; empty where there is no such repository.
    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let (status, body) = self.get(&format!("/v2/{repository}/tags/list"));
        if status == 404 {
            return Vec::new();
        }
        let list: serde_json::Value = serde_json::from_str(&body).expect("a tag list");
        let tags = list["tags"].as_array().cloned().unwrap_or_default();
        tags.iter()
            .map(|tag| tag.as_str().expect("a tag").to_owned())
            .collect()
    }

    /// A manifest, as the server has it under a tag.
    pub(crate) fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let types = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
        let (status, body) =
            http(self.port, "GET", &path, &[("Accept", types)], "").expect("ask the registry");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("a manifest is JSON")
    }

    /// Puts a manifest under a tag, whatever it says.
    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, manifest: &serde_json::Value) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let media_type = manifest["mediaType"].as_str().expect("a media type");
        let text = manifest.to_string();
        let headers = [("Content-Type", media_type)];
        let (status, body) =
            http(self.port, "PUT", &path, &headers, &text).expect("ask the registry");
        assert_eq!(status, 201, "{path}: {body}");
    }

    /// Every request so far, as `METHOD PATH`, in the order of their ends.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.wait_for_log();
        // The access log quotes each request line: `127.0.0.1 - - [time] "GET /v2/ HTTP/1.1" 200 …`.
        let log = self.server.stdout_so_far();
        let lines = log
            .lines()
            .filter_map(|line| line.split('"').nth(1)?.strip_suffix(" HTTP/1.1"));
        let lines = lines.filter(|line| !line.contains(MARK));
        lines.map(str::to_owned).collect()
    }

    /// Waits until what was answered is in the log as well: the server writes it after the answer.
    fn wait_for_log(&self) {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        if self.guard == Guard::Tls {
            return;
        }
        let number = MARKS.fetch_add(1, Ordering::Relaxed);
        let path = format!("/v2/{MARK}{number}/tags/list");
        http_get(self.port, &path).expect("ask the registry");
        let deadline = Instant::now() + LOG_TIMEOUT;
        while !self.server.stdout_so_far().contains(&path) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The file in which the server keeps a blob; for tests that corrupt it.
    pub(crate) fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a SHA-256 digest");
        let stored = format!(
            "storage/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        );
        self.dir.join(stored)
    }

    fn get(&self, path: &str) -> (u16, String) {
        assert!(
            self.guard == Guard::Open,
            "asked without credentials or certificates"
        );
        http_get(self.port, path).expect("ask the registry")
    }

    /// skopeo's flags to reach this registry; `side` is `src`, `dest`, or empty for `inspect`.
    fn skopeo_access(&self, side: &str) -> Vec<String> {
        let prefix = if side.is_empty() {
            "--".to_owned()
        } else {
            format!("--{side}-")
        };
        match self.guard {
            Guard::Open => vec![format!("{prefix}tls-verify=false")],
            Guard::Password | Guard::Token => vec![
                format!("{prefix}tls-verify=false"),
                format!("{prefix}creds={USER}:{PASSWORD}"),
            ],
            Guard::Tls => vec![format!("{prefix}cert-dir={}", self.dir.path().display())],
        }
    }
}

fn configuration(guard: Guard, port: u16, dir: &Path) -> String {
    let dir_shown = dir.display();
    let mut config = format!(
        "version: 0.1\n\
         log: {{level: warn}}\n\
         storage: {{filesystem: {{rootdirectory: {dir_shown}/storage}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:{port}', secret: e2e"
    );
    if guard == Guard::Tls {
        config += &format!(
            ", tls: {{certificate: {dir_shown}/server.pem, key: {dir_shown}/server-key.pem}}"
        );
    }
    config += "}\n";
    if guard == Guard::Password {
        fs::write(dir.join("htpasswd"), HTPASSWD).expect("write the password file");
        config += &format!("auth: {{htpasswd: {{realm: e2e, path: {dir_shown}/htpasswd}}}}\n");
    }
    config
}

/// Made in no time, unlike one of RSA.
pub(super) const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

/// An authority (`ca.crt`) and a certificate that it signed for `localhost`, 127.0.0.1 and `registry.test`.
///
/// skopeo's `--cert-dir` takes `*.crt` for authorities and refuses a `.cert` without key: hence the endings.
pub(crate) fn make_certificates(dir: &Path) {
    let openssl = |args: &[&str]| Tool::new("openssl").in_dir(dir).args(args).run();
    openssl(
        &[
            &[
                "req",
                "-x509",
                "-keyout",
                "ca-key.pem",
                "-out",
                "ca.crt",
                "-days",
                "2",
                "-subj",
                "/CN=e2e authority",
            ],
            &NEW_KEY[..],
        ]
        .concat(),
    );
    openssl(
        &[
            &[
                "req",
                "-keyout",
                "server-key.pem",
                "-out",
                "server.csr",
                "-subj",
                "/CN=localhost",
            ],
            &NEW_KEY[..],
        ]
        .concat(),
    );
    fs::write(
        dir.join("names.ext"),
        "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1\n",
    )
    .expect("write the names");
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca-key.pem",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names.ext",
        "-out",
        "server.pem",
    ]);
}

/// A port of loopback that nothing listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port of loopback");
    listener.local_addr().expect("a bound address").port()
}

/// Waits until the server accepts connections; false when it ended instead.
pub(super) fn answers(server: &mut Running, port: u16) -> bool {
    let deadline = Instant::now() + START_TIMEOUT;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while Instant::now() < deadline && !server.has_ended() {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            // Another process's server would answer as well.
            return !server.has_ended();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn http_get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    http(port, "GET", path, &[], "")
}

/// One request in plain HTTP/1.0; returns the status and the body.
fn http(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}
