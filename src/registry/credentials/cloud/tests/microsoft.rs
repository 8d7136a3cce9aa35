//! Azure: identities of its directory, exchanged at the registry.

use super::*;

/// Stands for Azure: the identity platform, both managed identities, and the registry.
async fn microsoft() -> Server {
    Server::start(|seen| {
        let given = |token: &str| format!(r#"{{"access_token":"{token}","expires_in":"3599"}}"#);
        let path = seen.target.split('?').next().unwrap_or_default();
        match path {
            "/tenant/oauth2/v2.0/token" => {
                let proof = field(seen, "client_secret") + &field(seen, "client_assertion");
                Reply::status(200).body(given(&format!("aad-{proof}")))
            }
            "/service" if seen.header("x-identity-header") == Some("proof") => {
                Reply::status(200).body(given("service"))
            }
            "/metadata/identity/oauth2/token" if seen.header("metadata") == Some("true") => {
                Reply::status(200).body(given("machine"))
            }
            "/oauth2/exchange" => {
                let token = field(seen, "access_token");
                Reply::status(200).body(format!(r#"{{"refresh_token":"refresh-{token}"}}"#))
            }
            _ => Reply::status(404),
        }
    })
    .await
}

#[tokio::test]
async fn azures_identities_are_exchanged_at_the_registry() {
    let server = microsoft().await;
    let file = token_file("jwt");
    let managed = |service| AzureIdentity::Managed {
        client: Some("id".to_owned()),
        service,
        metadata: url(&server, ""),
    };
    let (tenant, client) = ("tenant".to_owned(), "id".to_owned());
    for (identity, expected) in [
        (
            AzureIdentity::Secret {
                tenant: tenant.clone(),
                client: client.clone(),
                secret: crate::http::Password::new("secret"),
            },
            "refresh-aad-secret",
        ),
        (
            AzureIdentity::Federated {
                tenant,
                client,
                token_file: file.path().to_owned(),
            },
            "refresh-aad-jwt",
        ),
        (
            managed(Some(ServiceIdentity {
                url: url(&server, "/service"),
                header: crate::http::Token::new("proof"),
            })),
            "refresh-service",
        ),
        (managed(None), "refresh-machine"),
    ] {
        let options = AzureOptions {
            authority: url(&server, ""),
            identity,
        };
        let registry = url(&server, "/");
        let issued = azure::ask_at(&http(), &options, "team.azurecr.io", &registry)
            .await
            .unwrap();
        let expected = Credential::IdentityToken {
            username: "00000000-0000-0000-0000-000000000000".to_owned(),
            token: crate::http::Token::new(expected),
        };
        assert_eq!(issued.credential, expected);
        let exchange = server.seen().pop().unwrap();
        assert_eq!(field(&exchange, "service"), "team.azurecr.io");
        let shown = format!("{options:?} {issued:?}");
        for secret in ["\"secret\"", "proof", "refresh-"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
