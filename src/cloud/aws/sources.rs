//! How keys come of a profile: where the first are, and which roles are assumed with them (AWS SDKs and Tools Reference
//! Guide, "Assume role credential provider"). What cannot be used is an error that names it. This module asks nobody.

use super::profiles::{Profile, ProfilePlaces, Profiles};
use super::{AwsKeys, WebIdentity};
use crate::cloud::exchange::CloudError;

/// The way to a profile's keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Whose keys they are in the end.
    pub(super) profile: String,
    pub(super) origin: Origin,
    /// The first is assumed with the keys of the origin, each other with those of the one before.
    pub(super) roles: Vec<Role>,
}

/// Where the first keys are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Keys(AwsKeys),
    Process { command: String, profile: String },
    WebIdentity(WebIdentity),
    Environment,
    Container,
    Instance,
}

/// A role that somebody assumes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) seconds: Option<u32>,
}

/// What needs a person who signs in.
const INTERACTIVE: [&str; 4] = [
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "login_session",
];

/// Returns the way to the chosen profile's keys. `None` if there is no profile, or it says nothing of keys; a profile that
/// was asked for by its name must be there.
pub(super) fn route(
    profiles: &Profiles,
    places: &ProfilePlaces,
) -> Result<Option<Route>, CloudError> {
    match profiles.get(places.chosen()) {
        Some(profile) => route_of(profiles, profile),
        None if places.name.is_none() => Ok(None),
        None => Err(CloudError::Unusable(format!(
            "AWS_PROFILE is `{}`, and there is no such profile in {}",
            places.chosen(),
            places.shown()
        ))),
    }
}

fn route_of(profiles: &Profiles, first: Profile<'_>) -> Result<Option<Route>, CloudError> {
    let mut roles = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut profile = first;
    let origin = loop {
        let is_source = !seen.is_empty();
        seen.push(profile.name.to_owned());
        // A source's own keys come before the role that it would have by itself.
        if is_source && let Some(keys) = profile.keys()? {
            break Origin::Keys(keys);
        }
        match step(&profile)? {
            Step::Here(origin) => break origin,
            Step::Nothing if is_source => return Err(profile.unusable("it has no credentials")),
            Step::Nothing => return Ok(None),
            Step::RoleOf(role, origin) => {
                roles.push(role);
                break origin;
            }
            Step::RoleFrom(role, source) => {
                roles.push(role);
                if source == profile.name {
                    let keys = profile.keys()?;
                    let keys = keys.ok_or_else(|| {
                        profile.unusable("`source_profile` is itself, and it has no keys")
                    })?;
                    break Origin::Keys(keys);
                }
                if seen.contains(&source) {
                    return Err(first.unusable("`source_profile` leads back to where it came from"));
                }
                profile = profiles.get(&source).ok_or_else(|| {
                    profile.unusable(&format!(
                        "`source_profile` is `{source}`, and there is no such profile"
                    ))
                })?;
            }
        }
    };
    roles.reverse();
    Ok(Some(Route {
        profile: first.name.to_owned(),
        origin,
        roles,
    }))
}

/// What one profile says.
enum Step {
    Nothing,
    Here(Origin),
    RoleOf(Role, Origin),
    /// With the keys of another profile.
    RoleFrom(Role, String),
}

fn step(profile: &Profile<'_>) -> Result<Step, CloudError> {
    let arn = profile.text("role_arn");
    let source = profile.text("source_profile");
    let place = profile.text("credential_source");
    let token_file = profile.text("web_identity_token_file");
    let place = place.map(|place| origin(profile, &place)).transpose()?;
    let Some(arn) = arn else {
        if token_file.is_some() {
            return Err(profile.unusable("`web_identity_token_file` is nothing without `role_arn`"));
        }
        if source.is_some() {
            return Err(profile.unusable("`source_profile` is nothing without `role_arn`"));
        }
        return without_role(profile, place);
    };
    if profile.text("mfa_serial").is_some() {
        return Err(profile.unusable(
            "`mfa_serial` wants a code that a person reads from a device, and a job has none",
        ));
    }
    let role = role(profile, arn)?;
    match (source, place, token_file) {
        (Some(source), None, None) => Ok(Step::RoleFrom(role, source)),
        (None, Some(origin), None) => Ok(Step::RoleOf(role, origin)),
        (None, None, Some(token_file)) => Ok(Step::Here(Origin::WebIdentity(WebIdentity {
            role: role.arn,
            token_file: token_file.into(),
            session_name: role.session_name,
        }))),
        (None, None, None) => Err(profile.unusable(
            "`role_arn` needs `source_profile`, `credential_source` or `web_identity_token_file` beside it",
        )),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            Err(profile.unusable(
                "only one of `source_profile`, `credential_source` and `web_identity_token_file` can be",
            ))
        }
    }
}

fn without_role(profile: &Profile<'_>, place: Option<Origin>) -> Result<Step, CloudError> {
    if let Some(keys) = profile.keys()? {
        return Ok(Step::Here(Origin::Keys(keys)));
    }
    if let Some(origin) = place {
        return Ok(Step::Here(origin));
    }
    if let Some(key) = INTERACTIVE.iter().find(|key| profile.text(key).is_some()) {
        let name = profile.name;
        return Err(profile.unusable(&format!(
            "`{key}` needs a person who signs in: after `aws sso login`, give the job the variables that `aws configure export-credentials --profile {name} --format env` prints"
        )));
    }
    Ok(match profile.text("credential_process") {
        Some(command) => Step::Here(Origin::Process {
            command,
            profile: profile.name.to_owned(),
        }),
        None => Step::Nothing,
    })
}

