//! `--annotation`, and the annotations of `--output`: what they are about, from words to meaning.
//!
//! The words are buildx's: `KEY=VALUE`, or `TYPE[PLATFORM],…:KEY=VALUE` with the platform left out where all are meant.

use anyhow::{Context, Result, bail};

use crate::image::{Annotated, Annotations, Platform};

/// What an annotation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    of: Annotated,
    /// `None` for all.
    platform: Option<Platform>,
}

impl Place {
    fn of(of: Annotated) -> Self {
        let platform = None;
        Self { of, platform }
    }

    /// Reads `TYPE` or `TYPE[PLATFORM]`.
    fn parse(text: &str) -> Result<Self> {
        let (word, platform) = match text.split_once('[') {
            Some((word, rest)) => (word, Some(rest.trim_end_matches(']'))),
            None => (text, None),
        };
        let of = annotated(word).with_context(|| format!("unknown type `{word}` of annotation"))?;
        let platform = platform.map(parse_platform).transpose()?;
        Ok(Self { of, platform })
    }
}

fn annotated(word: &str) -> Option<Annotated> {
    Some(match word {
        "manifest" => Annotated::Manifest,
        "manifest-descriptor" => Annotated::ManifestDescriptor,
        "index" => Annotated::Index,
        "index-descriptor" => Annotated::IndexDescriptor,
        _ => return None,
    })
}

fn parse_platform(text: &str) -> Result<Platform> {
    let platform = Platform::parse(text);
    let platform = platform.with_context(|| format!("the annotation is for `{text}`"))?;
    Ok(platform.normalised())
}

/// Reads each `--annotation`. A later one replaces an earlier one of the same key. Those that do not say what they are
/// about are about `usual`.
pub(super) fn annotations(arguments: &[String], usual: Annotated) -> Result<Annotations> {
    let mut annotations = Annotations::default();
    // An empty value is an unset one: scripts write `--annotation=$ANNOTATION`.
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        let (text, value) = argument
            .split_once('=')
            .with_context(|| format!("--annotation is `{argument}`, expected KEY=VALUE"))?;
        let (places, key) =
            places(text, usual).with_context(|| format!("cannot use `--annotation {argument}`"))?;
        for Place { of, platform } in places {
            annotations.add(of, platform.as_ref(), key, value);
        }
    }
    Ok(annotations)
}

/// Splits off what stands before a colon, if it has the form of types. Other keys may have a colon themselves.
fn places(text: &str, usual: Annotated) -> Result<(Vec<Place>, &str)> {
    match text.split_once(':') {
        Some((types, key)) if types.split(',').all(has_form_of_type) => {
            let places = types.split(',').map(Place::parse);
            Ok((places.collect::<Result<_>>()?, checked_key(key)?))
        }
        Some(_) | None => Ok((vec![Place::of(usual)], checked_key(text)?)),
    }
}

/// Lower-case letters and hyphens, and perhaps brackets with a platform.
fn has_form_of_type(text: &str) -> bool {
    let (word, platform) = match text.split_once('[') {
        Some((word, rest)) => match rest.strip_suffix(']') {
            Some(platform) => (word, platform),
            None => return false,
        },
        None => (text, ""),
    };
    let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_platform = |c: char| c.is_ascii_alphanumeric() || "_/-.".contains(c);
    !word.is_empty() && word.chars().all(is_word) && platform.chars().all(is_platform)
}

/// Reads the annotations that stand in an `--output`: `annotation[-TYPE][PLATFORM].KEY`. `None` for another
/// key.
pub(super) fn output_annotation(name: &str) -> Option<Result<(Place, String)>> {
    let rest = name.strip_prefix("annotation")?;
    let (of, rest) = match rest.strip_prefix('-') {
        None => (Annotated::Manifest, rest),
        Some(rest) => {
            let end = rest.find(['.', '['])?;
            (annotated(&rest[..end])?, &rest[end..])
        }
    };
    let (platform, key) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (platform, key) = rest.split_once("].")?;
            (Some(platform), key)
        }
        None => (None, rest.strip_prefix('.')?),
    };
    let platform = platform.map(parse_platform).transpose();
    let read = platform.and_then(|platform| {
        let key = checked_key(key)?.to_owned();
        Ok((Place { of, platform }, key))
    });
    Some(read)
}

/// Adds what [`output_annotation`] read.
pub(super) fn add(annotations: &mut Annotations, (place, key): &(Place, String), value: &str) {
    annotations.add(place.of, place.platform.as_ref(), key, value);
}

