//! What a registry answers to a request without, or with the wrong, authorization. This module knows the header, not the answer to it.

use http_auth::{ChallengeParser, ChallengeRef};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

/// The authorization that a registry asks for (RFC 9110 section 11; distribution, "Token Authentication Specification").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token, to be had elsewhere.
    Bearer(BearerChallenge),
}

/// Where to get a token, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    /// The token server.
    pub(super) realm: Url,
    /// What the token server knows the registry as. `None` if it needs no name.
    pub(super) service: Option<String>,
    /// What the refused request would have needed. `None` if the registry does not say.
    pub(super) scope: Option<String>,
}

/// Returns what to do about a 401: Bearer if offered, Basic otherwise. `Err` holds the header if neither is in it, empty if
/// there is no header at all. A relative realm is taken from `registry`.
pub(super) fn read(headers: &HeaderMap, registry: &Url) -> Result<Challenge, String> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let mut is_basic = false;
    // The parser ends at its first error; the other headers still count.
    for challenge in texts
        .iter()
        .flat_map(|text| ChallengeParser::new(text))
        .flatten()
    {
        if let Some(bearer) = read_bearer(&challenge, registry) {
            return Ok(Challenge::Bearer(bearer));
        }
        is_basic |= challenge.scheme.eq_ignore_ascii_case("Basic");
    }
    match is_basic {
        true => Ok(Challenge::Basic),
        false => Err(texts.join(", ")),
    }
}

fn read_bearer(challenge: &ChallengeRef<'_>, registry: &Url) -> Option<BearerChallenge> {
    if !challenge.scheme.eq_ignore_ascii_case("Bearer") {
        return None;
    }
    let parameter = |wanted: &str| {
        let mut parameters = challenge.params.iter();
        let (_, value) = parameters.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(value.to_unescaped()).filter(|value| !value.is_empty())
    };
    let realm = registry.join(&parameter("realm")?).ok()?;
    matches!(realm.scheme(), "http" | "https").then(|| BearerChallenge {
        realm,
        service: parameter("service"),
        scope: parameter("scope"),
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn read_texts(texts: &[&'static str]) -> Result<Challenge, String> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(text));
        }
        read(&headers, &Url::parse("https://reg.example/v2/").unwrap())
    }

    fn bearer(
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Challenge, String> {
        Ok(Challenge::Bearer(BearerChallenge {
            realm: Url::parse(realm).unwrap(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }))
    }

    #[test]
    fn a_bearer_challenge_is_read_whole() {
        let text = r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push",error="x""#;
        let expected = bearer(
            "https://auth.example/token",
            Some("reg"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(read_texts(&[text]), expected);
    }

    #[test]
    fn bearer_is_preferred_in_one_header_or_in_two() {
        let expected = bearer("https://a.example/t", None, None);
        let both = r#"Basic realm="x", Bearer realm="https://a.example/t""#;
        assert_eq!(read_texts(&[both]), expected);
        assert_eq!(
            read_texts(&["Basic realm=x", r#"BEARER Realm="https://a.example/t""#]),
            expected
        );
    }

    #[test]
    fn a_relative_realm_is_on_the_registry() {
        assert_eq!(
            read_texts(&[r#"Bearer realm="/token""#]),
            bearer("https://reg.example/token", None, None)
        );
    }

    #[test]
    fn what_cannot_be_answered_is_given_back() {
        assert_eq!(read_texts(&["Negotiate"]), Err("Negotiate".to_owned()));
        assert_eq!(read_texts(&[]), Err(String::new()));
        let evil = r#"Bearer realm="file:///etc/passwd""#;
        assert_eq!(read_texts(&[evil]), Err(evil.to_owned()));
        assert_eq!(
            read_texts(&["Bearer service=x"]),
            Err("Bearer service=x".to_owned())
        );
        assert_eq!(
            read_texts(&["===", "Basic realm=\"x\""]),
            Ok(Challenge::Basic)
        );
    }
}
