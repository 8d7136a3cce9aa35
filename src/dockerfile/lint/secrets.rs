//! Names of ARG and ENV that sound like secrets.

use super::Rule;
use super::findings::Findings;
use crate::dockerfile::Source;

/// Words in a name that tell of a secret.
const SECRETS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "pword",
    "secret",
    "token",
];

/// Words that say it is none: a path, a version, or what may be known.
const HARMLESS: [&str; 3] = ["file", "public", "version"];

pub(super) fn check(keyword: &str, name: &str, source: &Source, findings: &mut Findings<'_>) {
    if sounds_secret(name) {
        let message = format!("{keyword} should hold no secret: `{name}`");
        findings.add(Rule::SecretsUsedInArgOrEnv, source, message);
    }
}

/// Looks at the words between underscores, in any letter case.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRETS) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_word_of_the_name_decides() {
        for name in [
            "TOKEN",
            "GITHUB_TOKEN",
            "db_password_old",
            "Api_Key",
            "AUTH",
            "APIKEY_1",
        ] {
            assert!(sounds_secret(name), "{name}");
        }
        for name in [
            "MONKEY",
            "AUTHOR",
            "TOKENS",
            "PUBLIC_KEY",
            "KEY_FILE",
            "TOKEN_VERSION",
            "X",
        ] {
            assert!(!sounds_secret(name), "{name}");
        }
    }
}
