//! Amazon's registries: ECR's GetAuthorizationToken. This module knows ECR's hosts and its operation, not whose keys sign it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::{Answer, Credential, Issued};
use crate::cloud::aws::{AwsOptions, Service, find_keys, sign};
use crate::cloud::exchange::{CloudError, CloudHttp, Question, endpoint};
use crate::http::Password;

/// How long a token lives, where the answer does not say.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The registry that is for everybody to read.
const PUBLIC: &str = "public.ecr.aws";

/// What an ECR host's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EcrHost<'a> {
    region: &'a str,
    /// Of the API, such as `amazonaws.com`.
    domain: &'static str,
    is_fips: bool,
    is_public: bool,
}

impl<'a> EcrHost<'a> {
    /// Reads `ACCOUNT.dkr.ecr[-fips].REGION.DOMAIN` or `public.ecr.aws`. `None` for every other host, however like it.
    pub(super) fn parse(host: &'a str) -> Option<Self> {
        if host == PUBLIC {
            return Some(Self {
                region: "us-east-1",
                domain: "amazonaws.com",
                is_fips: false,
                is_public: true,
            });
        }
        let (account, rest) = host.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let (rest, is_fips) = match rest.strip_prefix("dkr.ecr-fips.") {
            Some(rest) => (rest, true),
            None => (rest.strip_prefix("dkr.ecr.")?, false),
        };
        let (region, domain) = rest.split_once('.')?;
        let domain = ["amazonaws.com", "amazonaws.com.cn"]
            .into_iter()
            .find(|known| *known == domain)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_region = !region.is_empty() && region.bytes().all(is_plain);
        (is_account && is_region).then_some(Self {
            region,
            domain,
            is_fips,
            is_public: false,
        })
    }

    fn endpoint(&self) -> Result<Url, CloudError> {
        let name = match (self.is_public, self.is_fips) {
            (true, _) => "api.ecr-public",
            (false, false) => "api.ecr",
            (false, true) => "ecr-fips",
        };
        endpoint(&format!("https://{name}.{}.{}/", self.region, self.domain))
    }

    fn operation(&self) -> (&'static str, &'static str) {
        match self.is_public {
            true => ("ecr-public", "SpencerFrontendService.GetAuthorizationToken"),
            false => (
                "ecr",
                "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            ),
        }
    }
}

/// Gets a user and a password, good for twelve hours.
pub(super) async fn ask(http: &CloudHttp, options: &AwsOptions, host: &str) -> Answer {
    let Some(host) = EcrHost::parse(host) else {
        return Err(CloudError::Unusable(format!("`{host}` is not an ECR host")).into());
    };
    let keys = find_keys(http, options, host.region).await?.keys;
    let url = match &options.ecr_endpoint {
        Some(endpoint) => endpoint.clone(),
        None => host.endpoint()?,
    };
    let (name, target) = host.operation();
    let service = Service {
        name,
        region: host.region,
    };
    let body = "{}".to_owned();
    let headers = HeaderMap::from_iter([
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-amz-json-1.1"),
        ),
        (
            HeaderName::from_static("x-amz-target"),
            HeaderValue::from_static(target),
        ),
    ]);
    let headers = sign(&url, headers, &body, &service, &keys)?;
    let question = Question::new(Method::POST, url).body(body).headers(headers);
    let answer: Value = http.ask_json(&question, "token").await?;
    read(&answer).ok_or_else(|| {
        let call = question.call();
        let missing = "token";
        CloudError::Answer { call, missing }.into()
    })
}

/// `authorizationData` is a list of one, or for the public registry that one.
fn read(answer: &Value) -> Option<Issued> {
    let data = &answer["authorizationData"];
    let data = data.get(0).unwrap_or(data);
    let decoded = STANDARD.decode(data["authorizationToken"].as_str()?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    let credential = Credential::Basic {
        username: username.to_owned(),
        password: Password::new(password),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let expires = data["expiresAt"].as_f64();
    let expires = expires.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lifetime = expires.map_or(LIFETIME, |expires| {
        expires.saturating_sub(now).min(LIFETIME)
    });
    Some(Issued::new(credential, lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ecrs_own_hosts_are_ecr() {
        let host = EcrHost::parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com").unwrap();
        assert_eq!(
            (host.region, host.domain),
            ("eu-central-1", "amazonaws.com")
        );
        let endpoint = |host: &str| {
            EcrHost::parse(host)
                .unwrap()
                .endpoint()
                .unwrap()
                .to_string()
        };
        for (host, expected) in [
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "https://api.ecr.cn-north-1.amazonaws.com.cn/",
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "https://ecr-fips.us-gov-west-1.amazonaws.com/",
            ),
            (
                "public.ecr.aws",
                "https://api.ecr-public.us-east-1.amazonaws.com/",
            ),
        ] {
            assert_eq!(endpoint(host), expected);
        }
        for other in [
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "x.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.a.b.amazonaws.com",
            "123456789012.dkr.ecr.eu/x#.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "xpublic.ecr.aws",
            "amazonaws.com",
        ] {
            assert_eq!(EcrHost::parse(other), None, "{other}");
        }
    }
}
