//! Whom to trust, and what to show. This module reads certificate files and makes a TLS configuration; it must not connect.
//!
//! The list of roots is built here instead of by reqwest because a missing system store must not break plain HTTP,
//! and because each host has roots of its own.

mod unverified;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use thiserror::Error;
use tracing::{debug, warn};

use self::unverified::Unverified;
use super::options::{ClientCertificate, SystemRoots};

/// The bundles of the common distributions, as Go's crypto/x509 looks for them (root_linux.go).
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The directories that Go reads besides.
const SYSTEM_DIRECTORIES: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Why there is no TLS configuration.
#[derive(Debug, Error)]
pub enum TlsSetupError {
    /// A file that the user named cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the user named is not what it should be.
    #[error("cannot parse `{}`", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A file that should hold certificates holds none.
    #[error("`{}` holds no certificate", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate to show whose key is missing.
    #[error("`{}` needs its key beside it, `{}`", .certificate.display(), .key.display())]
    NoKey {
        /// The certificate.
        certificate: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// A certificate that cannot be a root, or a key that does not fit its certificate.
    #[error("cannot use `{}`", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("cannot configure TLS")]
    Library(#[source] rustls::Error),
    /// The HTTP library refuses the options.
    #[error("cannot make an HTTP client")]
    Http(#[source] reqwest::Error),
}

/// What the connections to one host need.
#[derive(Debug)]
pub struct TlsSettings<'a> {
    /// PEM files of roots besides the system's.
    pub certificates: &'a [PathBuf],
    /// What we show.
    pub client: Option<&'a ClientCertificate>,
    /// Whether the host's certificate goes unchecked.
    pub skips_verification: bool,
}

/// Makes the configuration for one host from the roots of all.
pub(super) fn client_config(
    roots: &RootCertStore,
    settings: &TlsSettings<'_>,
) -> Result<ClientConfig, TlsSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Library)?;
    let builder = match settings.skips_verification {
        true => builder
            .dangerous()
            .with_custom_certificate_verifier(unverified(&provider)),
        false => builder.with_root_certificates(with_own_roots(roots, settings.certificates)?),
    };
    let Some(client) = settings.client else {
        return Ok(builder.with_no_client_auth());
    };
    let shown = SingleCertAndKey::from(certified_key(&provider, client)?);
    Ok(builder.with_client_cert_resolver(Arc::new(shown)))
}

/// Reads what we show. Whether the server believes it is the server's affair: rustls itself refuses certificates of
/// version 1, which is what `openssl x509 -req` makes without a file of extensions.
fn certified_key(
    provider: &CryptoProvider,
    client: &ClientCertificate,
) -> Result<CertifiedKey, TlsSetupError> {
    let unusable = |path: &Path, source| TlsSetupError::Unusable {
        path: path.to_owned(),
        source,
    };
    let chain = read_certificates(&client.certificate)?;
    let key = provider
        .key_provider
        .load_private_key(read_key(&client.key)?)
        .map_err(|source| unusable(&client.key, source))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(source @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(unusable(&client.certificate, source))
        }
        Ok(()) | Err(_) => Ok(certified),
    }
}

/// Reads the system's roots: the given or usual bundle, and the given or usual directories. Files that cannot be read are
/// passed over with a warning if they were named, in silence if not. Without any root, Mozilla's list that came with us.
/// What is trusted besides is added to whichever it is.
pub fn system_roots(places: &SystemRoots) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let usual_bundle = || {
        SYSTEM_BUNDLES
            .iter()
            .map(Path::new)
            .find(|path| path.is_file())
    };
    if let Some(bundle) = places.file.as_deref().or_else(usual_bundle) {
        add_file(&mut store, bundle);
    }
    for directory in &places.dirs {
        add_directory(&mut store, directory);
    }
    // The usual directories hold the usual bundle's certificates one by one: only needed in its absence.
    if store.is_empty() && places.dirs.is_empty() {
        for directory in SYSTEM_DIRECTORIES
            .iter()
            .map(Path::new)
            .filter(|path| path.is_dir())
        {
            add_directory(&mut store, directory);
        }
    }
    if store.is_empty() {
        debug!("no root certificates on this system: using the built-in list");
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for file in &places.more {
        add_file(&mut store, file);
    }
    store
}

