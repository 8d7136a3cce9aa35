//! nginx on loopback before a registry: it lets in who shows a certificate.

use super::process::Running;
use super::registry::{NEW_KEY, Registry, answers, free_port, make_certificates};
use super::test_dir::TestDir;
use super::tool::Tool;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longer than any test: the server is killed when the test drops it.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A running nginx. Dropping it stops it.
pub(crate) struct Nginx {
    /// Declared, so dropped, before the directory.
    _server: Running,
    port: u16,
    dir: TestDir,
}

impl Nginx {
    /// HTTPS, for clients with a certificate of the authority that signed the server's (`ca_file`, `client_files`).
    pub(crate) fn asking_for_certificates(registry: &Registry) -> Self {
        // Started by another program below, which could not say what is missing.
        Tool::new("nginx").arg("-v").run();
        let mut last_log = String::new();
        // Between the choice of a free port and the server's bind another process may take it: then again.
        for _ in 0..5 {
            let dir = TestDir::new();
            make_certificates(dir.path());
            make_client_certificate(&dir);
            let port = free_port();
            fs::write(dir.join("nginx.conf"), configuration(&dir, port, registry))
                .expect("write the configuration");
            // The kernel ends the server with the thread that started it; it is one process.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "nginx", "-c"]);
            command
                .arg(dir.join("nginx.conf"))
                .arg("-p")
                .arg(dir.path());
            let mut server = Running::start("nginx", command, LIFETIME);
            if answers(&mut server, port) {
                return Self {
                    _server: server,
                    port,
                    dir,
                };
            }
            last_log = server.wait().stderr;
        }
        panic!("nginx did not start:\n{last_log}");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The PEM file of the authority.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Certificate and key of a client that is let in.
    pub(crate) fn client_files(&self) -> [PathBuf; 2] {
        ["client.pem", "client-key.pem"].map(|name| self.dir.join(name))
    }
}

fn configuration(dir: &TestDir, port: u16, registry: &Registry) -> String {
    let (path, backend) = (dir.path().display(), registry.host());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {path}/{name};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {path}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}\
         server {{\nlisten 127.0.0.1:{port} ssl;\n\
         ssl_certificate {path}/server.pem;\nssl_certificate_key {path}/server-key.pem;\n\
         ssl_client_certificate {path}/ca.crt;\nssl_verify_client on;\nclient_max_body_size 0;\n\
         location / {{\nproxy_pass http://{backend};\nproxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-Proto https;\nproxy_request_buffering off;\n}}\n}}\n}}\n"
    )
}

/// `client.pem` and `client-key.pem`, signed by the authority of `make_certificates`; of version 1, as many are.
fn make_client_certificate(dir: &TestDir) {
    let openssl = || Tool::new("openssl").in_dir(dir.path());
    openssl()
        .arg("req")
        .args(NEW_KEY)
        .args(["-keyout", "client-key.pem", "-out", "client.csr"])
        .args(["-subj", "/CN=e2e client"])
        .run();
    openssl()
        .args(["x509", "-req", "-in", "client.csr", "-out", "client.pem"])
        .args(["-CA", "ca.crt", "-CAkey", "ca-key.pem", "-CAcreateserial"])
        .args(["-days", "2"])
        .run();
}
