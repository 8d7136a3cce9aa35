//! External credential helpers: programs that are asked for one server's credentials over a pipe
//! (docker-credential-helpers, "get"). This module runs one; it must not choose which.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Credential, CredentialError};
use crate::http::{Password, Token};

/// Helpers ask metadata servers and key rings; one that waits for a terminal must not hold up a build for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Answers are a few KiB; ECR's are the longest.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// What helpers print, with a failing exit status, when they do not know a server.
const NOT_FOUND: &str = "credentials not found";

/// The user name by which a helper says that the secret is a refresh token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper about a server. `None` if it does not know it.
pub(super) async fn get(
    program: &str,
    server: &str,
) -> Result<Option<Credential>, CredentialError> {
    get_within(program, server, TIMEOUT).await
}

pub(super) async fn get_within(
    program: &str,
    server: &str,
    timeout: Duration,
) -> Result<Option<Credential>, CredentialError> {
    let failed = |problem: String| CredentialError::HelperFailed {
        program: program.to_owned(),
        server: server.to_owned(),
        problem,
    };
    let child = start(program)?;
    let (output, is_success) = tokio::time::timeout(timeout, converse(child, server))
        .await
        .map_err(|_| failed(format!("no answer within {} s", timeout.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !is_success {
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        return match text.to_ascii_lowercase().contains(NOT_FOUND) {
            true => Ok(None),
            // Helpers print their errors to standard output; one that prints a secret with an error is not quoted further.
            false => Err(failed(first_line(&text))),
        };
    }
    let answer: Answer =
        serde_json::from_slice(&output).map_err(|_| failed("its answer is not JSON".to_owned()))?;
    Ok(answer.into_credential())
}

fn start(program: &str) -> Result<Child, CredentialError> {
    let started = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    started.map_err(|source| CredentialError::HelperStart {
        program: program.to_owned(),
        source,
    })
}

async fn converse(mut child: Child, server: &str) -> std::io::Result<(Vec<u8>, bool)> {
    if let Some(mut input) = child.stdin.take() {
        // A helper that answers without reading closes its end: its answer counts.
        if let Err(error) = input.write_all(server.as_bytes()).await
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
    }
    let mut output = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(MAX_ANSWER_BYTES).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok((output, status.success()))
}

impl Answer {
    fn into_credential(self) -> Option<Credential> {
        if self.secret.is_empty() {
            return None;
        }
        if self.username == TOKEN_USER {
            return Some(Credential::IdentityToken {
                username: String::new(),
                token: Token::new(self.secret),
            });
        }
        Some(Credential::Basic {
            username: self.username,
            password: Password::new(self.secret),
        })
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("it says nothing");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}
