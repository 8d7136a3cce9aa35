//! Azure's registries: a token of the job's identity, which the registry itself exchanges for a refresh token of its own.
//! This module knows Azure's hosts and exchanges. A token is shown to nobody but hosts of Azure's registries.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::{Answer, Credential, Issued};
use crate::cloud::Failure;
use crate::cloud::exchange::{
    CloudError, CloudHttp, Question, below, endpoint, read_json, read_token,
};
use crate::http::{Password, Token};

/// Whom the identity's token is for.
const AUDIENCE: &str = "https://containerregistry.azure.net";

/// The user of a refresh token, where one is asked for.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Refresh tokens of a registry live three hours; the token in it is not read.
const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);

/// What a job's environment has for Azure.
#[derive(Clone, Debug)]
pub struct AzureOptions {
    /// Where identities are proved: `AZURE_AUTHORITY_HOST`, or the one of `AZURE_ENVIRONMENT`.
    pub authority: Url,
    /// Who the job is.
    pub identity: AzureIdentity,
}

/// Who a job is at Azure.
#[derive(Clone, Debug)]
pub enum AzureIdentity {
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    Secret {
        /// The tenant.
        tenant: String,
        /// The service principal.
        client: String,
        /// Its secret.
        secret: Password,
    },
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_FEDERATED_TOKEN_FILE`: workload identity.
    Federated {
        /// The tenant.
        tenant: String,
        /// The identity.
        client: String,
        /// Where the token of the job's platform is; read for each use.
        token_file: PathBuf,
    },
    /// Whatever identity the machine has.
    Managed {
        /// Which of them. `None` if there is only one.
        client: Option<String>,
        /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
        service: Option<ServiceIdentity>,
        /// The machine's metadata service.
        metadata: Url,
    },
}

/// A server for the identity of an app service or of a container app.
#[derive(Clone, Debug)]
pub struct ServiceIdentity {
    /// The server.
    pub url: Url,
    /// What to show to it.
    pub header: Token,
}

/// Tells whether a host is one of Azure's registries.
pub(super) fn is_azure(host: &str) -> bool {
    let domains = [".azurecr.io", ".azurecr.cn", ".azurecr.de", ".azurecr.us"];
    domains.iter().any(|domain| {
        // A name is letters and digits, with a hyphen before a label that makes it unique.
        let name = host.strip_suffix(domain).unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        name.bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
            && name.bytes().all(is_plain)
    })
}

/// Gets a refresh token of the registry.
pub(super) async fn ask(http: &CloudHttp, options: &AzureOptions, host: &str) -> Answer {
    let registry = endpoint(&format!("https://{host}/"))?;
    ask_at(http, options, host, &registry).await
}

/// As [`ask`], of the registry whose API answers at `registry`.
pub(super) async fn ask_at(
    http: &CloudHttp,
    options: &AzureOptions,
    host: &str,
    registry: &Url,
) -> Answer {
    let token = identity_token(http, options).await?;
    let url = endpoint(&format!("{registry}oauth2/exchange"))?;
    let question = Question::form(
        url,
        &[
            ("grant_type", "access_token"),
            ("service", host),
            ("access_token", token.expose()),
        ],
    );
    #[derive(Deserialize)]
    struct Exchanged {
        refresh_token: String,
    }
    let answer: Exchanged = http.ask_json(&question, "refresh token").await?;
    let credential = Credential::IdentityToken {
        username: TOKEN_USER.to_owned(),
        token: Token::new(answer.refresh_token),
    };
    Ok(Issued::new(credential, LIFETIME))
}

#[derive(Deserialize)]
struct IdentityToken {
    access_token: String,
}

async fn identity_token(http: &CloudHttp, options: &AzureOptions) -> Result<Token, Failure> {
    match &options.identity {
        AzureIdentity::Secret {
            tenant,
            client,
            secret,
        } => {
            let proof = [("client_secret", secret.expose())];
            Ok(principal_token(http, &options.authority, tenant, client, &proof).await?)
        }
        AzureIdentity::Federated {
            tenant,
            client,
            token_file,
        } => {
            let assertion = Token::new(read_token(token_file).await?);
            let proof = [
                (
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ),
                ("client_assertion", assertion.expose()),
            ];
            Ok(principal_token(http, &options.authority, tenant, client, &proof).await?)
        }
        AzureIdentity::Managed {
            client,
            service: Some(service),
            ..
        } => Ok(service_token(http, service, client.as_deref()).await?),
        AzureIdentity::Managed {
            client,
            service: None,
            metadata,
        } => machine_token(http, metadata, client.as_deref())
            .await
            .map_err(|error| {
                let missing =
                    "AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE and IDENTITY_ENDPOINT are not set";
                Failure::NotConfigured(format!("{missing}; {error}"))
            }),
    }
}

/// Microsoft's identity platform, "client credentials flow".
async fn principal_token(
    http: &CloudHttp,
    authority: &Url,
    tenant: &str,
    client: &str,
    proof: &[(&str, &str)],
) -> Result<Token, CloudError> {
    let mut url = authority.clone();
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty()
                .extend([tenant, "oauth2", "v2.0", "token"]);
        }
        Err(()) => {
            let problem = "AZURE_AUTHORITY_HOST is not a URL".to_owned();
            return Err(CloudError::Unusable(problem));
        }
    }
    let scope = format!("{AUDIENCE}/.default");
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", &scope),
    ];
    let fields: Vec<_> = fields.iter().chain(proof).copied().collect();
    let answer: IdentityToken = http
        .ask_json(&Question::form(url, &fields), "token")
        .await?;
    Ok(Token::new(answer.access_token))
}

/// App Service, "REST endpoint reference" of managed identities.
async fn service_token(
    http: &CloudHttp,
    service: &ServiceIdentity,
    client: Option<&str>,
) -> Result<Token, CloudError> {
    let url = managed_url(service.url.clone(), "2019-08-01", client);
    let question =
        Question::new(Method::GET, url).header("x-identity-header", service.header.expose())?;
    managed_token(http, question).await
}

/// Azure's instance metadata service.
async fn machine_token(
    http: &CloudHttp,
    metadata: &Url,
    client: Option<&str>,
) -> Result<Token, CloudError> {
    let url = below(metadata, "/metadata/identity/oauth2/token")?;
    let url = managed_url(url, "2018-02-01", client);
    let question = Question::new(Method::GET, url).header("metadata", "true")?;
    managed_token(http, question).await
}

fn managed_url(mut url: Url, version: &str, client: Option<&str>) -> Url {
    url.query_pairs_mut()
        .append_pair("api-version", version)
        .append_pair("resource", AUDIENCE)
        .extend_pairs(client.map(|client| ("client_id", client)));
    url
}

async fn managed_token(http: &CloudHttp, question: Question) -> Result<Token, CloudError> {
    let text = http.ask_machine(&question).await?;
    let answer: IdentityToken = read_json(&text, &question, "token")?;
    Ok(Token::new(answer.access_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_azures_own_hosts_get_azures_tokens() {
        for host in [
            "team.azurecr.io",
            "team-abc.azurecr.us",
            "team.westeurope.data.azurecr.io",
        ] {
            assert!(is_azure(host), "{host}");
        }
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "evilazurecr.io",
            "team.azurecr.io.evil.example",
            "team.azurecr.com",
            "team.azurecr.io:8443",
            "evil.example/x.azurecr.io",
            "user@evil.azurecr.io",
        ] {
            assert!(!is_azure(host), "{host}");
        }
    }
}