fn origin(profile: &Profile<'_>, place: &str) -> Result<Origin, CloudError> {
    match place {
        "Environment" => Ok(Origin::Environment),
        "EcsContainer" => Ok(Origin::Container),
        "Ec2InstanceMetadata" => Ok(Origin::Instance),
        other => Err(profile.unusable(&format!(
            "`credential_source` is `{other}`, expected Environment, EcsContainer or Ec2InstanceMetadata"
        ))),
    }
}

fn role(profile: &Profile<'_>, arn: String) -> Result<Role, CloudError> {
    let seconds = profile.text("duration_seconds");
    let seconds = seconds.map(|text| text.parse()).transpose();
    Ok(Role {
        arn,
        session_name: profile.text("role_session_name"),
        external_id: profile.text("external_id"),
        seconds: seconds.map_err(|_| profile.unusable("`duration_seconds` is not a number"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Password;

    const CREDENTIALS: &str = "[base]\naws_access_key_id=BASE\naws_secret_access_key=hunter2\n\
        [self]\naws_access_key_id=SELF\naws_secret_access_key=hunter2\n";
    const CONFIG: &str = "
        [profile one]
        role_arn = arn:one
        source_profile = two
        role_session_name = job
        external_id = x
        duration_seconds = 900
        [profile two]
        role_arn = arn:two
        source_profile = base
        [profile self]
        role_arn = arn:self
        source_profile = self
        [profile instance]
        role_arn = arn:i
        credential_source = Ec2InstanceMetadata
        [profile program]
        credential_process = /bin/keys --of ci
        [profile federated]
        role_arn = arn:f
        web_identity_token_file = /token
        [profile region-only]
        region = here
        [profile circle]
        role_arn = arn:c
        source_profile = around
        [profile around]
        role_arn = arn:a
        source_profile = circle
        [profile lost]
        role_arn = arn:l
        source_profile = nobody
        [profile poor]
        role_arn = arn:p
        source_profile = region-only
        [profile bare]
        role_arn = arn:b
        [profile both]
        role_arn = arn:b
        source_profile = base
        credential_source = Environment
        [profile odd]
        role_arn = arn:o
        credential_source = Moon
        [profile device]
        role_arn = arn:d
        source_profile = base
        mfa_serial = arn:m
        [profile person]
        sso_session = corp
        sso_account_id = 1
        [profile pointless]
        source_profile = base
        ";

    fn route(name: &str) -> Result<Option<Route>, CloudError> {
        let places = ProfilePlaces {
            name: Some(name.to_owned()),
            ..ProfilePlaces::default()
        };
        super::route(&Profiles::parse(CREDENTIALS, CONFIG), &places)
    }

    fn keys(id: &str) -> Origin {
        Origin::Keys(AwsKeys {
            id: id.to_owned(),
            secret: Password::new("hunter2"),
            session_token: None,
        })
    }

    #[test]
    fn roles_are_assumed_one_with_the_keys_of_the_other() {
        let route = route("one").unwrap().unwrap();
        assert_eq!(route.origin, keys("BASE"));
        let arns: Vec<&str> = route.roles.iter().map(|role| role.arn.as_str()).collect();
        assert_eq!(arns, ["arn:two", "arn:one"]);
        let one = &route.roles[1];
        assert_eq!(
            (one.session_name.as_deref(), one.external_id.as_deref()),
            (Some("job"), Some("x"))
        );
        assert_eq!(one.seconds, Some(900));
        assert!(!format!("{route:?}").contains("hunter2"));
    }

    #[test]
    fn every_kind_of_origin_is_known() {
        let origin = |name: &str| route(name).unwrap().unwrap().origin;
        assert_eq!(origin("base"), keys("BASE"));
        assert_eq!(origin("self"), keys("SELF"));
        assert_eq!(origin("instance"), Origin::Instance);
        assert_eq!(
            origin("program"),
            Origin::Process {
                command: "/bin/keys --of ci".to_owned(),
                profile: "program".to_owned()
            }
        );
        assert_eq!(
            origin("federated"),
            Origin::WebIdentity(WebIdentity {
                role: "arn:f".to_owned(),
                token_file: "/token".into(),
                session_name: None
            })
        );
        assert!(route("federated").unwrap().unwrap().roles.is_empty());
        assert_eq!(route("region-only").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, expected) in [
            ("circle", "leads back"),
            ("lost", "`source_profile` is `nobody`, and there is no such"),
            ("poor", "profile `region-only`: it has no credentials"),
            ("bare", "`role_arn` needs `source_profile`"),
            ("both", "only one of"),
            ("odd", "`credential_source` is `Moon`"),
            ("device", "`mfa_serial` wants a code"),
            ("person", "`sso_session` needs a person"),
            (
                "pointless",
                "`source_profile` is nothing without `role_arn`",
            ),
            (
                "missing",
                "AWS_PROFILE is `missing`, and there is no such profile",
            ),
        ] {
            let error = route(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        let nobody = super::route(&Profiles::parse("", ""), &ProfilePlaces::default());
        assert_eq!(nobody.unwrap(), None);
    }
}
