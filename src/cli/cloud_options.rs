//! What the environment has for clouds, under the names that the vendors' own tools read.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use url::{Host, Url};

use crate::cloud::aws::{
    AwsKeys, AwsOptions, ContainerCredentials, ProfileFile, ProfilePlaces, WebIdentity,
};
use crate::cloud::google::{GoogleKey, GoogleOptions};
use crate::http::{Password, Token};
use crate::registry::Source;
use crate::registry::credentials::{AzureIdentity, AzureOptions, Cloud, ServiceIdentity};

use super::environment::{path_variable, variable};

/// The address at which the machines of all three clouds have a metadata service.
const METADATA: &str = "http://169.254.169.254";

/// Where ECS has its credentials (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is below it).
const ECS: &str = "http://169.254.170.2";

pub(super) fn ecr() -> Result<Source> {
    Ok(Source::Cloud(Arc::new(Cloud::ecr(aws()?))))
}

/// What the environment has for Amazon, for registries and for buckets.
pub(super) fn aws() -> Result<AwsOptions> {
    let is_disabled = variable("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let metadata = match is_disabled {
        true => None,
        false => Some(url_or("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA)?),
    };
    let session_name = variable("AWS_ROLE_SESSION_NAME");
    let all = "AWS_ENDPOINT_URL";
    Ok(AwsOptions {
        keys: aws_keys(&variable)?,
        web_identity: web_identity(session_name.clone())?,
        profiles: ProfilePlaces {
            name: variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE")),
            credentials: profile_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
            config: profile_file("AWS_CONFIG_FILE", ".aws/config"),
        },
        container: container()?,
        metadata,
        region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
        session_name,
        ecr_endpoint: first_url(&["AWS_ENDPOINT_URL_ECR", all])?,
        sts_endpoint: first_url(&["AWS_ENDPOINT_URL_STS", all])?,
    })
}

fn aws_keys(variable: &impl Fn(&str) -> Option<String>) -> Result<Option<AwsKeys>> {
    let (key, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    let half =
        |lacks: &str| format!("{lacks} is missing, without which the other half means nothing");
    match (variable(key), variable(secret)) {
        (Some(id), Some(secret)) => Ok(Some(AwsKeys {
            id,
            secret: Password::new(secret),
            session_token: variable("AWS_SESSION_TOKEN").map(Token::new),
        })),
        (Some(_), None) => bail!(half(secret)),
        (None, Some(_)) => bail!(half(key)),
        (None, None) => Ok(None),
    }
}

/// A role alone means nothing to Amazon's tools.
fn web_identity(session_name: Option<String>) -> Result<Option<WebIdentity>> {
    let Some(token_file) = path_variable("AWS_WEB_IDENTITY_TOKEN_FILE") else {
        return Ok(None);
    };
    let role = variable("AWS_ROLE_ARN");
    Ok(Some(WebIdentity {
        role: role.context("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")?,
        token_file,
        session_name,
    }))
}

fn profile_file(name: &str, in_home: &str) -> Option<ProfileFile> {
    let named = path_variable(name);
    let is_named = named.is_some();
    let path = named.or_else(|| home(in_home))?;
    Some(ProfileFile { path, is_named })
}

fn container() -> Result<Option<ContainerCredentials>> {
    let (relative, full) = (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    );
    let url = match (variable(relative), variable(full)) {
        (Some(path), _) => parse(relative, &format!("{ECS}{path}"))?,
        (None, Some(text)) => {
            let url = parse(full, &text)?;
            if !is_container_server(&url) {
                bail!("{full} is neither https nor an address of this machine, ECS or EKS");
            }
            url
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(ContainerCredentials {
        url,
        token: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Token::new),
        token_file: path_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    }))
}

/// Amazon's SDKs ask for keys in plain HTTP at these addresses only.
fn is_container_server(url: &Url) -> bool {
    let is_address = match url.host() {
        Some(Host::Ipv4(address)) => {
            address.is_loopback()
                || ["169.254.170.2", "169.254.170.23"].contains(&&*address.to_string())
        }
        Some(Host::Ipv6(address)) => address.is_loopback() || address.to_string() == "fd00:ec2::23",
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || is_address
}

pub(super) fn google() -> Result<Source> {
    Ok(Source::Cloud(Arc::new(Cloud::google(google_identity()?))))
}

/// What the environment has for Google, for registries and for buckets.
pub(super) fn google_identity() -> Result<GoogleOptions> {
    let named = path_variable("GOOGLE_APPLICATION_CREDENTIALS");
    let key = match named {
        Some(path) => Some((path.clone(), read(&path)?)),
        // Where gcloud leaves what `auth application-default login` gave.
        None => path_variable("CLOUDSDK_CONFIG")
            .or_else(|| home(".config/gcloud"))
            .map(|directory| directory.join("application_default_credentials.json"))
            .map(read_if_there)
            .transpose()?
            .flatten(),
    };
    let metadata = match variable("GCE_METADATA_HOST") {
        Some(host) => parse("GCE_METADATA_HOST", &format!("http://{host}"))?,
        None => parse("the metadata server", METADATA)?,
    };
    Ok(GoogleOptions {
        key: key.map(|(path, text)| GoogleKey {
            origin: path.to_string_lossy().into_owned(),
            text: Password::new(text),
        }),
        metadata: Some(metadata),
    })
}

pub(super) fn acr() -> Result<Source> {
    let authority = match variable("AZURE_AUTHORITY_HOST") {
        Some(host) if host.contains("://") => parse("AZURE_AUTHORITY_HOST", &host)?,
        Some(host) => parse("AZURE_AUTHORITY_HOST", &format!("https://{host}"))?,
        None => parse(
            "AZURE_ENVIRONMENT",
            authority(variable("AZURE_ENVIRONMENT").as_deref())?,
        )?,
    };
    let options = AzureOptions {
        authority,
        identity: azure_identity()?,
    };
    Ok(Source::Cloud(Arc::new(Cloud::azure(options))))
}

/// Azure's clouds by their names, which are compared without case.
fn authority(environment: Option<&str>) -> Result<&'static str> {
    let name = environment.unwrap_or("AzurePublicCloud");
    match name.to_ascii_uppercase().as_str() {
        "AZUREPUBLICCLOUD" | "AZURECLOUD" => Ok("https://login.microsoftonline.com"),
        "AZURECHINACLOUD" => Ok("https://login.chinacloudapi.cn"),
        "AZUREUSGOVERNMENTCLOUD" | "AZUREUSGOVERNMENT" => Ok("https://login.microsoftonline.us"),
        "AZUREGERMANCLOUD" => Ok("https://login.microsoftonline.de"),
        _ => bail!(
            "AZURE_ENVIRONMENT is `{name}`, expected AzurePublicCloud, AzureChinaCloud, AzureUSGovernmentCloud or AzureGermanCloud"
        ),
    }
}

fn azure_identity() -> Result<AzureIdentity> {
    let client = variable("AZURE_CLIENT_ID");
    if let Some((tenant, id)) = variable("AZURE_TENANT_ID").zip(client.clone()) {
        if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
            return Ok(AzureIdentity::Secret {
                tenant,
                client: id,
                secret: Password::new(secret),
            });
        }
        if let Some(token_file) = path_variable("AZURE_FEDERATED_TOKEN_FILE") {
            return Ok(AzureIdentity::Federated {
                tenant,
                client: id,
                token_file,
            });
        }
    }
    let endpoint = first_url(&["IDENTITY_ENDPOINT"])?;
    let service = endpoint.zip(variable("IDENTITY_HEADER"));
    Ok(AzureIdentity::Managed {
        client,
        service: service.map(|(url, header)| ServiceIdentity {
            url,
            header: Token::new(header),
        }),
        metadata: url_or("AZURE_POD_IDENTITY_AUTHORITY_HOST", METADATA)?,
    })
}

fn first_url(names: &[&str]) -> Result<Option<Url>> {
    let found = names.iter().find_map(|name| Some((name, variable(name)?)));
    found.map(|(name, value)| parse(name, &value)).transpose()
}

fn url_or(name: &str, default: &str) -> Result<Url> {
    parse(name, &variable(name).unwrap_or_else(|| default.to_owned()))
}

/// The value may hold a password: it is not repeated.
fn parse(name: &str, text: &str) -> Result<Url> {
    let url: Url = text
        .parse()
        .with_context(|| format!("{name} is not a URL"))?;
    if url.cannot_be_a_base() {
        bail!("{name} is not the URL of a server");
    }
    Ok(url)
}

fn home(path: &str) -> Option<PathBuf> {
    path_variable("HOME").map(|home| home.join(path))
}

fn read(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn read_if_there(path: PathBuf) -> Result<Option<(PathBuf, String)>> {
    match path.is_file() {
        true => Ok(Some((path.clone(), read(&path)?))),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_containers_are_asked_for_nowhere_else() {
        let allowed = |text: &str| is_container_server(&text.parse().unwrap());
        for url in [
            "https://anywhere.example/x",
            "http://127.0.0.1:8080/x",
            "http://localhost/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(allowed(url), "{url}");
        }
        for url in [
            "http://10.0.0.1/x",
            "http://localhost.evil.example/x",
            "http://169.254.169.254/",
        ] {
            assert!(!allowed(url), "{url}");
        }
    }

    #[test]
    fn half_a_pair_of_keys_is_an_error() {
        let of =
            |name: &'static str| move |asked: &str| (asked == name).then(|| "hunter2".to_owned());
        for (given, missing) in [
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        ] {
            let error = aws_keys(&of(given)).unwrap_err().to_string();
            assert!(
                error.starts_with(missing) && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert_eq!(aws_keys(&of("AWS_SESSION_TOKEN")).unwrap(), None);
    }

    #[test]
    fn azures_clouds_are_known_by_their_names() {
        assert_eq!(
            authority(None).unwrap(),
            "https://login.microsoftonline.com"
        );
        let china = authority(Some("AzureChinaCloud")).unwrap();
        assert_eq!(china, "https://login.chinacloudapi.cn");
        assert!(authority(Some("Mars")).is_err());
    }
}
