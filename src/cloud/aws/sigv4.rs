//! Amazon's signatures (AWS Signature Version 4). This module signs what it is given; it sends nothing.

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::AwsKeys;
use crate::cloud::exchange::CloudError;

/// Which of Amazon's services is asked, and where.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Such as `ecr`.
    pub name: &'a str,
    /// Where it is.
    pub region: &'a str,
}

/// Returns the headers of a signed POST to `url`: those given, and the signature's.
pub fn sign(
    url: &Url,
    headers: HeaderMap,
    body: &str,
    service: &Service<'_>,
    keys: &AwsKeys,
) -> Result<HeaderMap, CloudError> {
    let unusable = |what: &str| CloudError::Unusable(format!("cannot sign the request: {what}"));
    // The signer puts them into headers, and panics where it cannot.
    let texts = [
        &keys.id,
        keys.secret.expose(),
        keys.token().unwrap_or_default(),
    ];
    if texts
        .iter()
        .any(|text| !text.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(unusable("a key holds a character that none can hold"));
    }
    let credential = AwsCredential {
        key_id: keys.id.clone(),
        secret_key: keys.secret.expose().to_owned(),
        token: keys.token().map(str::to_owned),
    };
    let mut request = HttpRequest::new(HttpRequestBody::from(Bytes::from(body.to_owned())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().map_err(|_| unusable("no URL"))?;
    *request.headers_mut() = headers;
    AwsAuthorizer::new(&credential, service.name, service.region)
        .try_authorize(&mut request, None)
        .map_err(|error| unusable(&error.to_string()))?;
    Ok(std::mem::take(request.headers_mut()))
}
