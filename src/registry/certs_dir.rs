//! Directories with a directory for each registry, as docker and containers/image read them: `HOST[:PORT]/*.crt` are roots,
//! `NAME.cert` with `NAME.key` is what we show. This module finds the files; it does not look into them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::host::RegistryHost;
use super::options::ClientCertificate;
use crate::http::TlsSetupError;

/// What one registry's directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostCertificates {
    /// In the order of their names.
    pub(super) roots: Vec<PathBuf>,
    /// The first in the order of names. `None` if there is none.
    pub(super) client: Option<ClientCertificate>,
}

impl HostCertificates {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.client.is_none()
    }
}

/// Looks for a registry's directory: in the first of `dirs` that has one, as containers/image does
/// (containers-certs.d(5)). Nothing at all is no error, and neither is a directory that we may not look into.
pub(super) fn find(
    dirs: &[PathBuf],
    host: &RegistryHost,
) -> Result<HostCertificates, TlsSetupError> {
    for dir in dirs {
        for name in names(host) {
            let own = dir.join(name);
            match entries(&own) {
                Ok(files) => return certificates(&own, &files),
                Err(error) if is_passed_over(&error) => {}
                Err(source) => return Err(TlsSetupError::Read { path: own, source }),
            }
        }
    }
    Ok(HostCertificates::default())
}

/// Returns the names that a registry's directory may have: as it is connected to, as it is called, and with the port of TLS.
/// None of them leads anywhere else: a host has no slash.
fn names(host: &RegistryHost) -> Vec<String> {
    let mut names = vec![host.authority().to_owned(), host.name().to_owned()];
    // Harmless after another port: there is no such name.
    names.push(format!("{}:443", host.name()));
    names.retain(|name| !name.contains('/') && !name.starts_with('.'));
    names.dedup();
    names
}

fn is_passed_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
    )
}

/// Returns the names in a directory, sorted. Links count: Kubernetes mounts its secrets as links.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn certificates(dir: &Path, files: &[PathBuf]) -> Result<HostCertificates, TlsSetupError> {
    let ending_in = |ending: &'static str| {
        let files = files.iter();
        files.filter(move |path| path.extension() == Some(OsStr::new(ending)))
    };
    let mut pairs = Vec::new();
    for certificate in ending_in("cert") {
        let key = certificate.with_extension("key");
        if !files.contains(&key) {
            // docker refuses this too: half of a pair is a mistake that would show as a refused handshake.
            return Err(TlsSetupError::NoKey {
                certificate: certificate.clone(),
                key,
            });
        }
        pairs.push(ClientCertificate {
            certificate: certificate.clone(),
            key,
        });
    }
    let found = HostCertificates {
        roots: ending_in("crt").cloned().collect(),
        client: pairs.into_iter().next(),
    };
    debug!(dir = %dir.display(), ?found, "certificates of a registry");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, names: &[&str]) {
        std::fs::create_dir_all(dir).unwrap();
        for name in names {
            std::fs::write(dir.join(name), "").unwrap();
        }
    }

    #[test]
    fn the_first_directory_that_has_the_registry_counts() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        write(
            &second.path().join("reg.lan:5000"),
            &["b.crt", "a.crt", "notes", "me.cert", "me.key"],
        );
        let dirs = [first.path().to_owned(), second.path().to_owned()];
        let found = find(&dirs, &RegistryHost::new("Reg.lan:5000")).unwrap();
        let own = second.path().join("reg.lan:5000");
        let expected = HostCertificates {
            roots: vec![own.join("a.crt"), own.join("b.crt")],
            client: Some(ClientCertificate {
                certificate: own.join("me.cert"),
                key: own.join("me.key"),
            }),
        };
        assert_eq!(found, expected);
        for other in ["reg.lan", "reg.lan:5001", "..", "."] {
            let found = find(&dirs, &RegistryHost::new(other)).unwrap();
            assert!(found.is_empty(), "{other}");
        }
        write(&first.path().join("reg.lan:5000"), &[]);
        let found = find(&dirs, &RegistryHost::new("reg.lan:5000")).unwrap();
        assert!(found.is_empty(), "a directory without files hides the next");
    }

    #[test]
    fn a_registry_is_found_under_each_of_its_names() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("docker.io"), &["ca.crt"]);
        write(&dir.path().join("reg.lan:443"), &["ca.crt"]);
        let dirs = [dir.path().to_owned()];
        for host in ["index.docker.io", "reg.lan", "reg.lan:443"] {
            let found = find(&dirs, &RegistryHost::new(host)).unwrap();
            assert_eq!(found.roots.len(), 1, "{host}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_an_error_that_names_both() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("reg.lan"), &["me.cert"]);
        let error = find(&[dir.path().to_owned()], &RegistryHost::new("reg.lan")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("reg.lan/me.cert") && text.contains("reg.lan/me.key"),
            "{text}"
        );
    }
}
