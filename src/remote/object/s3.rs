//! S3, and servers that speak like it: where a bucket is. Who the job is, another room knows.

use std::net::IpAddr;
use std::sync::Arc;

use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::client::HttpConnector;
use url::Url;

use super::super::web::Web;
use super::error::ObjectError;
use super::granted::{Grant, Granted};
use super::opened::Opened;
use super::variables::StoreVariables;
use crate::cloud::Failure;
use crate::cloud::aws::{self, AwsGrant, AwsKeys};

const HINT: &str =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION where the bucket is";

/// Where nothing says otherwise, as in AWS's oldest tools; a server of one's own does not care.
const DEFAULT_REGION: &str = "us-east-1";

/// Prepares a bucket, with keys for it. The bucket itself is not asked yet.
pub(super) async fn open(
    bucket: &str,
    web: &Web,
    connector: impl HttpConnector,
    retry: RetryConfig,
) -> Result<Opened, ObjectError> {
    let options = &web.options.cloud.aws;
    let no_credentials = |failure: Failure| ObjectError::no_credentials(failure, HINT);
    let settings = aws::settings(options).await;
    let settings = settings.map_err(|error| no_credentials(error.into()))?;
    let region = settings.region.as_deref().unwrap_or(DEFAULT_REGION);
    let of_profile = settings.endpoint.as_deref();
    let address = Address::of(bucket, region, of_profile, &web.options.object_stores)?;
    let http = web.cloud();
    let first = aws::find_keys(&http, options, region).await;
    let first = first.map_err(no_credentials)?;
    let tried = first.origin.clone();
    let (options, region_again) = (options.clone(), region.to_owned());
    let granted = Granted::new(credential(first)?, move || {
        let (http, options, region) = (http.clone(), options.clone(), region_again.clone());
        async move {
            let grant = aws::find_keys(&http, &options, &region).await?;
            credential(grant).map_err(|error| Failure::NotConfigured(error.to_string()))
        }
    });
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_endpoint(address.endpoint.as_str().trim_end_matches('/'))
        .with_virtual_hosted_style_request(address.is_virtual_hosted)
        .with_credentials(Arc::new(granted))
        .with_retry(retry)
        .with_http_connector(connector);
    let store = builder.build().map_err(ObjectError::settings)?;
    Ok(Opened {
        store: Arc::new(store),
        tried,
        hint: HINT,
    })
}

/// Gives keys the crate's form. It puts them into headers, and panics where it cannot.
fn credential(grant: AwsGrant) -> Result<Grant<AwsCredential>, ObjectError> {
    let until = grant.use_until();
    let AwsKeys {
        id,
        secret,
        session_token,
    } = grant.keys;
    let token = session_token.map(|token| token.expose().to_owned());
    let credential = AwsCredential {
        key_id: id,
        secret_key: secret.expose().to_owned(),
        token,
    };
    let texts = [
        Some(&credential.key_id),
        Some(&credential.secret_key),
        credential.token.as_ref(),
    ];
    let is_sayable = |text: &String| text.bytes().all(|byte| byte.is_ascii_graphic());
    let are_sayable = texts.into_iter().flatten().all(is_sayable);
    match are_sayable {
        true => Ok((credential, until)),
        false => Err(ObjectError::UnusableKeys {
            tried: grant.origin,
        }),
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
    /// `of_profile` is the endpoint that the profile names.
    fn of(
        bucket: &str,
        region: &str,
        of_profile: Option<&str>,
        variables: &StoreVariables,
    ) -> Result<Self, ObjectError> {
        let names = ["S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let given = variables.first(&names).or(of_profile);
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
    use crate::http::Password;

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
            let variables = variables(values);
            let address = Address::of(bucket, "eu-west-1", None, &variables).unwrap();
            assert_eq!(
                (address.endpoint.as_str(), address.is_virtual_hosted),
                (endpoint, is_virtual_hosted)
            );
        }
        let of_profile = |values| {
            let variables = variables(values);
            let address = Address::of("b", "eu-west-1", Some("http://profile"), &variables);
            address.unwrap().endpoint.to_string()
        };
        assert_eq!(of_profile(&[]), "http://b.profile/");
        let named = of_profile(&[("AWS_ENDPOINT_URL", "http://x")]);
        assert_eq!(named, "http://b.x/");
    }

    #[test]
    fn keys_that_no_header_can_hold_are_an_error_that_does_not_show_them() {
        let grant = AwsGrant {
            keys: AwsKeys {
                id: "KEY".to_owned(),
                secret: Password::new("hun\nter2"),
                session_token: None,
            },
            expires: None,
            origin: "profile `ci`".to_owned(),
        };
        let error = credential(grant).unwrap_err().to_string();
        assert!(
            error.contains("profile `ci`") && !error.contains("ter2"),
            "{error}"
        );
    }
}
