//! A platform is the kind of machine that an image runs on. This module knows names and their order of
//! preference; it must not know where images come from.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Operating system and CPU, named as Go names them (image-spec, image-index.md "platform").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// CPU, such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Operating system, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// Windows build number. `None` elsewhere.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Windows features such as `win32k`. Empty elsewhere.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Revision of the CPU, such as `v7`. `None` where the architecture's usual one is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlatformError {
    /// Not one to three parts, or an empty part.
    #[error("`{0}` is not a platform: expected `os/architecture` or `os/architecture/variant`")]
    Malformed(String),
    /// A single word that is neither an operating system nor an architecture we know.
    #[error("`{0}` is neither an operating system nor an architecture: expected `os/architecture`")]
    UnknownWord(String),
}

/// The words that may stand alone, as containerd's platforms/database.go lists them.
const KNOWN_OPERATING_SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "linux",
    "macos",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
];
const KNOWN_ARCHITECTURES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
];

impl Platform {
    /// Makes a platform of the two names that everyone has, normalised.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self::with_variant(os, architecture, "")
    }

    /// Parses `os/arch[/variant]`, `os` or `arch`; what is missing is the host's. The result is normalised.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        if !parts.iter().all(is_word) {
            return Err(PlatformError::Malformed(text.to_owned()));
        }
        match parts[..] {
            [word] => Self::from_word(word),
            [os, architecture] => Ok(Self::new(os, architecture)),
            [os, architecture, variant] => Ok(Self::with_variant(os, architecture, variant)),
            _ => Err(PlatformError::Malformed(text.to_owned())),
        }
    }

    /// Returns the platform that this program was built for, normalised.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, host_architecture())
    }

    /// Returns the platform with the names that containerd prefers: `x86_64` is `amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`.
    pub fn normalised(&self) -> Self {
        let variant = self.variant.as_deref().unwrap_or_default();
        Self {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Self::with_variant(&self.os, &self.architecture, variant)
        }
    }

    /// Returns what `--platform` can ask for: the platform, normalised, of any build of Windows.
    pub fn without_os_details(&self) -> Self {
        let variant = self.variant.as_deref().unwrap_or_default();
        Self::with_variant(&self.os, &self.architecture, variant)
    }

    /// Returns how well an image for `offered` serves this platform: 0 is exact, more is an older variant. `None` if it cannot run.
    pub fn preference_of(&self, offered: &Self) -> Option<usize> {
        let (wanted, offered) = (self.normalised(), offered.normalised());
        let is_other_version = wanted.os_version.is_some()
            && offered.os_version.is_some()
            && wanted.os_version != offered.os_version;
        if wanted.os != offered.os || is_other_version {
            return None;
        }
        let cpu = (offered.architecture.as_str(), offered.variant.as_deref());
        wanted
            .runnable_cpus()
            .iter()
            .position(|(architecture, variant)| (architecture.as_str(), variant.as_deref()) == cpu)
    }

    /// Tells whether an index entry is an attestation rather than an image (BuildKit marks them `unknown/unknown`).
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    fn from_word(word: &str) -> Result<Self, PlatformError> {
        let lower = word.to_ascii_lowercase();
        if KNOWN_OPERATING_SYSTEMS.contains(&lower.as_str()) {
            return Ok(Self::new(&lower, host_architecture()));
        }
        let (architecture, _) = normalise_cpu(&lower, "");
        if KNOWN_ARCHITECTURES.contains(&architecture.as_str()) {
            return Ok(Self::new(std::env::consts::OS, &lower));
        }
        Err(PlatformError::UnknownWord(word.to_owned()))
    }

    fn with_variant(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let (architecture, variant) = normalise_cpu(architecture, variant);
        Self {
            architecture,
            os,
            os_version: None,
            os_features: Vec::new(),
            variant,
        }
    }

    /// The CPUs whose programs this one runs, best first, as containerd's `Only` orders them (platforms/compare.go).
    fn runnable_cpus(&self) -> Vec<(String, Option<String>)> {
        let own = (self.architecture.clone(), self.variant.clone());
        let version = self
            .variant
            .as_deref()
            .and_then(|variant| variant.strip_prefix('v')?.parse::<u8>().ok());
        let mut cpus = vec![own];
        match (self.architecture.as_str(), version) {
            ("amd64", Some(version @ 2..=4)) => {
                cpus.extend(
                    (2..version)
                        .rev()
                        .map(|older| ("amd64".to_owned(), Some(format!("v{older}")))),
                );
                cpus.push(("amd64".to_owned(), None));
            }
            ("arm", Some(version @ 6..=8)) => cpus.extend(arm_variants(version - 1)),
            ("arm64", None) => cpus.extend(arm_variants(8)),
            ("arm64", Some(_)) => {
                cpus.push(("arm64".to_owned(), None));
                cpus.extend(arm_variants(8));
            }
            _ => {}
        }
        cpus
    }
}

