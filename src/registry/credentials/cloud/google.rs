//! Google's registries, which take an access token for a password. This module knows their hosts, not whose token it is.

use super::{Answer, Credential, Issued};
use crate::cloud::CloudHttp;
use crate::cloud::google::{GoogleOptions, access_token};
use crate::http::Password;

/// The user name that goes with a token.
const TOKEN_USER: &str = "oauth2accesstoken";

/// Tells whether a host is one of Google's registries.
pub(super) fn is_google(host: &str) -> bool {
    let is_below = |domain: &str| {
        let name = host
            .strip_suffix(domain)
            .and_then(|name| name.strip_suffix('.'));
        name.is_some_and(|name| !name.is_empty())
    };
    host == "gcr.io" || is_below("gcr.io") || is_below("pkg.dev")
}

/// Gets an access token, good for an hour.
pub(super) async fn ask(http: &CloudHttp, options: &GoogleOptions) -> Answer {
    let grant = access_token(http, options).await?;
    let credential = Credential::Basic {
        username: TOKEN_USER.to_owned(),
        password: Password::new(grant.token.expose()),
    };
    Ok(Issued::new(credential, grant.lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_googles_own_hosts_are_googles() {
        for host in ["gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"] {
            assert!(is_google(host), "{host}");
        }
        for host in [
            "gcr.io.evil.example",
            "evilgcr.io",
            ".gcr.io",
            "pkg.dev",
            "evilpkg.dev",
            "x.pkg.dev:5000",
        ] {
            assert!(!is_google(host), "{host}");
        }
    }
}
