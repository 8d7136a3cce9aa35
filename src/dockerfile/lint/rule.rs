//! The rules by their names, and what each is about. Nothing here looks at a Dockerfile.

/// A rule of BuildKit's linter (BuildKit frontend, lint rules of dockerfile/1.26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// All instructions are written in one letter case.
    ConsistentInstructionCasing,
    /// COPY and ADD name nothing that the ignore file excludes.
    CopyIgnoredFile,
    /// No two stages have one name.
    DuplicateStageName,
    /// EXPOSE names ports of the container, and nothing of the host.
    ExposeInvalidFormat,
    /// EXPOSE has its protocol in lower case.
    ExposeProtoCasing,
    /// `AS` is written as its `FROM` is.
    FromAsCasing,
    /// `FROM --platform` is no fixed platform.
    FromPlatformFlagConstDisallowed,
    /// A base image is for the platform that was asked for.
    InvalidBaseImagePlatform,
    /// FROM names an image also without `--build-arg`.
    InvalidDefaultArgInFrom,
    /// A comment on a stage or argument begins with its name.
    InvalidDefinitionDescription,
    /// CMD and ENTRYPOINT are JSON arrays.
    JSONArgsRecommended,
    /// ENV and LABEL have a `=`.
    LegacyKeyValueFormat,
    /// MAINTAINER is a label today.
    MaintainerDeprecated,
    /// Only the last CMD, ENTRYPOINT or HEALTHCHECK of a stage counts.
    MultipleInstructionsDisallowed,
    /// Continued lines have no blank ones between them.
    NoEmptyContinuation,
    /// `--platform=$TARGETPLATFORM` is the default.
    RedundantTargetPlatform,
    /// No stage is called like something that is there anyway.
    ReservedStageName,
    /// ARG and ENV hold no secrets.
    SecretsUsedInArgOrEnv,
    /// Names of stages are in lower case.
    StageNameCasing,
    /// FROM uses arguments that are declared.
    UndefinedArgInFrom,
    /// Variables are defined before they are used.
    UndefinedVar,
    /// The first WORKDIR is absolute.
    WorkdirRelativePath,
}

impl Rule {
    /// Every rule, in alphabetical order.
    pub const ALL: [Self; 22] = [
        Self::ConsistentInstructionCasing,
        Self::CopyIgnoredFile,
        Self::DuplicateStageName,
        Self::ExposeInvalidFormat,
        Self::ExposeProtoCasing,
        Self::FromAsCasing,
        Self::FromPlatformFlagConstDisallowed,
        Self::InvalidBaseImagePlatform,
        Self::InvalidDefaultArgInFrom,
        Self::InvalidDefinitionDescription,
        Self::JSONArgsRecommended,
        Self::LegacyKeyValueFormat,
        Self::MaintainerDeprecated,
        Self::MultipleInstructionsDisallowed,
        Self::NoEmptyContinuation,
        Self::RedundantTargetPlatform,
        Self::ReservedStageName,
        Self::SecretsUsedInArgOrEnv,
        Self::StageNameCasing,
        Self::UndefinedArgInFrom,
        Self::UndefinedVar,
        Self::WorkdirRelativePath,
    ];

    /// Says whether what a base image defines may be what makes it right.
    pub fn asks_base_images(self) -> bool {
        match self {
            Self::JSONArgsRecommended | Self::UndefinedVar | Self::InvalidBaseImagePlatform => true,
            Self::ConsistentInstructionCasing
            | Self::CopyIgnoredFile
            | Self::DuplicateStageName
            | Self::ExposeInvalidFormat
            | Self::ExposeProtoCasing
            | Self::FromAsCasing
            | Self::FromPlatformFlagConstDisallowed
            | Self::InvalidDefaultArgInFrom
            | Self::InvalidDefinitionDescription
            | Self::LegacyKeyValueFormat
            | Self::MaintainerDeprecated
            | Self::MultipleInstructionsDisallowed
            | Self::NoEmptyContinuation
            | Self::RedundantTargetPlatform
            | Self::ReservedStageName
            | Self::SecretsUsedInArgOrEnv
            | Self::StageNameCasing
            | Self::UndefinedArgInFrom
            | Self::WorkdirRelativePath => false,
        }
    }

