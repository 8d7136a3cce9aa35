//! Why a request got no answer. This module must not decide what follows from it.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// What stood in the way of TLS, for whoever adds a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsTrouble {
    /// The server's certificate is of an authority that is not trusted here.
    UnknownAuthority,
    /// The server wants a certificate of ours, or another one.
    ClientCertificate,
    /// Anything else.
    Other,
}

/// What the HTTP client says where only its cause has something to say.
const EMPTY_WORDS: [&str; 2] = ["error sending request", "client error (Connect)"];

/// Whether a link of an error's chain tells a reader nothing that the links around it do not.
pub fn says_nothing(link: &str) -> bool {
    EMPTY_WORDS.contains(&link)
}

/// Returns what stood in the way of TLS. `None` if it was not TLS.
pub fn tls_trouble(error: &(dyn std::error::Error + 'static)) -> Option<TlsTrouble> {
    use AlertDescription::{AccessDenied, BadCertificate, CertificateRequired, UnknownCA};
    Some(match tls_failure(error)? {
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => TlsTrouble::UnknownAuthority,
        rustls::Error::AlertReceived(
            CertificateRequired | BadCertificate | UnknownCA | AccessDenied,
        ) => TlsTrouble::ClientCertificate,
        _ => TlsTrouble::Other,
    })
}

/// rustls's errors travel inside `io::Error`s, whose `source` skips them.
pub fn tls_failure<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let found = error.downcast_ref().or_else(|| inner?.downcast_ref());
        if found.is_some() {
            return found;
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
