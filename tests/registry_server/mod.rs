//! The real registry server (Debian's `docker-registry`) on loopback, with storage of its own, for as long as a test runs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

/// What `perl -e 'print crypt("secret", "\$2y\$05\$abcdefghijklmnopqrstuu")'` prints: the server takes bcrypt only.
const BCRYPT_OF_SECRET: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

/// A running server; stopped, and its storage removed, when dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts a server. `http_settings` are further lines below `http:`, indented by two spaces.
    pub(crate) async fn start(http_settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), http_settings, "").await
    }

    /// Starts a server that lets one user in. The password must be `secret`.
    pub(crate) async fn start_with_password(user: &str, password: &str) -> Self {
        assert_eq!(password, "secret", "only its bcrypt is known");
        let dir = tempfile::tempdir().unwrap();
        let htpasswd = dir.path().join("htpasswd");
        fs::write(&htpasswd, format!("{user}:{BCRYPT_OF_SECRET}\n")).unwrap();
        let auth = format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            htpasswd.display()
        );
        Self::start_in(dir, "", &auth).await
    }

    async fn start_in(dir: tempfile::TempDir, http_settings: &str, auth: &str) -> Self {
        let port = free_port();
        let config = dir.path().join("config.yml");
        let storage = dir.path().join("storage");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:{port}\n{http_settings}{auth}",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need the registry server: apt-get install docker-registry");
        let mut server = Self { process, port, dir };
        server.wait_until_it_listens().await;
        server
    }

    /// Returns the file in which the server keeps a blob.
    pub(crate) fn blob_file(&self, hex: &str) -> PathBuf {
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        self.dir
            .path()
            .join(blobs)
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }

    /// Host and port, as in a reference.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    async fn wait_until_it_listens(&mut self) {
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "docker-registry ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry does not listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A CA of our own, and a server's and a client's certificate from it, made by `openssl`.
pub(crate) struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let root = [
            "-subj",
            "/CN=Test CA",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ];
        openssl(
            path,
            &[
                &[
                    "req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                ],
                &NEW_KEY[..],
                &root,
            ]
            .concat(),
        );
        for (name, extension) in [
            ("server", "subjectAltName=DNS:localhost"),
            ("client", "extendedKeyUsage=clientAuth"),
        ] {
            let [key, request, certificate] =
                ["key", "csr", "pem"].map(|ending| format!("{name}.{ending}"));
            let subject = format!("/CN={name}");
            let asked = ["req", "-keyout", &key, "-out", &request, "-subj", &subject];
            openssl(path, &[&asked, &NEW_KEY[..]].concat());
            fs::write(path.join("extension"), extension).unwrap();
            let signed = [
                "x509",
                "-req",
                "-in",
                &request,
                "-out",
                &certificate,
                "-days",
                "2",
            ];
            let signer = [
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                "extension",
            ];
            openssl(path, &[&signed[..], &signer[..]].concat());
        }
        Self { dir }
    }

    /// The lines below the server's `http:`.
    pub(crate) fn server_settings(&self, asks_for_client: bool) -> String {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let mut settings = format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            path("server.pem"),
            path("server.key")
        );
        if asks_for_client {
            settings.push_str(&format!("    clientcas:\n      - {}\n", path("ca.pem")));
        }
        settings
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Certificate and key.
    pub(crate) fn client(&self) -> (PathBuf, PathBuf) {
        (
            self.dir.path().join("client.pem"),
            self.dir.path().join("client.key"),
        )
    }
}

const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("these tests need openssl: apt-get install openssl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
