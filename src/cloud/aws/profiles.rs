//! The shared files of Amazon's tools, `credentials` and `config` (AWS SDKs and Tools Reference Guide, "Shared config and
//! credentials files"); kaniko's documentation mounts them at `/root/.aws`. This module reads them; it must not know what
//! follows from what they say.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::AwsKeys;
use crate::cloud::exchange::CloudError;
use crate::http::{Password, Token};

/// The profile where none is named.
const DEFAULT: &str = "default";

/// Which profile counts, and where it is.
#[derive(Clone, Debug, Default)]
pub struct ProfilePlaces {
    /// `AWS_PROFILE`.
    pub name: Option<String>,
    /// `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`.
    pub credentials: Option<ProfileFile>,
    /// `AWS_CONFIG_FILE`, or `~/.aws/config`.
    pub config: Option<ProfileFile>,
}

/// One of the files, which may be missing.
#[derive(Clone, Debug)]
pub struct ProfileFile {
    /// The file.
    pub path: PathBuf,
    /// Whether somebody named it: otherwise one that may not be read is somebody else's.
    pub is_named: bool,
}

impl ProfilePlaces {
    pub(super) fn chosen(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT)
    }

    /// Returns the name that was asked for; `None` where the default one counts.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the files' names, for a message.
    pub(super) fn shown(&self) -> String {
        let files = [&self.credentials, &self.config].into_iter().flatten();
        let names: Vec<String> = files
            .map(|file| format!("`{}`", file.path.display()))
            .collect();
        names.join(" and ")
    }
}

/// What is in a section. Some of it is secret.
type Section = BTreeMap<String, String>;

/// The profiles of both files by their names. Not to be printed.
pub(super) struct Profiles {
    credentials: BTreeMap<String, Section>,
    config: BTreeMap<String, Section>,
}

/// One profile in both files.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    pub(super) name: &'a str,
    credentials: Option<&'a Section>,
    config: Option<&'a Section>,
}

impl Profiles {
    pub(super) async fn read(places: &ProfilePlaces) -> Result<Self, CloudError> {
        Ok(Self::parse(
            &text(places.credentials.as_ref()).await?,
            &text(places.config.as_ref()).await?,
        ))
    }

    pub(super) fn parse(credentials: &str, config: &str) -> Self {
        let in_config = |title: &str| match title.strip_prefix("profile") {
            Some(rest) if rest.starts_with([' ', '\t']) => Some(unquoted(rest).to_owned()),
            // Sections of other kinds, such as `sso-session`, and names that the tools ignore.
            Some(_) | None => (title == DEFAULT).then(|| title.to_owned()),
        };
        Self {
            credentials: sections(credentials, |title| {
                Some(in_config(title).unwrap_or_else(|| unquoted(title).to_owned()))
            }),
            config: sections(config, in_config),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Profile<'_>> {
        let credentials = self.credentials.get_key_value(name);
        let config = self.config.get_key_value(name);
        let (name, _) = credentials.or(config)?;
        Some(Profile {
            name,
            credentials: credentials.map(|(_, section)| section),
            config: config.map(|(_, section)| section),
        })
    }
}

impl Profile<'_> {
    /// Returns what the profile says of something; the file of credentials comes first.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let mut files = [self.credentials, self.config].into_iter().flatten();
        files.find_map(|section| section.get(key).cloned())
    }

    /// Returns the keys in it, all of one file: a token goes with its own key. Half of them is an error.
    pub(super) fn keys(&self) -> Result<Option<AwsKeys>, CloudError> {
        let (id, secret) = ("aws_access_key_id", "aws_secret_access_key");
        for section in [self.credentials, self.config].into_iter().flatten() {
            match (section.get(id), section.get(secret)) {
                (Some(id), Some(secret)) => {
                    let token = section.get("aws_session_token");
                    return Ok(Some(AwsKeys {
                        id: id.clone(),
                        secret: Password::new(secret),
                        session_token: token.map(Token::new),
                    }));
                }
                (Some(_), None) => return Err(self.unusable(&lonely(id, secret))),
                (None, Some(_)) => return Err(self.unusable(&lonely(secret, id))),
                (None, None) => {}
            }
        }
        Ok(None)
    }

    pub(super) fn unusable(&self, problem: &str) -> CloudError {
        CloudError::Unusable(format!("profile `{}`: {problem}", self.name))
    }
}

