//! S3, and servers that speak like it: where a bucket is, and what opens it.
//!
//! The order of what may open it is that of AWS's SDKs (AWS SDKs and Tools Reference Guide, "Credential provider
//! chain"), without SSO and processes: keys, web identity, profile, container, instance.

use std::net::IpAddr;
use std::sync::Arc;

use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::HttpConnector;
use url::Url;

use super::super::web::authority;
use super::aws_profile::AwsProfile;
use super::error::ObjectError;
use super::opened::Opened;
use super::variables::StoreVariables;

/// Where nothing says otherwise, as in AWS's oldest tools; a server of one's own does not care.
const DEFAULT_REGION: &str = "us-east-1";

/// Variables that mean for the crate what they mean for the SDKs.
const PASSED_ON: [(&str, AmazonS3ConfigKey); 7] = [
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        AmazonS3ConfigKey::WebIdentityTokenFile,
    ),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ),
];

/// Prepares a bucket. Nobody is asked yet.
pub(super) fn open(
    bucket: &str,
    variables: &StoreVariables,
    connector: impl HttpConnector,
    retry: RetryConfig,
) -> Result<Opened, ObjectError> {
    let profile = AwsProfile::read(variables);
    let region = variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let region = region
        .or(profile.region.as_deref())
        .unwrap_or(DEFAULT_REGION);
    let address = Address::of(bucket, region, variables)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_endpoint(address.endpoint.as_str().trim_end_matches('/'))
        .with_virtual_hosted_style_request(address.is_virtual_hosted)
        .with_retry(retry)
        .with_http_connector(connector);
    let keys = keys(variables, profile)?;
    let tried = tried(variables, keys.is_some());
    if tried == NOTHING {
        return Err(ObjectError::NoCredentials { tried });
    }
    if let Some((key, secret, token)) = keys {
        builder = builder
            .with_access_key_id(key)
            .with_secret_access_key(secret);
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
    }
    for (name, key) in PASSED_ON {
        if let Some(value) = variables.get(name) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        builder = builder.with_metadata_endpoint(endpoint.trim_end_matches('/'));
    }
    let store = builder.build().map_err(ObjectError::settings)?;
    Ok(Opened {
        store: Arc::new(store),
        host: authority(&address.endpoint),
        tried,
        hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION where the bucket is",
    })
}

type Keys = Option<(String, String, Option<String>)>;

/// Returns keys that need no request: those of the environment, else the profile's, which come after a web identity.
fn keys(variables: &StoreVariables, profile: AwsProfile) -> Result<Keys, ObjectError> {
    let key = variables.get("AWS_ACCESS_KEY_ID");
    let secret = variables.get("AWS_SECRET_ACCESS_KEY");
    match (key, secret) {
        (Some(key), Some(secret)) => {
            let token = variables.get("AWS_SESSION_TOKEN");
            let (key, secret) = (key.to_owned(), secret.to_owned());
            Ok(Some((key, secret, token.map(str::to_owned))))
        }
        (Some(_), None) => Err(ObjectError::Half("AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(ObjectError::Half("AWS_ACCESS_KEY_ID")),
        (None, None) if has_web_identity(variables) => Ok(None),
        (None, None) => Ok(profile
            .keys
            .map(|(key, secret)| (key, secret, profile.token))),
    }
}

fn has_web_identity(variables: &StoreVariables) -> bool {
    variables.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        && variables.get("AWS_ROLE_ARN").is_some()
}

/// What is said where instances may not be asked.
const NOTHING: &str = "neither keys in the environment or a profile nor a role, and AWS_EC2_METADATA_DISABLED is true";

/// Says which of the sources is the one that counts.
fn tried(variables: &StoreVariables, has_keys: bool) -> &'static str {
    let has_full_uri = variables
        .get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        .is_some()
        && variables
            .get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            .is_some();
    let has_container = variables
        .get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .is_some()
        || has_full_uri;
    match () {
        () if has_keys => "access keys",
        () if has_web_identity(variables) => "AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN",
        () if has_container => "the container's role (AWS_CONTAINER_CREDENTIALS_…)",
        () if variables.is_true("AWS_EC2_METADATA_DISABLED") => NOTHING,
        () => {
            "no keys in the environment or a profile, no web identity, no container's role; at last the instance's role"
        }
    }
}

/// Where a bucket's objects are.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// With the bucket in its host, if that is where it belongs.
    endpoint: Url,
    is_virtual_hosted: bool,
}

impl Address {
    fn of(bucket: &str, region: &str, variables: &StoreVariables) -> Result<Self, ObjectError> {
        let names = ["S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let given = variables.first(&names);
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let endpoint = match given {
            // kaniko's documentation shows hosts alone.
            Some(host) if !host.contains("://") => format!("https://{host}"),
            Some(url) => url.to_owned(),
            None => format!("https://s3.{region}.amazonaws.com{suffix}"),
        };
        let mut endpoint = Url::parse(&endpoint).map_err(ObjectError::Endpoint)?;
        let host = endpoint.host_str().unwrap_or_default().to_owned();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_virtual_hosted =
            !variables.is_true("S3_FORCE_PATH_STYLE") && !is_address && is_label(bucket);
        if is_virtual_hosted {
            endpoint
                .set_host(Some(&format!("{bucket}.{host}")))
                .map_err(ObjectError::Endpoint)?;
        }
        Ok(Self {
            endpoint,
            is_virtual_hosted,
        })
    }
}

/// Says whether a bucket's name can be the first label of a host that a wildcard certificate covers.
fn is_label(bucket: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    bucket.bytes().all(is_allowed) && !bucket.starts_with('-') && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(values: &[(&str, &str)]) -> StoreVariables {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        StoreVariables::new(values.iter().map(owned))
    }

    #[test]
    fn a_bucket_is_in_the_host_unless_it_cannot_be() {
        type Given = [(&'static str, &'static str)];
        let cases: [(&str, &Given, &str, bool); 6] = [
            ("b", &[], "https://b.s3.eu-west-1.amazonaws.com/", true),
            ("b.c", &[], "https://s3.eu-west-1.amazonaws.com/", false),
            (
                "b",
                &[("S3_ENDPOINT", "minio:9000")],
                "https://b.minio:9000/",
                true,
            ),
            (
                "b",
                &[
                    ("S3_ENDPOINT", "http://minio:9000"),
                    ("S3_FORCE_PATH_STYLE", "true"),
                ],
                "http://minio:9000/",
                false,
            ),
            (
                "b",
                &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")],
                "http://127.0.0.1:9/",
                false,
            ),
            (
                "b",
                &[
                    ("AWS_ENDPOINT_URL", "http://x"),
                    ("AWS_ENDPOINT_URL_S3", "http://y"),
                ],
                "http://b.y/",
                true,
            ),
        ];
        for (bucket, values, endpoint, is_virtual_hosted) in cases {
            let address = Address::of(bucket, "eu-west-1", &variables(values)).unwrap();
            assert_eq!(
                (address.endpoint.as_str(), address.is_virtual_hosted),
                (endpoint, is_virtual_hosted)
            );
        }
    }

    #[test]
    fn half_a_pair_of_keys_is_an_error() {
        let half = variables(&[("AWS_ACCESS_KEY_ID", "x")]);
        let error = keys(&half, AwsProfile::default()).unwrap_err();
        assert!(
            error.to_string().contains("AWS_SECRET_ACCESS_KEY"),
            "{error}"
        );
    }
}