/// 32-bit ARM from `newest` down to v5, the oldest that containerd still names.
fn arm_variants(newest: u8) -> impl Iterator<Item = (String, Option<String>)> {
    (5..=newest)
        .rev()
        .map(|version| ("arm".to_owned(), Some(format!("v{version}"))))
}

/// As containerd's `normalizeArch` (platforms/database.go).
fn normalise_cpu(architecture: &str, variant: &str) -> (String, Option<String>) {
    let (architecture, variant) = (
        architecture.to_ascii_lowercase(),
        variant.to_ascii_lowercase(),
    );
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", other) => ("arm64", other),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (other, variant) => (other, variant),
    };
    let variant = (!variant.is_empty()).then(|| variant.to_owned());
    (architecture.to_owned(), variant)
}

/// Rust's name of the CPU as Go spells it.
fn host_architecture() -> &'static str {
    let is_little_endian = cfg!(target_endian = "little");
    match std::env::consts::ARCH {
        "x86" => "386",
        "loongarch64" => "loong64",
        "powerpc64" if is_little_endian => "ppc64le",
        "powerpc64" => "ppc64",
        "mips64" if is_little_endian => "mips64le",
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Platform::parse(text).unwrap().to_string()
    }

    #[test]
    fn names_are_normalised_as_containerd_does() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(parsed(text), expected);
        }
    }

    #[test]
    fn a_single_word_is_completed_from_the_host() {
        assert_eq!(
            parsed("linux"),
            Platform::new("linux", host_architecture()).to_string()
        );
        assert_eq!(parsed("s390x"), format!("{}/s390x", std::env::consts::OS));
        let error = Platform::parse("lunix").unwrap_err();
        assert_eq!(error, PlatformError::UnknownWord("lunix".into()));
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in [
            "",
            "/",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "linux/a b",
            "linux/amd64\n",
        ] {
            assert_eq!(
                Platform::parse(text),
                Err(PlatformError::Malformed(text.into()))
            );
        }
    }

    #[test]
    fn older_arm_variants_run_on_newer_cpus_and_not_the_reverse() {
        let v7 = Platform::parse("linux/arm/v7").unwrap();
        let v6 = Platform::parse("linux/arm/v6").unwrap();
        assert_eq!(v7.preference_of(&v7), Some(0));
        assert_eq!(v7.preference_of(&v6), Some(1));
        assert_eq!(v6.preference_of(&v7), None);
        let arm64 = Platform::parse("linux/arm64").unwrap();
        assert_eq!(arm64.preference_of(&v7), Some(2));
        assert_eq!(v7.preference_of(&arm64), None);
    }

    #[test]
    fn amd64_levels_fall_back_to_the_baseline() {
        let v3 = Platform::parse("linux/amd64/v3").unwrap();
        let baseline = Platform::parse("linux/amd64").unwrap();
        assert_eq!(v3.preference_of(&baseline), Some(2));
        assert_eq!(baseline.preference_of(&v3), None);
    }

    #[test]
    fn an_unnormalised_offer_is_understood() {
        let wanted = Platform::parse("linux/arm64").unwrap();
        let offered: Platform =
            serde_json::from_str(r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#)
                .unwrap();
        assert_eq!(wanted.preference_of(&offered), Some(0));
        assert_eq!(
            wanted.preference_of(&Platform::new("windows", "arm64")),
            None
        );
    }

    #[test]
    fn a_windows_version_must_agree_when_both_name_one() {
        let version = |text: &str| Platform {
            os_version: Some(text.into()),
            ..Platform::new("windows", "amd64")
        };
        assert_eq!(
            version("10.0.17763").preference_of(&version("10.0.20348")),
            None
        );
        assert_eq!(
            version("10.0.17763").preference_of(&Platform::new("windows", "amd64")),
            Some(0)
        );
    }
}
