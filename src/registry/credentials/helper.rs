//! External credential helpers: programs that are asked for one server's credentials over a pipe
//! (docker-credential-helpers, "get", "store" and "erase"). This module runs one; it must not choose which.

use std::time::Duration;

use serde::Deserialize;

use super::{Credential, CredentialError};
use crate::cloud::AskedProgram;
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
    let (output, is_success) = run(program, "get", server, server, timeout).await?;
    if !is_success {
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        return match text.to_ascii_lowercase().contains(NOT_FOUND) {
            true => Ok(None),
            // What begins like an answer may hold a secret.
            false if text.starts_with('{') => Err(failed(
                program,
                server,
                "it printed an answer and failed".to_owned(),
            )),
            // Helpers print their errors to standard output.
            false => Err(failed(program, server, first_line(&text))),
        };
    }
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| failed(program, server, "its answer is not JSON".to_owned()))?;
    Ok(answer.into_credential())
}

/// Gives a helper something to do for a server.
pub(super) async fn tell(
    program: &str,
    verb: &str,
    server: &str,
    input: &str,
) -> Result<(), CredentialError> {
    match run(program, verb, server, input, TIMEOUT).await? {
        (_, true) => Ok(()),
        (output, false) => {
            let text = String::from_utf8_lossy(&output);
            Err(failed(program, server, first_line(text.trim())))
        }
    }
}

async fn run(
    program: &str,
    verb: &str,
    server: &str,
    input: &str,
    timeout: Duration,
) -> Result<(Vec<u8>, bool), CredentialError> {
    let asked = start(program, verb)?;
    let answer = tokio::time::timeout(timeout, asked.converse(input, MAX_ANSWER_BYTES));
    let (output, status) = answer
        .await
        .map_err(|_| {
            let problem = format!("no answer within {} s", timeout.as_secs());
            failed(program, server, problem)
        })?
        .map_err(|error| failed(program, server, error.to_string()))?;
    Ok((output, status.success()))
}

fn failed(program: &str, server: &str, problem: String) -> CredentialError {
    CredentialError::HelperFailed {
        program: program.to_owned(),
        server: server.to_owned(),
        problem,
    }
}

fn start(program: &str, verb: &str) -> Result<AskedProgram, CredentialError> {
    AskedProgram::start(program, [verb]).map_err(|source| CredentialError::HelperStart {
        program: program.to_owned(),
        source,
    })
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