fn lonely(has: &str, lacks: &str) -> String {
    format!("`{has}` is nothing without `{lacks}`")
}

async fn text(file: Option<&ProfileFile>) -> Result<String, CloudError> {
    let Some(file) = file else {
        return Ok(String::new());
    };
    match tokio::fs::read_to_string(&file.path).await {
        Ok(text) => Ok(text),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(String::new()),
            ErrorKind::PermissionDenied if !file.is_named => Ok(String::new()),
            _ => Err(CloudError::File {
                path: file.path.clone(),
                cause: error,
            }),
        },
    }
}

/// Reads sections whose titles `name` knows. What is said later counts. Values are never empty.
fn sections(text: &str, name: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Section> {
    let mut found: BTreeMap<String, Section> = BTreeMap::new();
    let mut current = None;
    // How far the last setting is indented that has no value: what is further in is a setting of its own.
    let mut group = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = without_comment(line);
        if let Some(title) = line.strip_prefix('[') {
            let title = title.split(']').next().unwrap_or_default();
            current = name(title.trim());
            group = None;
            if let Some(name) = &current {
                found.entry(name.clone()).or_default();
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        if group.is_some_and(|outer| indent > outer) {
            continue;
        }
        group = value.trim().is_empty().then_some(indent);
        let section = current.as_ref().and_then(|name| found.get_mut(name));
        if let (Some(section), None) = (section, group) {
            section.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

/// A comment begins a line, or has a blank before it: keys may hold these characters.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return "";
    }
    let comments = [" #", " ;", "\t#", "\t;"];
    let end = comments.iter().filter_map(|start| line.find(start)).min();
    line[..end.unwrap_or(line.len())].trim_end()
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = a\naws_secret_access_key=b=c#d\n\
        [ci]\n# aws_access_key_id = no\n  AWS_Access_Key_Id=d\n  aws_secret_access_key=e ; mine\n  aws_session_token=f\n\
        [half]\naws_access_key_id=g\n[empty]\n";
    const CONFIG: &str = "[default]\nregion=r\n[profile \"ci\"]\nregion = s # here\naws_session_token=other\n\
        s3 =\n  region = nested\n  endpoint_url = nested\noutput=json\n[ci]\nregion=wrong\n[sso-session ci]\nregion=t\n\
        [profile\tdefault]\noutput = text\n";

    #[test]
    fn a_profile_is_read_from_both_files() {
        let profiles = Profiles::parse(CREDENTIALS, CONFIG);
        let default = profiles.get("default").unwrap();
        let keys = default.keys().unwrap().unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("a", "b=c#d"));
        assert_eq!(keys.token(), None);
        assert_eq!(default.text("region").as_deref(), Some("r"));
        assert_eq!(default.text("output").as_deref(), Some("text"));
        let ci = profiles.get("ci").unwrap();
        let keys = ci.keys().unwrap().unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("d", "e"));
        assert_eq!(keys.token(), Some("f"));
        assert_eq!(ci.text("region").as_deref(), Some("s"));
        assert_eq!(ci.text("output").as_deref(), Some("json"));
        assert_eq!(ci.text("endpoint_url"), None);
        assert!(profiles.get("none").is_none());
        assert!(profiles.get("empty").unwrap().keys().unwrap().is_none());
    }

    #[test]
    fn half_a_pair_of_keys_is_named() {
        let profiles = Profiles::parse(CREDENTIALS, CONFIG);
        let error = profiles.get("half").unwrap().keys().unwrap_err();
        assert_eq!(
            error.to_string(),
            "profile `half`: `aws_access_key_id` is nothing without `aws_secret_access_key`"
        );
    }
}
