//! What a user can do about a registry that could not be spoken to.

use crate::registry::{ErrorKind, RegistryError, TlsTrouble};

/// Returns what may help. `None` where the error says all there is to say.
pub(super) fn registry_hint(error: &RegistryError) -> Option<String> {
    let host = error.call().map_or("HOST", |call| call.authority());
    if error.kind() == ErrorKind::NotTls {
        return Some(format!(
            "a registry that speaks plain HTTP needs --insecure-registry {host}"
        ));
    }
    match error.tls_trouble()? {
        TlsTrouble::UnknownAuthority => Some(format!(
            "a certificate of an authority of your own needs --registry-certificate {host}=FILE, or that file in SSL_CERT_DIR"
        )),
        TlsTrouble::ClientCertificate => Some(format!(
            "a registry that asks who we are needs --registry-client-cert {host}=CERTIFICATE,KEY"
        )),
        TlsTrouble::Other => None,
    }
}
