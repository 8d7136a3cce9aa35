//! A web server on loopback with files and git repositories, which notes every request. `file_server.py` says how it
//! behaves, by the first element of a path.

use super::process::Running;
use super::registry::make_certificates;
use super::test_dir::TestDir;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = include_str!("file_server.py");

/// Longer than any test: the server is killed when the test drops it.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What a server with certificates speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// A running server. Dropping it stops it and removes its files.
pub(crate) struct FileServer {
    /// Declared, so dropped, before the directory.
    server: Running,
    scheme: Scheme,
    port: u16,
    dir: TestDir,
}

impl FileServer {
    pub(crate) fn start() -> Self {
        Self::speaking(Scheme::Http)
    }

    /// HTTPS for `localhost` and 127.0.0.1, under an authority that no system trusts (`ca_file`).
    pub(crate) fn start_with_tls() -> Self {
        Self::speaking(Scheme::Https)
    }

    fn speaking(scheme: Scheme) -> Self {
        let dir = TestDir::new();
        fs::create_dir(dir.join("files")).expect("make the directory of the files");
        fs::write(dir.join("server.py"), PROGRAM).expect("write the server's program");
        // The kernel ends the server with the thread that started it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "python3"]);
        command.arg(dir.join("server.py")).arg(dir.join("files"));
        if scheme == Scheme::Https {
            make_certificates(dir.path());
            command
                .arg(dir.join("server.pem"))
                .arg(dir.join("server-key.pem"));
        }
        let mut server = Running::start("python3", command, LIFETIME);
        server.wait_for_output("\n");
        let port = server.stdout_so_far().lines().next().map(str::parse);
        Self {
            port: port.expect("a line").expect("a port"),
            server,
            scheme,
            dir,
        }
    }

    /// Where the files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.files().join(name), contents).expect("write a served file");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `path` begins with how the server behaves.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}/{path}", self.host())
    }

    /// The PEM file of the authority that signed the server's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// `METHOD PATH AUTHORIZATION` of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let printed = self.server.stdout_so_far();
        printed.lines().skip(1).map(str::to_owned).collect()
    }

    /// Waits until a request has come that begins so.
    pub(crate) fn wait_for_request(&self, beginning: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.requests().iter().any(|it| it.starts_with(beginning)) {
            assert!(Instant::now() < deadline, "nobody asked for {beginning}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs `work` and returns the requests that it made.
    pub(crate) fn requests_of(&self, work: impl FnOnce()) -> Vec<String> {
        let before = self.requests().len();
        work();
        self.requests().split_off(before)
    }
}

/// `git daemon` on loopback, for the repositories below a directory.
pub(crate) struct GitDaemon {
    _server: Running,
    port: u16,
}

impl GitDaemon {
    pub(crate) fn serving(dir: &Path) -> Self {
        // Between the choice of a free port and the server's bind another process may take it: then again.
        for _ in 0..5 {
            let port = super::registry::free_port();
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "git", "-c", "safe.directory=*"]);
            command
                .args(["daemon", "--export-all", "--reuseaddr", "--verbose"])
                .args(["--listen=127.0.0.1", &format!("--port={port}")])
                .arg(format!("--base-path={}", dir.display()))
                .arg(dir);
            let mut server = Running::start("git", command, LIFETIME);
            if super::registry::answers(&mut server, port) {
                return Self {
                    _server: server,
                    port,
                };
            }
        }
        panic!("git daemon did not start");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("git://127.0.0.1:{}/{path}", self.port)
    }
}
