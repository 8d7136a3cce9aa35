//! Clouds' exchanges against servers that answer as the vendors document it, on loopback.

mod amazon_profiles;
mod google_files;
mod machine;
mod microsoft;

use std::io::Write as _;
use std::sync::Arc;

use url::{Url, form_urlencoded};

use super::*;
use crate::cloud::aws::{AwsKeys, ContainerCredentials, WebIdentity};
use crate::cloud::google::GoogleKey;
use crate::http::HostSettings;
use crate::image::Reference;
use crate::registry::credentials::Source;
use crate::registry::host::RegistryHost;
use crate::registry::options::ProxyOptions;
use crate::registry::scripted_server::{Reply, Seen, Server, options as impatient};
use crate::registry::{Keychain, Purpose, Registries, RegistryOptions};

fn http() -> CloudHttp {
    CloudHttp::new(HostSettings::default())
}

fn url(server: &Server, path: &str) -> Url {
    server.url(path).parse().unwrap()
}

fn field(seen: &Seen, name: &str) -> String {
    let pairs = form_urlencoded::parse(&seen.body);
    let mut values = pairs.filter(|(key, _)| key == name);
    values
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn token_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

async fn credential(cloud: &Cloud, host: &str) -> Credential {
    match cloud.find(&http(), host).await.unwrap() {
        Found::Credential { credential, .. } => credential,
        Found::Nothing(why) => panic!("{why}"),
    }
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic {
        username: username.to_owned(),
        password: crate::http::Password::new(password),
    }
}

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// base64 of `AWS:sesame`.
const ECR_ANSWER: &str = r#"{"authorizationData":[{"authorizationToken":"QVdTOnNlc2FtZQ==","expiresAt":4102444800.5,"proxyEndpoint":"https://x"}]}"#;

/// Stands for Amazon: ECR, STS, the server of a container and the machine's.
async fn amazon() -> Server {
    Server::start(|seen| {
        let keys = |id: &str| {
            format!(r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"s3cret","Token":"t0ken","Expiration":"2100-01-01T00:00:00Z"}}"#)
        };
        let path = seen.target.as_str();
        match (seen.method.as_str(), path) {
            ("POST", "/ecr") => Reply::status(200).body(ECR_ANSWER),
            ("POST", "/sts") => {
                let role = field(seen, "RoleArn").rsplit('/').next().unwrap().to_uppercase();
                Reply::status(200).body(format!(
                    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{role}</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey><SessionToken>t0ken</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                ))
            }
            ("GET", "/container") if seen.header("authorization") == Some("pod-token") => {
                Reply::status(200).body(keys("POD"))
            }
            ("PUT", "/latest/api/token") => Reply::status(200).body("session"),
            ("GET", _) if seen.header("x-aws-ec2-metadata-token") != Some("session") => {
                Reply::status(401)
            }
            ("GET", "/latest/meta-data/iam/security-credentials/") => {
                Reply::status(200).body("node-role\n")
            }
            ("GET", "/latest/meta-data/iam/security-credentials/node-role") => {
                Reply::status(200).body(keys("NODE"))
            }
            _ => Reply::status(404),
        }
    })
    .await
}

fn aws(server: &Server) -> AwsOptions {
    AwsOptions {
        ecr_endpoint: Some(url(server, "/ecr")),
        sts_endpoint: Some(url(server, "/sts")),
        ..AwsOptions::default()
    }
}

/// Whose keys signed the request for a token, and that nothing secret went with it.
fn signer(server: &Server) -> String {
    let seen = server.seen();
    let seen = seen.iter().find(|seen| seen.is("POST", "/ecr")).unwrap();
    let authorization = seen.header("authorization").unwrap();
    assert!(!format!("{:?}{:?}", seen.headers, seen.body).contains("s3cret"));
    assert_eq!(
        seen.header("x-amz-target"),
        Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
    );
    assert_eq!(seen.body, b"{}");
    let rest = authorization
        .strip_prefix("AWS4-HMAC-SHA256 Credential=")
        .unwrap();
    let (scope, rest) = rest.split_once(", SignedHeaders=").unwrap();
    assert!(
        rest.starts_with("content-type;host;x-amz-content-sha256;x-amz-date;"),
        "{rest}"
    );
    assert!(scope.ends_with("/eu-west-1/ecr/aws4_request"), "{scope}");
    scope.split_once('/').unwrap().0.to_owned()
}

#[tokio::test]
async fn ecr_is_asked_once_with_the_keys_of_the_environment() {
    let server = amazon().await;
    let keys = AwsKeys {
        id: "KEY".to_owned(),
        secret: crate::http::Password::new("s3cret"),
        session_token: None,
    };
    let cloud = Cloud::ecr(AwsOptions {
        keys: Some(keys),
        ..aws(&server)
    });
    assert_eq!(credential(&cloud, ECR).await, basic("AWS", "sesame"));
    assert_eq!(credential(&cloud, ECR).await, basic("AWS", "sesame"));
    assert_eq!(server.lines(), ["POST /ecr"]);
    assert_eq!(signer(&server), "KEY");
    assert!(!format!("{cloud:?}").contains("s3cret") && !format!("{cloud:?}").contains("sesame"));
}

