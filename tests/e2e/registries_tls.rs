//! Whom a registry's certificate is believed: every place where an authority may be named, and what is said where none is.

use crate::support::cache_dir::CacheDir;
use crate::support::{Context, Executor, ForwardProxy, Registry, TestDir, Who};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A registry with TLS that is found under this name only through the proxy: loopback hosts are spoken to in plain HTTP
/// where nothing says otherwise.
struct Setup {
    registry: Registry,
    proxy: ForwardProxy,
    /// Holds a copy of the authority's certificate that everybody may read.
    dir: TestDir,
}

const HOST: &str = "registry.test:5000";

impl Setup {
    fn new() -> Self {
        let registry = Registry::start_with_tls();
        let dir = TestDir::new();
        for name in ["empty", "roots"] {
            fs::create_dir(dir.join(name)).expect("make a directory");
        }
        let setup = Self {
            proxy: ForwardProxy::to(&registry),
            registry,
            dir,
        };
        setup.write_authority(&setup.authority());
        setup
    }

    /// A file whose name is nothing that a program would look for.
    fn authority(&self) -> PathBuf {
        self.dir.join("roots/additional-ca-cert-bundle.crt")
    }

    fn write_authority(&self, path: &Path) {
        fs::copy(self.registry.ca_file(), path).expect("copy the authority");
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("let all read it");
    }

    /// Pushes an image of one file.
    fn executor(&self) -> Executor {
        let context = Context::new("FROM scratch\nCOPY f /\n").file("f", "f");
        Executor::new(Who::User)
            .context(&context)
            .destination(&format!("{HOST}/app:1"))
            .env("https_proxy", self.proxy.url())
    }
}

#[test]
fn an_authority_is_believed_wherever_it_is_named() {
    let setup = Setup::new();
    let unknown = setup.executor().run();
    let hint = format!(
        "hint: a certificate of an authority of your own needs --registry-certificate {HOST}=FILE"
    );
    unknown.assert_error(1, &["cannot agree on TLS", "UnknownIssuer", &hint]);
    let authority = setup.authority();
    let dirs = ["empty", "roots"].map(|name| setup.dir.join(name).display().to_string());
    for (variable, value) in [
        ("SSL_CERT_DIR", dirs.join(":")),
        ("SSL_CERT_FILE", authority.display().to_string()),
        ("CI_SERVER_TLS_CA_FILE", authority.display().to_string()),
    ] {
        setup.executor().env(variable, value).run().assert_success();
    }
    let executor = setup.executor();
    let kept = executor
        .home()
        .join(".config/containers/certs.d")
        .join(HOST);
    fs::create_dir_all(&kept).expect("make a directory of certificates");
    setup.write_authority(&kept.join("ca.crt"));
    executor.run().assert_success();
    for flag in [
        format!("--registry-certificate={HOST}={}", authority.display()),
        format!("--skip-tls-verify-registry={HOST}"),
        "--skip-tls-verify".to_owned(),
    ] {
        setup.executor().arg(flag).run().assert_success();
    }
    // These are for others.
    for flag in [
        format!("--registry-certificate=other.test={}", authority.display()),
        "--skip-tls-verify-registry=other.test".to_owned(),
        "--skip-tls-verify-pull".to_owned(),
    ] {
        setup
            .executor()
            .arg(flag)
            .run()
            .assert_error(1, &["cannot agree on TLS"]);
    }
}

#[test]
fn a_base_is_pulled_without_a_check_where_that_is_asked_for() {
    let setup = Setup::new();
    setup
        .executor()
        .arg("--skip-tls-verify")
        .run()
        .assert_success();
    let cache = CacheDir::new(Who::Root);
    let env = [("https_proxy", setup.proxy.url())];
    let image = format!("--image={HOST}/app:1");
    let authority = format!(
        "--registry-certificate={HOST}={}",
        setup.authority().display()
    );
    for (flag, code) in [
        ("--skip-tls-verify-pull", 0),
        (&*authority, 0),
        ("--insecure-pull=false", 1),
    ] {
        let output = cache.warmer_with(&env, &[&image, flag]);
        assert_eq!(output.status.code(), Some(code), "{flag} {output:?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let setup = Setup::new();
    let broken = setup.dir.join("broken.pem");
    fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\nnot base 64!\n-----END CERTIFICATE-----\n",
    )
    .expect("write a file");
    let flag = format!("--registry-certificate={HOST}={}", broken.display());
    let refused = setup.executor().arg(flag).run();
    refused.assert_error(1, &["cannot set up the connection", HOST, "broken.pem"]);
    let executor = setup.executor();
    let kept = executor
        .home()
        .join(".config/containers/certs.d")
        .join(HOST);
    fs::create_dir_all(&kept).expect("make a directory of certificates");
    fs::copy(setup.authority(), kept.join("job.cert")).expect("copy a certificate");
    let refused = executor.run();
    refused.assert_error(1, &["job.cert", "needs its key beside it", "job.key"]);
    // What lies in a directory of roots is passed over, and told.
    let dir = setup.dir.join("roots");
    fs::copy(&broken, dir.join("broken.pem")).expect("copy a file");
    let built = setup.executor().env("SSL_CERT_DIR", &dir).run();
    built.assert_success();
    assert!(built.stderr().contains("broken.pem"), "{}", built.report());
}