/// Fails for what is said of something that a build does not make.
pub(super) fn check(
    annotations: &Annotations,
    platforms: &[Platform],
    makes_index: bool,
) -> Result<()> {
    for platform in annotations.of_platforms.keys() {
        if !platforms.contains(platform) {
            let built: Vec<String> = platforms.iter().map(Platform::to_string).collect();
            let built = built.join(", ");
            bail!("an annotation is for {platform}, and the build for {built}");
        }
    }
    if annotations.are_of_index() && !makes_index {
        bail!(
            "annotations of an index need one, and this build makes a single image: build for several platforms, \
             or ask for an index with --build-arg BUILDKIT_MULTI_PLATFORM=1"
        );
    }
    Ok(())
}

fn checked_key(key: &str) -> Result<&str> {
    if key.is_empty() || key.contains(char::is_whitespace) {
        bail!("`{key}` is no key of an annotation");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Annotations> {
        annotations(&[text.to_owned()], Annotated::Manifest)
    }

    fn expected(said: &[(Annotated, Option<&str>, &str, &str)]) -> Annotations {
        let mut annotations = Annotations::default();
        for (of, platform, key, value) in said {
            let platform = platform.map(|text| Platform::parse(text).unwrap());
            annotations.add(*of, platform.as_ref(), key, value);
        }
        annotations
    }

    #[test]
    fn each_form_has_its_place() {
        use Annotated::{Index, IndexDescriptor, Manifest, ManifestDescriptor};
        let arm = Some("linux/arm64");
        let cases = [
            ("a=b=c", vec![(Manifest, None, "a", "b=c")]),
            ("a=", vec![(Manifest, None, "a", "")]),
            (
                "org.example.x:y=1",
                vec![(Manifest, None, "org.example.x:y", "1")],
            ),
            ("manifest:a=b", vec![(Manifest, None, "a", "b")]),
            (
                "manifest[linux/arm64/v8]:a=b",
                vec![(Manifest, arm, "a", "b")],
            ),
            ("index:a.b:c=d", vec![(Index, None, "a.b:c", "d")]),
            (
                "manifest-descriptor[linux/arm64],index,index-descriptor:a=b",
                vec![
                    (ManifestDescriptor, arm, "a", "b"),
                    (Index, None, "a", "b"),
                    (IndexDescriptor, None, "a", "b"),
                ],
            ),
        ];
        for (text, said) in cases {
            assert_eq!(read(text).unwrap(), expected(&said), "{text}");
        }
        let twice = ["a=1", "", "a=2"].map(str::to_owned);
        let of_index = annotations(&twice, Index).unwrap();
        assert_eq!(of_index, expected(&[(Index, None, "a", "2")]));
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for text in [
            "a",
            "=b",
            "image:a=b",
            "manifest,image:a=b",
            "manifest[x/y/z/w]:a=b",
            "manifest[]:a=b",
            "manifest:=b",
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_is_not_made_cannot_be_annotated() {
        let built = [Platform::new("linux", "amd64")];
        let said = |text: &str, makes_index| check(&read(text).unwrap(), &built, makes_index);
        for (text, makes_index, part) in [
            ("index:a=b", false, "BUILDKIT_MULTI_PLATFORM=1"),
            ("index-descriptor:a=b", false, "single image"),
            ("manifest[linux/arm64]:a=b", true, "linux/arm64"),
        ] {
            let error = said(text, makes_index).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        said("index:a=b", true).unwrap();
        said("manifest-descriptor[linux/x86_64]:a=b", false).unwrap();
    }

    #[test]
    fn those_of_an_output_are_told_from_other_keys() {
        use Annotated::{Index, Manifest, ManifestDescriptor};
        let place = |of, platform: Option<&str>, key: &str| {
            let platform = platform.map(|text| Platform::parse(text).unwrap());
            (Place { of, platform }, key.to_owned())
        };
        for (name, read) in [
            ("annotation.a.b", place(Manifest, None, "a.b")),
            ("annotation-manifest.a", place(Manifest, None, "a")),
            (
                "annotation[linux/arm/v7].a",
                place(Manifest, Some("linux/arm"), "a"),
            ),
            ("annotation-index.a", place(Index, None, "a")),
            (
                "annotation-manifest-descriptor[linux/arm64].a.b",
                place(ManifestDescriptor, Some("linux/arm64"), "a.b"),
            ),
        ] {
            assert_eq!(output_annotation(name).unwrap().unwrap(), read, "{name}");
        }
        assert!(output_annotation("annotation.").unwrap().is_err());
        assert!(output_annotation("annotation[a/b/c/d].x").unwrap().is_err());
        for other in ["annotation", "annotations.a", "annotation-image.a", "name"] {
            assert!(output_annotation(other).is_none(), "{other}");
        }
    }
}
