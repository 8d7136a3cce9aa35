//! `--annotation`, and the annotations of `--output`: what they are about, from words to meaning.
//!
//! The words are buildx's: `KEY=VALUE`, or `TYPE[,TYPE…][PLATFORM]:KEY=VALUE`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::image::Platform;

/// What an annotation is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Manifest,
    ManifestDescriptor,
    Index,
    IndexDescriptor,
}

impl Target {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "manifest" => Self::Manifest,
            "manifest-descriptor" => Self::ManifestDescriptor,
            "index" => Self::Index,
            "index-descriptor" => Self::IndexDescriptor,
            _ => return None,
        })
    }

    /// Fails for what an image of one platform does not have.
    fn check(self) -> Result<()> {
        match self {
            Self::Manifest => Ok(()),
            Self::ManifestDescriptor | Self::Index | Self::IndexDescriptor => {
                bail!(
                    "not supported here: only the manifest can be annotated; `executor index` annotates an index"
                )
            }
        }
    }
}

/// Reads each `--annotation`. A later one replaces an earlier one of the same key.
pub(super) fn annotations(
    arguments: &[String],
    platforms: &[Platform],
) -> Result<BTreeMap<String, String>> {
    let mut annotations = BTreeMap::new();
    for argument in arguments {
        let (key, value) = argument
            .split_once('=')
            .with_context(|| format!("--annotation is `{argument}`, expected KEY=VALUE"))?;
        let key = key_of(key, platforms)
            .with_context(|| format!("cannot use `--annotation {argument}`"))?;
        annotations.insert(key, value.to_owned());
    }
    Ok(annotations)
}

/// Returns the key of an annotation of the manifest, after what stands before it was checked.
fn key_of(text: &str, platforms: &[Platform]) -> Result<String> {
    let Some((prefix, key)) = split_prefix(text) else {
        return checked_key(text);
    };
    let (types, wanted) = match prefix.split_once('[') {
        Some((types, wanted)) => (types, Some(wanted.trim_end_matches(']'))),
        None => (prefix, None),
    };
    for word in types.split(',') {
        let target = Target::parse(word);
        let target = target.with_context(|| format!("unknown type `{word}` of annotation"))?;
        target.check()?;
    }
    check_platform(wanted, platforms)?;
    checked_key(key)
}

/// Splits off what stands before a colon, if it has the form of types: letters and hyphens, separated by
/// commas. Other keys may have a colon themselves.
fn split_prefix(text: &str) -> Option<(&str, &str)> {
    let is_type = |c: char| c.is_ascii_lowercase() || c == '-' || c == ',';
    let end = text.find(|c| !is_type(c))?;
    match text[end..].chars().next()? {
        ':' if end > 0 => Some((&text[..end], &text[end + 1..])),
        '[' => {
            let close = text.find("]:")?;
            Some((&text[..=close], &text[close + 2..]))
        }
        _ => None,
    }
}

/// Reads the annotations that stand in an `--output`: `annotation[-TYPE][PLATFORM].KEY`. `None` for another
/// key.
pub(super) fn output_annotation(name: &str, platforms: &[Platform]) -> Option<Result<String>> {
    let rest = name.strip_prefix("annotation")?;
    let (target, rest) = match rest.strip_prefix('-') {
        None => (Target::Manifest, rest),
        Some(rest) => {
            let end = rest.find(['.', '['])?;
            (Target::parse(&rest[..end])?, &rest[end..])
        }
    };
    let (wanted, key) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (wanted, key) = rest.split_once("].")?;
            (Some(wanted), key)
        }
        None => (None, rest.strip_prefix('.')?),
    };
    let checked = target.check();
    let checked = checked.and_then(|()| check_platform(wanted, platforms));
    Some(checked.and_then(|()| checked_key(key)))
}

fn check_platform(wanted: Option<&str>, platforms: &[Platform]) -> Result<()> {
    let Some(text) = wanted else {
        return Ok(());
    };
    let wanted = Platform::parse(text)
        .with_context(|| format!("the annotation is for `{text}`"))?
        .normalised();
    match platforms {
        [only] if *only == wanted => Ok(()),
        [only] => bail!("the annotation is for {wanted}, and the image for {only}"),
        _ => bail!("not yet supported: an annotation for one of several platforms"),
    }
}

fn checked_key(key: &str) -> Result<String> {
    if key.is_empty() || key.contains(char::is_whitespace) {
        bail!("`{key}` is no key of an annotation");
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>> {
        annotations(&[text.to_owned()], &[Platform::new("linux", "amd64")])
    }

    #[test]
    fn annotations_are_of_the_manifest() {
        let cases = [
            ("a=b=c", "a", "b=c"),
            ("a=", "a", ""),
            ("org.example.x:y=1", "org.example.x:y", "1"),
            ("manifest:a=b", "a", "b"),
            ("manifest[linux/amd64]:a=b", "a", "b"),
        ];
        for (text, key, value) in cases {
            let expected = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let both = ["a=1", "a=2"].map(str::to_owned);
        let both = annotations(&both, &[Platform::host()]).unwrap();
        assert_eq!(both["a"], "2");
    }

    #[test]
    fn what_cannot_be_annotated_is_refused_by_name() {
        for text in [
            "a",
            "=b",
            "index:a=b",
            "manifest,index:a=b",
            "index-descriptor:a=b",
            "manifest-descriptor[linux/amd64]:a=b",
            "image:a=b",
            "manifest[linux/arm64]:a=b",
            "manifest[x/y/z/w]:a=b",
            "manifest:=b",
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn those_of_an_output_are_told_from_other_keys() {
        let platforms = [Platform::new("linux", "amd64")];
        let read = |name: &str| output_annotation(name, &platforms);
        assert_eq!(read("annotation.a.b").unwrap().unwrap(), "a.b");
        assert_eq!(read("annotation-manifest.a").unwrap().unwrap(), "a");
        assert_eq!(read("annotation[linux/amd64].a").unwrap().unwrap(), "a");
        assert!(read("annotation-index.a").unwrap().is_err());
        assert!(read("annotation[linux/arm64].a").unwrap().is_err());
        assert!(read("annotation.").unwrap().is_err());
        for other in ["annotation", "annotations.a", "annotation-image.a", "name"] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
