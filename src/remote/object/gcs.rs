//! Google Cloud Storage: where a bucket is. Who the job is, another room knows.

use std::sync::Arc;

use object_store::RetryConfig;
use object_store::client::HttpConnector;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use url::Url;

use super::super::web::Web;
use super::error::ObjectError;
use super::granted::{Grant, Granted};
use super::opened::Opened;
use crate::cloud::google::{GoogleGrant, access_token};
use crate::cloud::use_until;

const HINT: &str = "name a service account's key file in GOOGLE_APPLICATION_CREDENTIALS";

/// Prepares a bucket, with a token for it. The bucket itself is not asked yet.
pub(super) async fn open(
    bucket: &str,
    web: &Web,
    connector: impl HttpConnector,
    retry: RetryConfig,
) -> Result<Opened, ObjectError> {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retry)
        .with_http_connector(connector);
    let server = web.options.object_stores.get("STORAGE_EMULATOR_HOST");
    let (builder, tried) = match server.map(emulator_url).transpose()? {
        // Google's libraries show an emulator nothing.
        Some(emulator) => {
            let base = emulator.as_str().trim_end_matches('/');
            let builder = builder.with_base_url(base).with_skip_signature(true);
            (builder, "none, because of STORAGE_EMULATOR_HOST".to_owned())
        }
        None => with_token(builder, web).await?,
    };
    let store = builder.build().map_err(ObjectError::settings)?;
    Ok(Opened {
        store: Arc::new(store),
        tried,
        hint: HINT,
    })
}

async fn with_token(
    builder: GoogleCloudStorageBuilder,
    web: &Web,
) -> Result<(GoogleCloudStorageBuilder, String), ObjectError> {
    let (http, options) = (web.cloud(), web.options.cloud.google.clone());
    let first = access_token(&http, &options).await;
    let first = first.map_err(|failure| ObjectError::no_credentials(failure, HINT))?;
    let tried = first.origin.clone();
    let granted = Granted::new(credential(&first), move || {
        let (http, options) = (http.clone(), options.clone());
        async move { Ok(credential(&access_token(&http, &options).await?)) }
    });
    Ok((builder.with_credentials(Arc::new(granted)), tried))
}

fn credential(grant: &GoogleGrant) -> Grant<GcpCredential> {
    let bearer = grant.token.expose().to_owned();
    (GcpCredential { bearer }, Some(use_until(grant.lifetime)))
}

/// `http://` may be left out (Google Cloud's client libraries).
fn emulator_url(text: &str) -> Result<Url, ObjectError> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    url.map_err(ObjectError::Endpoint)
}