/// Adds what every file of a directory holds, whatever its name is. The usual directories have each certificate under
/// several names: it is added once.
fn add_directory(store: &mut RootCertStore, dir: &Path) {
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut files: Vec<PathBuf> = match entries {
        Ok(entries) => entries.iter().map(std::fs::DirEntry::path).collect(),
        Err(error) => {
            return warn!(
                "passing over root certificates: `{}`: {error}",
                dir.display()
            );
        }
    };
    files.retain(|file| !file.is_dir());
    files.sort();
    let mut certificates: Vec<_> = files
        .iter()
        .flat_map(|file| certificates_in(file))
        .collect();
    certificates.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
    certificates.dedup();
    add(store, certificates, dir);
}

/// Adds what a file holds.
fn add_file(store: &mut RootCertStore, file: &Path) {
    add(store, certificates_in(file), file);
}

/// Reads a file that may hold anything.
fn certificates_in(file: &Path) -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_certs_from_paths(Some(file), None);
    for error in found.errors {
        warn!(
            "passing over root certificates: `{}`: {error}",
            file.display()
        );
    }
    found.certs
}

fn add(store: &mut RootCertStore, certificates: Vec<CertificateDer<'static>>, from: &Path) {
    let (added, ignored) = store.add_parsable_certificates(certificates);
    debug!(added, ignored, from = %from.display(), "root certificates");
}

fn with_own_roots(
    system: &RootCertStore,
    files: &[PathBuf],
) -> Result<RootCertStore, TlsSetupError> {
    let mut store = system.clone();
    for path in files {
        for certificate in read_certificates(path)? {
            store
                .add(certificate)
                .map_err(|source| TlsSetupError::Unusable {
                    path: path.clone(),
                    source,
                })?;
        }
    }
    Ok(store)
}

fn unverified(provider: &Arc<CryptoProvider>) -> Arc<Unverified> {
    Arc::new(Unverified::new(Arc::clone(provider)))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsSetupError::NoCertificate {
            path: path.to_owned(),
        }),
        Ok(certificates) => Ok(certificates),
        Err(source) => Err(TlsSetupError::Pem {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| TlsSetupError::Pem {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsSetupError> {
    std::fs::read(path).map_err(|source| TlsSetupError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF_SIGNED_ROOT: &str = include_str!("tls/testdata/root.pem");
    const OTHER_ROOT: &str = include_str!("tls/testdata/other_root.pem");

    #[test]
    fn every_file_of_a_given_directory_is_read_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("additional-ca-cert-bundle.crt"),
            SELF_SIGNED_ROOT,
        )
        .unwrap();
        std::fs::write(dir.path().join("README"), "no certificate in here").unwrap();
        let nowhere = dir.path().join("missing.pem");
        let places = SystemRoots {
            file: Some(nowhere),
            dirs: vec![dir.path().to_owned()],
            ..SystemRoots::default()
        };
        assert_eq!(system_roots(&places).len(), 1);
    }

    #[test]
    fn without_any_store_there_is_the_built_in_list() {
        let dir = tempfile::tempdir().unwrap();
        let places = SystemRoots {
            file: Some(dir.path().join("missing.pem")),
            dirs: vec![dir.path().join("missing")],
            ..SystemRoots::default()
        };
        let built_in = webpki_roots::TLS_SERVER_ROOTS.len();
        assert_eq!(system_roots(&places).len(), built_in);
        let own = dir.path().join("ca.pem");
        std::fs::write(&own, SELF_SIGNED_ROOT).unwrap();
        let places = SystemRoots {
            more: vec![own, dir.path().join("missing.pem")],
            ..places
        };
        assert_eq!(system_roots(&places).len(), built_in + 1);
    }

    #[test]
    fn several_directories_and_a_file_are_all_read() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (dir, root) in dirs.iter().zip([SELF_SIGNED_ROOT, OTHER_ROOT]) {
            std::fs::write(dir.path().join("0"), root).unwrap();
        }
        let places = SystemRoots {
            file: Some(dirs[0].path().join("0")),
            dirs: dirs.iter().map(|dir| dir.path().to_owned()).collect(),
            ..SystemRoots::default()
        };
        let store = system_roots(&places);
        let subjects: std::collections::BTreeSet<Vec<u8>> = store
            .roots
            .iter()
            .map(|root| root.subject.to_vec())
            .collect();
        assert_eq!(subjects.len(), 2);
    }

    #[test]
    fn a_named_certificate_that_cannot_be_used_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        let settings = |path: &PathBuf| -> Result<ClientConfig, TlsSetupError> {
            let settings = TlsSettings {
                certificates: std::slice::from_ref(path),
                client: None,
                skips_verification: false,
            };
            client_config(&RootCertStore::empty(), &settings)
        };
        let error = settings(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` holds no certificate", path.display())
        );
        let missing = dir.path().join("missing.pem");
        assert!(matches!(
            settings(&missing),
            Err(TlsSetupError::Read { .. })
        ));
    }
}
