//! One `--output`, taken apart: buildx's words, with no meaning beyond what each may say.

use anyhow::{Context, Result, bail};

use crate::dockerfile::csv_fields;

/// The kinds of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputKind {
    Local,
    Tar,
    Oci,
    Docker,
    Image,
    Registry,
    CacheOnly,
}

impl OutputKind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "local" => Self::Local,
            "tar" => Self::Tar,
            "oci" => Self::Oci,
            "docker" => Self::Docker,
            "image" => Self::Image,
            "registry" => Self::Registry,
            "cacheonly" => Self::CacheOnly,
            _ => return None,
        })
    }
}

/// One output, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputSpec {
    pub(super) kind: OutputKind,
    /// Key and value, in their order.
    fields: Vec<(String, String)>,
}

impl OutputSpec {
    /// Reads a directory, `-`, or `type=…[,KEY=VALUE…]`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let fields = csv_fields(text)?;
        let bare = fields.len() == 1 && fields[0] == text && !text.starts_with("type=");
        if bare {
            let kind = match text {
                "-" => OutputKind::Tar,
                _ => OutputKind::Local,
            };
            return Ok(Self {
                kind,
                fields: vec![("dest".to_owned(), text.to_owned())],
            });
        }
        let mut kind = None;
        let mut others = Vec::new();
        for field in &fields {
            let pair = field.split_once('=');
            let (key, value) = pair.with_context(|| format!("`{field}` is not KEY=VALUE"))?;
            // The key of an annotation is the user's own.
            let key = match key.trim() {
                key if key.starts_with("annotation") => key.to_owned(),
                key => key.to_ascii_lowercase(),
            };
            match key.as_str() {
                "type" => {
                    let known = OutputKind::parse(value);
                    kind = Some(known.with_context(|| format!("unknown type `{value}`"))?);
                }
                _ => others.push((key, value.to_owned())),
            }
        }
        Ok(Self {
            kind: kind.context("it has no type")?,
            fields: others,
        })
    }

    /// Takes a value out; of several the last. Empty is unset.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let mut taken = None;
        self.fields.retain(|(name, value)| {
            let is_it = name == key;
            if is_it {
                taken = Some(value.clone());
            }
            !is_it
        });
        taken.filter(|value| !value.is_empty())
    }

    /// Takes a yes or no out.
    pub(super) fn take_bool(&mut self, key: &str) -> Result<Option<bool>> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        let read = super::flags::go_bool(&text).map_err(anyhow::Error::msg);
        read.with_context(|| format!("`{key}` is `{text}`"))
            .map(Some)
    }

    /// Takes out all keys that `wanted` knows, with what it makes of them.
    pub(super) fn take_all<T>(
        &mut self,
        wanted: impl Fn(&str) -> Option<Result<T>>,
    ) -> Result<Vec<(T, String)>> {
        let mut found = Vec::new();
        let mut others = Vec::new();
        for (key, value) in std::mem::take(&mut self.fields) {
            match wanted(&key) {
                Some(known) => found.push((known?, value)),
                None => others.push((key, value)),
            }
        }
        self.fields = others;
        Ok(found)
    }

    /// Fails if anything was not taken: nothing is ignored.
    pub(super) fn finish(self) -> Result<()> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => bail!("not supported: `{key}` in this type of --output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> (OutputKind, Vec<(String, String)>) {
        let spec = OutputSpec::parse(text).unwrap();
        (spec.kind, spec.fields)
    }

    #[test]
    fn each_form_has_its_meaning() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let cases = [
            ("out", OutputKind::Local, vec![pair("dest", "out")]),
            ("a=b", OutputKind::Local, vec![pair("dest", "a=b")]),
            ("-", OutputKind::Tar, vec![pair("dest", "-")]),
            ("type=tar", OutputKind::Tar, vec![]),
            (
                "type=oci,dest=x.tar,Tar=false",
                OutputKind::Oci,
                vec![pair("dest", "x.tar"), pair("tar", "false")],
            ),
            (
                r#"type=image,"name=a:1,b:2",annotation.Key=V"#,
                OutputKind::Image,
                vec![pair("name", "a:1,b:2"), pair("annotation.Key", "V")],
            ),
        ];
        for (text, kind, expected) in cases {
            assert_eq!(fields(text), (kind, expected), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["", "type=", "type=other", "dest=x,tar=false", "type=oci,x"] {
            assert!(OutputSpec::parse(text).is_err(), "{text}");
        }
        let mut spec = OutputSpec::parse("type=oci,tar=no,store=true").unwrap();
        assert!(spec.take_bool("tar").is_err());
        let error = spec.finish().unwrap_err().to_string();
        assert!(error.contains("`store`"), "{error}");
    }
}