    /// Returns the name, as `# check=skip=` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsistentInstructionCasing => "ConsistentInstructionCasing",
            Self::CopyIgnoredFile => "CopyIgnoredFile",
            Self::DuplicateStageName => "DuplicateStageName",
            Self::ExposeInvalidFormat => "ExposeInvalidFormat",
            Self::ExposeProtoCasing => "ExposeProtoCasing",
            Self::FromAsCasing => "FromAsCasing",
            Self::FromPlatformFlagConstDisallowed => "FromPlatformFlagConstDisallowed",
            Self::InvalidBaseImagePlatform => "InvalidBaseImagePlatform",
            Self::InvalidDefaultArgInFrom => "InvalidDefaultArgInFrom",
            Self::InvalidDefinitionDescription => "InvalidDefinitionDescription",
            Self::JSONArgsRecommended => "JSONArgsRecommended",
            Self::LegacyKeyValueFormat => "LegacyKeyValueFormat",
            Self::MaintainerDeprecated => "MaintainerDeprecated",
            Self::MultipleInstructionsDisallowed => "MultipleInstructionsDisallowed",
            Self::NoEmptyContinuation => "NoEmptyContinuation",
            Self::RedundantTargetPlatform => "RedundantTargetPlatform",
            Self::ReservedStageName => "ReservedStageName",
            Self::SecretsUsedInArgOrEnv => "SecretsUsedInArgOrEnv",
            Self::StageNameCasing => "StageNameCasing",
            Self::UndefinedArgInFrom => "UndefinedArgInFrom",
            Self::UndefinedVar => "UndefinedVar",
            Self::WorkdirRelativePath => "WorkdirRelativePath",
        }
    }

    /// Returns what the rule asks for, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::ConsistentInstructionCasing => {
                "Write all instructions of a file in the same letter case"
            }
            Self::CopyIgnoredFile => "Do not copy what the ignore file keeps out of the context",
            Self::DuplicateStageName => "Give every stage a name of its own",
            Self::ExposeInvalidFormat => {
                "Expose ports of the container, without an address or port of the host"
            }
            Self::ExposeProtoCasing => "Write the protocol in EXPOSE in lower case",
            Self::FromAsCasing => "Write AS in the letter case of its FROM",
            Self::FromPlatformFlagConstDisallowed => {
                "Do not write a fixed platform in FROM: the one that is asked for has no effect then"
            }
            Self::InvalidBaseImagePlatform => {
                "Start from an image for the platform that is asked for"
            }
            Self::InvalidDefaultArgInFrom => {
                "Give the arguments in FROM defaults that make an image's name"
            }
            Self::InvalidDefinitionDescription => {
                "Begin the comment on a stage or an argument with its name"
            }
            Self::JSONArgsRecommended => {
                "Write CMD and ENTRYPOINT as JSON arrays: a shell in between keeps signals from the program"
            }
            Self::LegacyKeyValueFormat => "Write name=value in ENV and LABEL",
            Self::MaintainerDeprecated => {
                "Name the author in the label org.opencontainers.image.authors"
            }
            Self::MultipleInstructionsDisallowed => {
                "Write CMD, ENTRYPOINT and HEALTHCHECK once in a stage: only the last one counts"
            }
            Self::NoEmptyContinuation => {
                "Leave no blank line in a continued instruction: later versions will refuse it"
            }
            Self::RedundantTargetPlatform => {
                "Leave out --platform=$TARGETPLATFORM: it is the default"
            }
            Self::ReservedStageName => "Do not call a stage by a name that means something else",
            Self::SecretsUsedInArgOrEnv => {
                "Give secrets to RUN --mount=type=secret: ARG and ENV stay readable in the image"
            }
            Self::StageNameCasing => "Write names of stages in lower case",
            Self::UndefinedArgInFrom => "Declare the arguments in FROM above the first FROM",
            Self::UndefinedVar => "Define variables before they are used",
            Self::WorkdirRelativePath => {
                "Make the first WORKDIR absolute: a relative one depends on the base image"
            }
        }
    }

    /// Returns where Docker describes the rule; `None` for the one that has no page.
    #[must_use]
    pub fn url(self) -> Option<String> {
        let page = kebab_case(self.name());
        (self != Self::InvalidBaseImagePlatform)
            .then(|| format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
    }

    /// Says whether the rule applies only where `experimental=` asks for it.
    #[must_use]
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }
}

/// Turns `JSONArgsRecommended` into `json-args-recommended`.
fn kebab_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let follows_lower = at > 0 && letters[at - 1].is_lowercase();
        let leads_lower = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (follows_lower || leads_lower) {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_called_like_their_rules() {
        let page = "https://docs.docker.com/go/dockerfile/rule";
        for (rule, name) in [
            (Rule::JSONArgsRecommended, "json-args-recommended"),
            (Rule::SecretsUsedInArgOrEnv, "secrets-used-in-arg-or-env"),
            (Rule::UndefinedVar, "undefined-var"),
        ] {
            assert_eq!(rule.url(), Some(format!("{page}/{name}/")));
        }
        assert_eq!(Rule::InvalidBaseImagePlatform.url(), None);
    }

    #[test]
    fn every_rule_is_listed_once_in_the_order_of_names() {
        let names = Rule::ALL.map(Rule::name);
        assert!(names.is_sorted());
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
