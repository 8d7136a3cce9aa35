//! `--custom-platform`: from words to platforms.

use anyhow::{Context, Result};

use crate::image::Platform;

/// Reads platforms: each once, in the order given, as buildx does. An empty word is none: scripts write
/// `--platform=$PLATFORM`.
pub(super) fn platforms(words: &[String]) -> Result<Vec<Platform>> {
    let mut platforms = Vec::new();
    for word in words.iter().map(|word| word.trim()) {
        if word.is_empty() {
            continue;
        }
        let platform = Platform::parse(word);
        let platform = platform.with_context(|| format!("--custom-platform is `{word}`"))?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// Returns the machine's platform where none was asked for.
pub(super) fn or_host(platforms: Vec<Platform>) -> Vec<Platform> {
    match platforms.is_empty() {
        true => vec![Platform::host()],
        false => platforms,
    }
}

/// Reads one platform; the machine's where none was asked for.
pub(super) fn one_or_host(word: Option<&str>) -> Result<Platform> {
    let words: Vec<String> = word.map(str::to_owned).into_iter().collect();
    Ok(platforms(&words)?.pop().unwrap_or_else(Platform::host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let platforms = platforms(&words).unwrap();
        platforms.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_platform_counts_once_by_whatever_name() {
        let found = names(&[
            "linux/arm64/v8",
            " linux/x86_64",
            "linux/arm64",
            "",
            "linux/amd64",
        ]);
        assert_eq!(found, ["linux/arm64", "linux/amd64"]);
        assert_eq!(or_host(Vec::new()), [Platform::host()]);
        assert!(platforms(&["linux/".to_owned()]).is_err());
    }
}
