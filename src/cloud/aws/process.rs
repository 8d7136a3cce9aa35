//! A program that prints keys (AWS SDKs and Tools Reference Guide, "Process credential provider"). This module runs it. Of
//! its arguments and of what it says nothing is shown: there may be secrets in them.

use std::time::Duration;

use serde::Deserialize;

use super::{AwsGrant, AwsKeys};
use crate::cloud::AskedProgram;
use crate::cloud::exchange::CloudError;
use crate::http::{Password, Token};

/// Such programs ask servers and key rings; one that waits for a person must not hold up a build for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Keys are a few KiB.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// The version of the answer that is defined.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Runs the command of a profile.
pub(super) async fn keys(command: &str, profile: &str) -> Result<AwsGrant, CloudError> {
    keys_within(command, profile, TIMEOUT).await
}

async fn keys_within(
    command: &str,
    profile: &str,
    timeout: Duration,
) -> Result<AwsGrant, CloudError> {
    let about = |program: &str, problem: &str| {
        let program = match program {
            "" => String::new(),
            program => format!(" `{program}`"),
        };
        CloudError::Unusable(format!(
            "profile `{profile}`: `credential_process`{program} {problem}"
        ))
    };
    let words = words(command).ok_or_else(|| about("", "has a quote without its end"))?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(about("", "names no program"));
    };
    let failed = |problem: &str| about(program, problem);
    let ran = tokio::time::timeout(timeout, run(program, arguments)).await;
    let ran = ran.map_err(|_| failed(&format!("did not end within {} s", timeout.as_secs())))?;
    let (output, status) = ran.map_err(|error| failed(&format!("cannot be run: {error}")))?;
    if !status.success() {
        return Err(failed(&format!(
            "failed: {status}; run it by hand to see why"
        )));
    }
    // The parser's message is left out: it may quote the answer.
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| failed("printed something else than Version, AccessKeyId, SecretAccessKey"))?;
    if answer.version != VERSION {
        let problem = format!("printed an answer of version {}, not 1", answer.version);
        return Err(failed(&problem));
    }
    answer
        .into_grant()
        .map_err(|_| failed("printed an Expiration that is no time of RFC 3339"))
}

async fn run(
    program: &str,
    arguments: &[String],
) -> std::io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let asked = AskedProgram::start(program, arguments)?;
    asked.converse("", MAX_ANSWER_BYTES).await
}

impl Answer {
    /// Fails where the end of the keys cannot be read: they would be taken for keys without one.
    fn into_grant(self) -> Result<AwsGrant, jiff::Error> {
        let expires = self.expiration.map(|text| text.parse()).transpose()?;
        let keys = AwsKeys {
            id: self.access_key_id,
            secret: Password::new(self.secret_access_key),
            session_token: self.session_token.map(Token::new),
        };
        Ok(AwsGrant {
            expires,
            ..AwsGrant::lasting(keys)
        })
    }
}

/// Splits a command as botocore does: quotes and backslashes as in a shell, and nothing else of one. `None` if a quote has
/// no end.
fn words(command: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = command.chars();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (None, ' ' | '\t') => found.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (Some(open), next) if next == open => quote = None,
            (None, '\\') => word.get_or_insert_default().push(rest.next()?),
            (Some('"'), '\\') => {
                let word = word.get_or_insert_default();
                match rest.next()? {
                    escaped @ ('"' | '\\') => word.push(escaped),
                    other => word.extend(['\\', other]),
                }
            }
            (_, next) => word.get_or_insert_default().push(next),
        }
    }
    found.extend(word);
    quote.is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gives_keys_that_expire() {
        let answer = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"hunter2","SessionToken":"t","Expiration":"2100-01-01T00:00:00Z"}"#;
        let command = format!("printf '{answer}'");
        let grant = keys(&command, "ci").await.unwrap();
        assert_eq!(grant.keys.id, "A");
        assert_eq!(grant.keys.token(), Some("t"));
        assert!(grant.use_until().is_some());
        assert!(!format!("{grant:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_without_arguments_and_answers() {
        for (command, expected) in [
            ("printf '{\"AccessKeyId\":\"hunter2\"}'", "`printf` printed"),
            (
                "printf '{\"Version\":2,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"hunter2\"}'",
                "version 2, not 1",
            ),
            (
                "printf '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"hunter2\",\"Expiration\":\"soon\"}'",
                "an Expiration that is no time",
            ),
            (
                "sh -c 'echo hunter2; echo hunter2 >&2; exit 3'",
                "`sh` failed: exit status: 3",
            ),
            ("/no/such/program hunter2", "cannot be run"),
            ("sh -c 'hunter2", "a quote without its end"),
            ("  ", "names no program"),
        ] {
            let error = keys(command, "ci").await.unwrap_err().to_string();
            assert!(
                error.starts_with("profile `ci`: `credential_process`"),
                "{error}"
            );
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let slow = keys_within("sleep 60", "ci", Duration::from_millis(50)).await;
        let error = slow.unwrap_err().to_string();
        assert!(error.contains("`sleep` did not end within"), "{error}");
    }

    #[test]
    fn a_command_is_split_without_a_shell() {
        for (command, expected) in [
            (
                r#""/a b/c" --x 'y "z"' $HOME"#,
                vec!["/a b/c", "--x", "y \"z\"", "$HOME"],
            ),
            (r#"a\ b "c\"d" '' e""f"#, vec!["a b", "c\"d", "", "ef"]),
            (r#""a\.b\\" c\.d"#, vec![r"a\.b\", "c.d"]),
        ] {
            assert_eq!(words(command).unwrap(), expected);
        }
        assert_eq!(words("a 'b"), None);
    }
}
