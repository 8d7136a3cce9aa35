//! What is pushed where, from words to meaning.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::image::Reference;
use crate::output::{DeliveryOptions, PushRules};

use super::environment::absolute;
use super::flags::{DigestFileFlags, PushCommandFlags, PushFlags};

/// Checks the references to push to.
pub(super) fn destinations(texts: &[String]) -> Result<Vec<Reference>> {
    let parse = |text: &String| {
        let reference =
            Reference::parse(text).with_context(|| format!("--destination is `{text}`"))?;
        if reference.digest().is_some() {
            bail!("--destination is `{text}`: an image is pushed to a tag, not to a digest");
        }
        Ok(reference)
    };
    texts.iter().map(parse).collect()
}

/// Returns how pushes go.
pub(super) fn push_rules(flags: &PushFlags) -> PushRules {
    PushRules {
        retries: flags.push_retry,
        ignores_immutable_tags: flags.push_ignore_immutable_tag_errors,
    }
}

/// Returns the file that a flag names; an empty value is an unset one: scripts write `--tar-path=$TAR`.
pub(super) fn file(path: &Option<PathBuf>, current_dir: &Path) -> Option<PathBuf> {
    let path = path.as_deref().filter(|path| !path.as_os_str().is_empty());
    path.map(|path| absolute(path, current_dir))
}

/// Adds the files that say what was pushed.
pub(super) fn with_digest_files(
    options: DeliveryOptions,
    flags: &DigestFileFlags,
    current_dir: &Path,
) -> DeliveryOptions {
    let file = |path| file(path, current_dir);
    DeliveryOptions {
        digest_file: file(&flags.digest_file),
        name_with_digest_file: file(&flags.image_name_with_digest_file),
        name_tag_with_digest_file: file(&flags.image_name_tag_with_digest_file),
        ..options
    }
}

/// Checks the flags of `executor push`.
pub(super) fn push_command_options(
    flags: &PushCommandFlags,
    current_dir: &Path,
) -> Result<DeliveryOptions> {
    if flags.destination.is_empty() {
        bail!("you must provide --destination");
    }
    let options = DeliveryOptions {
        destinations: destinations(&flags.destination)?,
        push: true,
        push_rules: push_rules(&flags.push),
        ..DeliveryOptions::default()
    };
    Ok(with_digest_files(options, &flags.digest_files, current_dir))
}

#[cfg(test)]
mod tests {
    use super::super::flags::{ExecutorCommand, ExecutorFlags, RegistryFlags};
    use super::super::registry_options::registry_options;
    use super::*;
    use clap::Parser;

    fn shown(flags: &RegistryFlags) -> String {
        format!("{:?}", registry_options(flags, Path::new("/job")).unwrap())
    }

    #[test]
    fn registries_are_spoken_to_as_by_a_build() {
        let build = |words: &[&str]| {
            let words = ["executor"].iter().chain(words);
            shown(&ExecutorFlags::try_parse_from(words).unwrap().registry)
        };
        let push = |words: &[&str]| {
            let words = ["executor", "push", "image.tar"].iter().chain(words);
            let flags = ExecutorFlags::try_parse_from(words).unwrap();
            let Some(ExecutorCommand::Push(flags)) = flags.command else {
                panic!("another command");
            };
            shown(&flags.registry)
        };
        for word in [
            "--insecure",
            "--insecure-pull",
            "--insecure-registry=h:5000",
            "--skip-tls-verify",
            "--skip-tls-verify-pull",
            "--skip-tls-verify-registry=h:5000",
            "--registry-certificate=h=c.pem",
            "--registry-client-cert=h=c.pem,k.pem",
            "--registry-map=a=b;c=d",
            "--registry-mirror=m",
            "--skip-default-registry-fallback",
            "--credential-helpers=env",
        ] {
            assert_eq!(push(&[word]), build(&[word]), "{word}");
            assert_ne!(push(&[word]), push(&[]), "{word}");
        }
    }
}
