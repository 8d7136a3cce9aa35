//! The shared files of AWS's tools: `credentials` and `config`, one profile of them (AWS SDKs and Tools Reference Guide,
//! "Shared config and credentials files"). kaniko's documentation mounts them at `/root/.aws`.

use std::fs;
use std::path::PathBuf;

use super::variables::StoreVariables;

/// What a profile says. Empty where there is none.
#[derive(Default, PartialEq, Eq)]
pub(super) struct AwsProfile {
    /// Key and secret.
    pub(super) keys: Option<(String, String)>,
    pub(super) token: Option<String>,
    pub(super) region: Option<String>,
}

impl AwsProfile {
    /// Reads the profile of `AWS_PROFILE`, else `default`. A file that is not there says nothing.
    pub(super) fn read(variables: &StoreVariables) -> Self {
        let name = variables.get("AWS_PROFILE").unwrap_or("default");
        let text = |variable: &str, file: &str| {
            let in_home = || {
                Some(
                    PathBuf::from(variables.get("HOME")?)
                        .join(".aws")
                        .join(file),
                )
            };
            let path = variables.get(variable).map(PathBuf::from).or_else(in_home);
            path.and_then(|path| fs::read_to_string(path).ok())
                .unwrap_or_default()
        };
        let credentials = text("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = text("AWS_CONFIG_FILE", "config");
        Self::of(&credentials, &config, name)
    }

    fn of(credentials: &str, config: &str, name: &str) -> Self {
        let in_config = match name {
            "default" => name.to_owned(),
            name => format!("profile {name}"),
        };
        let value = |key: &str| {
            let first = setting(credentials, name, key);
            first.or_else(|| setting(config, &in_config, key))
        };
        Self {
            keys: value("aws_access_key_id").zip(value("aws_secret_access_key")),
            token: value("aws_session_token"),
            region: value("region"),
        }
    }
}

/// Returns the value of `key` in a section.
fn setting(text: &str, section: &str, key: &str) -> Option<String> {
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            is_inside = name.trim() == section;
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        if is_inside && name.trim().eq_ignore_ascii_case(key) {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_both_files() {
        let credentials = "[default]\naws_access_key_id = a\naws_secret_access_key=b=c\n\
             [ci]\n# aws_access_key_id = no\naws_access_key_id=d\naws_secret_access_key=e\naws_session_token=f\n";
        let config = "[default]\nregion=r\n[profile ci]\nregion = s\n[ci]\nregion=wrong\n";
        let default = AwsProfile::of(credentials, config, "default");
        assert!(default.keys == Some(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(
            (default.token, default.region.as_deref()),
            (None, Some("r"))
        );
        let ci = AwsProfile::of(credentials, config, "ci");
        assert!(ci.keys == Some(("d".to_owned(), "e".to_owned())));
        assert_eq!(
            (ci.token.as_deref(), ci.region.as_deref()),
            (Some("f"), Some("s"))
        );
        assert!(AwsProfile::of(credentials, config, "none") == AwsProfile::default());
    }
}
