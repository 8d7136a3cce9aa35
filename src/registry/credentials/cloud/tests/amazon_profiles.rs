//! Amazon's profiles: roles, programs, and what cannot be used.

use crate::cloud::aws::{ProfileFile, ProfilePlaces};

use super::*;

const CREDENTIALS: &str = "[base]\naws_access_key_id = BASE\naws_secret_access_key = s3cret\n";

const CONFIG: &str = r#"
[profile deploy]
role_arn = arn:aws:iam::1:role/deploy
source_profile = build
role_session_name = job
external_id = partner
[profile build]
role_arn = arn:aws:iam::1:role/build
source_profile = base
[profile program]
credential_process = printf '{"Version":1,"AccessKeyId":"PROGRAM","SecretAccessKey":"s3cret"}'
[profile pod]
role_arn = arn:aws:iam::1:role/pod
credential_source = EcsContainer
[profile person]
sso_session = corp
[default]
region = eu-west-1
"#;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("credentials"), CREDENTIALS).unwrap();
        std::fs::write(dir.path().join("config"), CONFIG).unwrap();
        Self(dir)
    }

    fn places(&self, profile: Option<&str>) -> ProfilePlaces {
        let file = |name: &str| {
            Some(ProfileFile {
                path: self.0.path().join(name),
                is_named: true,
            })
        };
        ProfilePlaces {
            name: profile.map(str::to_owned),
            credentials: file("credentials"),
            config: file("config"),
        }
    }
}

fn roles(server: &Server) -> Vec<(String, String, Option<String>)> {
    let seen = server.seen();
    let asked = seen.iter().filter(|seen| seen.is("POST", "/sts"));
    asked
        .map(|seen| {
            assert_eq!(field(seen, "Action"), "AssumeRole");
            let signature = seen.header("authorization").unwrap();
            let key = signature
                .strip_prefix("AWS4-HMAC-SHA256 Credential=")
                .unwrap();
            let (key, rest) = key.split_once('/').unwrap();
            assert!(rest.contains("/eu-west-1/sts/aws4_request"), "{rest}");
            let token = seen.header("x-amz-security-token").map(str::to_owned);
            (field(seen, "RoleArn"), key.to_owned(), token)
        })
        .collect()
}

#[tokio::test]
async fn the_roles_of_a_profile_are_assumed_one_after_the_other() {
    let (server, files) = (amazon().await, Files::new());
    let cloud = Cloud::ecr(AwsOptions {
        profiles: files.places(Some("deploy")),
        ..aws(&server)
    });
    assert_eq!(credential(&cloud, ECR).await, basic("AWS", "sesame"));
    let role = |name: &str| format!("arn:aws:iam::1:role/{name}");
    assert_eq!(
        roles(&server),
        [
            (role("build"), "BASE".to_owned(), None),
            (role("deploy"), "BUILD".to_owned(), Some("t0ken".to_owned())),
        ]
    );
    assert_eq!(signer(&server), "DEPLOY");
    let last = &server.seen()[1];
    assert_eq!(field(last, "RoleSessionName"), "job");
    assert_eq!(field(last, "ExternalId"), "partner");
}

#[tokio::test]
async fn programs_and_containers_are_origins_too() {
    let files = Files::new();
    let server = amazon().await;
    let cloud = Cloud::ecr(AwsOptions {
        profiles: files.places(Some("program")),
        ..aws(&server)
    });
    credential(&cloud, ECR).await;
    assert_eq!(signer(&server), "PROGRAM");
    let server = amazon().await;
    let cloud = Cloud::ecr(AwsOptions {
        profiles: files.places(Some("pod")),
        container: Some(ContainerCredentials {
            url: url(&server, "/container"),
            token: Some(crate::http::Token::new("pod-token")),
            token_file: None,
        }),
        ..aws(&server)
    });
    credential(&cloud, ECR).await;
    assert_eq!(roles(&server)[0].1, "POD");
    assert_eq!(signer(&server), "POD");
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_is_an_error_and_nobody_else_is_asked() {
    let (server, files) = (amazon().await, Files::new());
    for (profile, expected) in [
        ("person", "profile `person`: `sso_session` needs a person"),
        (
            "missing",
            "AWS_PROFILE is `missing`, and there is no such profile in `/",
        ),
        (
            "pod",
            "`credential_source` is EcsContainer, and AWS_CONTAINER",
        ),
    ] {
        let cloud = Cloud::ecr(AwsOptions {
            profiles: files.places(Some(profile)),
            metadata: Some(url(&server, "")),
            ..aws(&server)
        });
        let error = cloud.find(&http(), ECR).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(server.lines().is_empty());
    // One that says nothing of keys leaves it to the machine.
    let cloud = Cloud::ecr(AwsOptions {
        profiles: files.places(None),
        metadata: Some(url(&server, "")),
        ..aws(&server)
    });
    credential(&cloud, ECR).await;
    assert_eq!(signer(&server), "NODE");
}
