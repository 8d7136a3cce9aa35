//! Azure Blob Storage: blobs that an account's key opens. What a signature in the URL opens, or nobody closes, is a file
//! on an HTTP server like others.

use std::sync::Arc;

use object_store::RetryConfig;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::HttpConnector;
use url::Url;

use super::error::ObjectError;
use super::opened::Opened;
use super::variables::StoreVariables;
use super::{ObjectSource, Store};
use crate::remote::percent;

/// What follows an account's name in the hosts of blobs, as kaniko knows them (its README, "Using Azure Blob Storage").
const DOMAINS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
    ".blob.core.usgovcloudapi.net",
];

const HINT: &str =
    "AZURE_STORAGE_ACCESS_KEY must be a key of the account; or put a SAS into the URL";

/// The parameter of a URL that makes it open by itself (Azure, "Create a service SAS").
const SIGNATURE: &str = "sig";

/// Returns the account of a host of blobs.
pub(super) fn account(host: &str) -> Option<&str> {
    let found = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain));
    found.filter(|account| !account.is_empty() && !account.contains('.'))
}

/// Reads the URL of a blob that a key opens.
pub(super) fn blob(text: &str, variables: &StoreVariables) -> Option<ObjectSource> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let has_signature = url.query_pairs().any(|(name, _)| name == SIGNATURE);
    let key = Access::of(account(host)?, host, variables);
    if has_signature || url.port().is_some() || key.is_none() {
        return None;
    }
    let path = String::from_utf8(percent::decoded(url.path())).ok()?;
    let (container, blob) = path.trim_start_matches('/').split_once('/')?;
    Some(ObjectSource {
        store: Store::Azure {
            host: host.to_owned(),
        },
        bucket: container.to_owned(),
        key: blob.to_owned(),
    })
}

/// Prepares a container. Nobody is asked yet.
pub(super) fn open(
    host: &str,
    container: &str,
    variables: &StoreVariables,
    connector: impl HttpConnector,
    retry: RetryConfig,
) -> Result<Opened, ObjectError> {
    let account = account(host).unwrap_or_default();
    let access = Access::of(account, host, variables).ok_or(ObjectError::NoCredentials {
        tried: "no AZURE_STORAGE_ACCESS_KEY, and no AZURE_STORAGE_CONNECTION_STRING of the account"
            .to_owned(),
        hint: HINT,
    })?;
    Url::parse(&access.endpoint).map_err(ObjectError::Endpoint)?;
    let store = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(container)
        .with_access_key(access.key)
        .with_endpoint(access.endpoint.trim_end_matches('/').to_owned())
        .with_retry(retry)
        .with_http_connector(connector)
        .build()
        .map_err(ObjectError::settings)?;
    Ok(Opened {
        store: Arc::new(store),
        tried: "the account's key".to_owned(),
        hint: HINT,
    })
}

/// How an account is reached with a key.
struct Access {
    key: String,
    endpoint: String,
}

impl Access {
    /// A connection string counts for its own account, and comes first: it may name another server, as Azurite's does.
    fn of(account: &str, host: &str, variables: &StoreVariables) -> Option<Self> {
        let usual = format!("https://{host}");
        if let Some(text) = variables.get("AZURE_STORAGE_CONNECTION_STRING") {
            let value = |name: &str| {
                let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
                let found = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim().to_owned())
            };
            let is_own = value("AccountName").as_deref() == Some(account);
            if let Some(key) = value("AccountKey").filter(|_| is_own) {
                let endpoint = value("BlobEndpoint").unwrap_or(usual);
                return Some(Self { key, endpoint });
            }
        }
        let key = variables.get("AZURE_STORAGE_ACCESS_KEY")?.to_owned();
        Some(Self {
            key,
            endpoint: usual,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_those_that_a_key_opens() {
        let key = ("AZURE_STORAGE_ACCESS_KEY".to_owned(), "k".to_owned());
        let variables = StoreVariables::new([key]);
        let shown =
            |text: &str, variables: &StoreVariables| blob(text, variables).map(|it| it.to_string());
        let url = "https://acc.blob.core.windows.net/c/a/b%20c.tgz";
        assert_eq!(
            shown(url, &variables).as_deref(),
            Some("https://acc.blob.core.windows.net/c/a/b c.tgz")
        );
        assert!(shown("https://a.blob.core.usgovcloudapi.net/c/x", &variables).is_some());
        assert_eq!(shown(url, &StoreVariables::default()), None);
        for other in [
            "https://acc.blob.core.windows.net/c/x?sv=1&sig=abc",
            "https://blob.core.windows.net/c/x",
            "https://a.b.blob.core.windows.net/c/x",
            "https://acc.blob.core.windows.net.example/c/x",
            "https://acc.blob.core.windows.net/only-a-container",
        ] {
            assert_eq!(shown(other, &variables), None, "{other}");
        }
    }

    #[test]
    fn a_connection_string_is_for_its_own_account() {
        let text = "DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:1/acc;";
        let name = "AZURE_STORAGE_CONNECTION_STRING".to_owned();
        let variables = StoreVariables::new([(name, text.to_owned())]);
        let own = Access::of("acc", "h", &variables).unwrap();
        assert_eq!(
            (own.key.as_str(), own.endpoint.as_str()),
            ("a2V5==", "http://127.0.0.1:1/acc")
        );
        assert!(Access::of("other", "h", &variables).is_none());
    }
}