/// The registry of that name is reached through a proxy in plain HTTP, as there is no such host on loopback.
#[tokio::test]
async fn a_registry_of_ecrs_is_opened_with_what_ecr_gave() {
    let amazon = amazon().await;
    let registry = Server::start(|seen| {
        let is_welcome = seen.header("authorization") == Some("Basic QVdTOnNlc2FtZQ==");
        match seen.method.as_str() {
            "CONNECT" => Reply::status(405),
            _ if !is_welcome => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"ecr\""),
            _ => Reply::status(200)
                .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                .body(r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#),
        }
    })
    .await;
    let options = |keys: Option<AwsKeys>| RegistryOptions {
        insecure_pull: true,
        proxy: ProxyOptions {
            http_proxy: Some(url(&registry, "")),
            https_proxy: Some(url(&registry, "")),
            no_proxy: String::new(),
        },
        keychain: Keychain::of(vec![Source::Cloud(Arc::new(Cloud::ecr(AwsOptions {
            keys,
            ..aws(&amazon)
        })))]),
        ..impatient()
    };
    let keys = AwsKeys {
        id: "KEY".to_owned(),
        secret: crate::http::Password::new("s3cret"),
        session_token: None,
    };
    let registries = Registries::new(options(Some(keys)));
    for name in ["one", "two"] {
        let reference = Reference::parse(&format!("{ECR}/{name}:1")).unwrap();
        let repository = registries.repository(&reference, Purpose::Pull).unwrap();
        repository.fetch_manifest("1").await.unwrap();
    }
    assert_eq!(amazon.lines(), ["POST /ecr"]);
    let nobody = Registries::new(options(None));
    let reference = Reference::parse(&format!("{ECR}/one:1")).unwrap();
    let repository = nobody.repository(&reference, Purpose::Pull).unwrap();
    let error = repository.fetch_manifest("1").await.unwrap_err();
    let tried = error.credentials_tried();
    assert!(
        tried.len() == 1 && tried[0].starts_with("ecr: AWS_ACCESS_KEY_ID, "),
        "{tried:?}"
    );
}

#[tokio::test]
async fn what_has_expired_is_asked_for_again() {
    let server =
        Server::start(|_| Reply::status(200).body(ECR_ANSWER.replace("4102444800.5", "1.5"))).await;
    let keys = AwsKeys {
        id: "KEY".to_owned(),
        secret: crate::http::Password::new("s3cret"),
        session_token: None,
    };
    let cloud = Cloud::ecr(AwsOptions {
        keys: Some(keys),
        ..aws(&server)
    });
    let keychain = Keychain::of(vec![Source::Cloud(Arc::new(cloud))]);
    for _ in 0..2 {
        let host = RegistryHost::new(ECR);
        let lookup = keychain.find(&host, "app", Some(&http())).await;
        assert!(lookup.credential.is_some() && !lookup.is_good());
    }
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn a_role_is_assumed_with_a_web_identity() {
    let server = amazon().await;
    let file = token_file("jwt\n");
    let cloud = Cloud::ecr(AwsOptions {
        web_identity: Some(WebIdentity {
            role: "arn:aws:iam::1:role/ci".to_owned(),
            token_file: file.path().to_owned(),
            session_name: Some("job".to_owned()),
        }),
        ..aws(&server)
    });
    assert_eq!(credential(&cloud, ECR).await, basic("AWS", "sesame"));
    assert_eq!(signer(&server), "CI");
    let seen = server.seen();
    assert_eq!(field(&seen[0], "WebIdentityToken"), "jwt");
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(field(&seen[0], "RoleArn"), "arn:aws:iam::1:role/ci");
    assert_eq!(seen[1].header("x-amz-security-token"), Some("t0ken"));
}

#[tokio::test]
async fn a_pod_and_a_machine_give_keys() {
    let server = amazon().await;
    let file = token_file("pod-token");
    let cloud = Cloud::ecr(AwsOptions {
        container: Some(ContainerCredentials {
            url: url(&server, "/container"),
            token: None,
            token_file: Some(file.path().to_owned()),
        }),
        ..aws(&server)
    });
    credential(&cloud, ECR).await;
    assert_eq!(signer(&server), "POD");
    let server = amazon().await;
    let cloud = Cloud::ecr(AwsOptions {
        metadata: Some(url(&server, "")),
        ..aws(&server)
    });
    credential(&cloud, ECR).await;
    assert_eq!(signer(&server), "NODE");
}

#[tokio::test]
async fn what_a_cloud_refuses_is_told_without_what_was_shown_to_it() {
    let server = Server::start(|_| {
        Reply::status(400)
            .body(r#"{"__type":"UnrecognizedClientException","message":"The security token is invalid."}"#)
    })
    .await;
    let keys = AwsKeys {
        id: "KEY".to_owned(),
        secret: crate::http::Password::new("s3cret"),
        session_token: Some(crate::http::Token::new("t0ken")),
    };
    let cloud = Cloud::ecr(AwsOptions {
        keys: Some(keys),
        ..aws(&server)
    });
    let error = cloud.find(&http(), ECR).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "ecr: POST http://{}/ecr was answered with 400 Bad Request (The security token is invalid.)",
            server.address
        )
    );
    assert!(!format!("{error:?}").contains("s3cret") && !format!("{error:?}").contains("t0ken"));
    let keys = AwsKeys {
        id: "KEY\n".to_owned(),
        secret: crate::http::Password::new("s3cret"),
        session_token: None,
    };
    let cloud = Cloud::ecr(AwsOptions {
        keys: Some(keys),
        ..aws(&server)
    });
    let error = cloud.find(&http(), ECR).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot sign") && !error.contains("s3cret"),
        "{error}"
    );
}
