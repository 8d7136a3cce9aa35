//! What a registry wants people to know (distribution-spec "Warnings"): each text is for showing once, and changes nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{HeaderMap, HeaderName};

use super::error::Untrusted;

const WARNING: HeaderName = HeaderName::from_static("warning");

/// More different warnings than this are a registry's mistake.
const MAX_WARNINGS: usize = 20;

/// The warnings of one registry.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    told: Mutex<BTreeSet<String>>,
}

impl Warnings {
    /// Returns the warnings of an answer that no answer before had, ready to be shown.
    pub(super) fn news(&self, headers: &HeaderMap) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let values = headers.get_all(&WARNING).iter();
        let texts = values
            .filter_map(|value| value.to_str().ok())
            .filter_map(text);
        texts
            .filter(|text| told.len() < MAX_WARNINGS && told.insert((*text).to_owned()))
            .map(|text| Untrusted(text).to_string())
            .collect()
    }
}

/// Returns what stands between the quotes of `299 - "text"`. The code and the agent are fixed; a date has no place there.
fn text(value: &str) -> Option<&str> {
    let text = value.strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(texts: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WARNING, HeaderValue::from_str(text).unwrap());
        }
        headers
    }

    #[test]
    fn each_warning_is_news_once() {
        let warnings = Warnings::default();
        let both = headers(&[r#"299 - "old tags go""#, r#"299 - "read only soon""#]);
        assert_eq!(warnings.news(&both), ["old tags go", "read only soon"]);
        assert!(warnings.news(&both).is_empty());
        let third = headers(&[r#"299 - "old tags go""#, r#"299 - "moved""#]);
        assert_eq!(warnings.news(&third), ["moved"]);
    }

    #[test]
    fn other_warnings_and_too_many_are_not_shown() {
        let warnings = Warnings::default();
        let others = headers(&[r#"199 - "x""#, r#"299 me "x""#, "299 - x", r#"299 - """#]);
        assert!(warnings.news(&others).is_empty());
        let many: Vec<String> = (0..30)
            .map(|number| format!("299 - \"{number}\""))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(warnings.news(&headers(&many)).len(), MAX_WARNINGS);
    }
}
