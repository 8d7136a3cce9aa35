//! Google Cloud Storage: what opens a bucket (Google Cloud, "How Application Default Credentials works"): a file that is
//! named, the file of `gcloud`, the metadata server.

use std::sync::Arc;

use object_store::RetryConfig;
use object_store::client::HttpConnector;
use object_store::gcp::GoogleCloudStorageBuilder;
use url::Url;

use super::super::web::authority;
use super::error::ObjectError;
use super::opened::Opened;
use super::variables::StoreVariables;

/// Where Google's buckets are.
const HOST: &str = "storage.googleapis.com";

/// Prepares a bucket. Nobody is asked yet.
pub(super) fn open(
    bucket: &str,
    variables: &StoreVariables,
    connector: impl HttpConnector,
    retry: RetryConfig,
) -> Result<Opened, ObjectError> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retry)
        .with_http_connector(connector);
    let mut host = HOST.to_owned();
    let mut tried = "no GOOGLE_APPLICATION_CREDENTIALS; gcloud's file, else the metadata server";
    if let Some(emulator) = variables.get("STORAGE_EMULATOR_HOST") {
        let url = emulator_url(emulator)?;
        host = authority(&url);
        tried = "none, because of STORAGE_EMULATOR_HOST";
        let base = url.as_str().trim_end_matches('/');
        // Google's libraries show an emulator nothing.
        builder = builder.with_base_url(base).with_skip_signature(true);
    } else if let Some(file) = variables.get("GOOGLE_APPLICATION_CREDENTIALS") {
        tried = "the file of GOOGLE_APPLICATION_CREDENTIALS";
        builder = builder.with_application_credentials(file);
    }
    let store = builder.build().map_err(ObjectError::settings)?;
    Ok(Opened {
        store: Arc::new(store),
        host,
        tried,
        hint: "name a service account's key file in GOOGLE_APPLICATION_CREDENTIALS",
    })
}

/// `http://` may be left out (Google Cloud's client libraries).
fn emulator_url(text: &str) -> Result<Url, ObjectError> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    url.map_err(ObjectError::Endpoint)
}
