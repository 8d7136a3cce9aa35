//! Google: service accounts, federation and the metadata service.

use super::*;

/// Stands for Google: the token endpoint, the exchange, impersonation and the machine's server.
async fn google() -> Server {
    Server::start(|seen| {
        let given = |token: &str| format!(r#"{{"access_token":"{token}","expires_in":3599}}"#);
        match seen.target.as_str() {
            "/token" => Reply::status(200).body(given(&field(seen, "grant_type"))),
            "/sts" => Reply::status(200).body(given("federated")),
            "/subject" if seen.header("authorization") == Some("bearer request") => {
                Reply::status(200).body(r#"{"value":"oidc"}"#)
            }
            "/impersonate" if seen.header("authorization") == Some("Bearer federated") => {
                Reply::status(200)
                    .body(r#"{"accessToken":"impersonated","expireTime":"2100-01-01T00:00:00Z"}"#)
            }
            "/computeMetadata/v1/instance/service-accounts/default/token"
                if seen.header("metadata-flavor") == Some("Google") =>
            {
                Reply::status(200).body(given("machine"))
            }
            _ => Reply::status(404),
        }
    })
    .await
}

fn google_options(server: &Server, key: Option<String>) -> GoogleOptions {
    GoogleOptions {
        key: key.map(|text| GoogleKey {
            origin: "key.json".to_owned(),
            text: crate::http::Password::new(text),
        }),
        metadata: Some(url(server, "")),
    }
}

#[tokio::test]
async fn a_service_account_signs_for_a_token_that_its_public_key_verifies() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    use rsa::sha2::Sha256;
    use rsa::signature::Verifier;

    let server = google().await;
    let private = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
    let pem = private.to_pkcs8_pem(LineEnding::LF).unwrap();
    let key = serde_json::json!({
        "type": "service_account",
        "client_email": "ci@project.iam.gserviceaccount.com",
        "private_key": pem.as_str(),
        "private_key_id": "k1",
        "token_uri": server.url("/token"),
    });
    let cloud = Cloud::google(google_options(&server, Some(key.to_string())));
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let found = credential(&cloud, "eu.gcr.io").await;
    assert_eq!(found, basic("oauth2accesstoken", grant));
    let seen = server.seen();
    let assertion = field(&seen[0], "assertion");
    let (statement, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifier = VerifyingKey::<Sha256>::new(private.to_public_key());
    let signature = Signature::try_from(signature.as_slice()).unwrap();
    verifier.verify(statement.as_bytes(), &signature).unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(statement.split_once('.').unwrap().1)
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "ci@project.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], server.url("/token"));
    assert!(!format!("{cloud:?}").contains("PRIVATE KEY"));
}

#[tokio::test]
async fn googles_other_files_and_its_machines_give_tokens() {
    let server = google().await;
    let user = serde_json::json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": server.url("/token"),
    });
    let cloud = Cloud::google(google_options(&server, Some(user.to_string())));
    let found = credential(&cloud, "europe-docker.pkg.dev").await;
    assert_eq!(found, basic("oauth2accesstoken", "refresh_token"));

    let federated = serde_json::json!({
        "type": "external_account", "audience": "//iam.googleapis.com/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": server.url("/sts"),
        "service_account_impersonation_url": server.url("/impersonate"),
        "credential_source": {
            "url": server.url("/subject"), "headers": {"Authorization": "bearer request"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        },
    });
    let cloud = Cloud::google(google_options(&server, Some(federated.to_string())));
    let found = credential(&cloud, "gcr.io").await;
    assert_eq!(found, basic("oauth2accesstoken", "impersonated"));
    let seen = server.seen();
    let exchange = seen.iter().find(|seen| seen.is("POST", "/sts")).unwrap();
    assert_eq!(field(exchange, "subject_token"), "oidc");

    let file = token_file("oidc-of-a-file\n");
    let federated = serde_json::json!({
        "type": "external_account", "audience": "//iam.googleapis.com/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": server.url("/sts"),
        "credential_source": {"file": file.path()},
    });
    // What `gcloud auth application-default login --impersonate-service-account` leaves.
    let impersonated = serde_json::json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": server.url("/impersonate"),
        "source_credentials": federated,
    });
    for (key, expected) in [(federated, "federated"), (impersonated, "impersonated")] {
        let cloud = Cloud::google(google_options(&server, Some(key.to_string())));
        let found = credential(&cloud, "gcr.io").await;
        assert_eq!(found, basic("oauth2accesstoken", expected));
        let seen = server.seen();
        let exchange = seen.iter().rfind(|seen| seen.is("POST", "/sts")).unwrap();
        assert_eq!(field(exchange, "subject_token"), "oidc-of-a-file");
    }

    let cloud = Cloud::google(google_options(&server, None));
    let found = credential(&cloud, "gcr.io").await;
    assert_eq!(found, basic("oauth2accesstoken", "machine"));
}

#[tokio::test]
async fn a_google_file_that_cannot_be_used_is_named_and_not_quoted() {
    let server = google().await;
    for (text, expected) in [
        ("s3cret", "`key.json` is not a credentials file"),
        (
            r#"{"type":"s3cret"}"#,
            "`key.json` is of a type that is not supported",
        ),
        (
            r#"{"type":"service_account","client_email":"x","private_key":"s3cret","token_uri":"http://127.0.0.1/"}"#,
            "`key.json` holds a private key that cannot be used",
        ),
        (
            r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"http://127.0.0.1/","credential_source":{"executable":{"command":"s3cret"}}}"#,
            "not yet supported: a `credential_source` with `executable`",
        ),
        (
            r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"http://127.0.0.1/","credential_source":{"environment_id":"aws1","url":"http://127.0.0.1/s3cret"}}"#,
            "not yet supported: a `credential_source` with `environment_id`",
        ),
        (
            r#"{"type":"gdch_service_account","private_key":"s3cret"}"#,
            "not supported, gdch_service_account (not service_account",
        ),
    ] {
        let cloud = Cloud::google(google_options(&server, Some(text.to_owned())));
        let error = cloud.find(&http(), "gcr.io").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert!(server.lines().is_empty());
}
