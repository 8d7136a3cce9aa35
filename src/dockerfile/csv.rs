//! One record of comma-separated values, as `--mount` and `--device` carry their options.

/// Why a record cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// There is nothing in it.
    #[error("the value is empty")]
    Empty,
    /// A `"` in a field that does not start with one.
    #[error("bare \" in a field that is not quoted")]
    BareQuote,
    /// A quoted field that does not end, or that goes on behind its closing quote.
    #[error("extraneous or missing \" in a quoted field")]
    Quote,
}

/// Splits one record into its fields, at least one. A field that starts with `"` runs to
/// the next single `"`; `""` in it stands for one quote.
pub fn fields(record: &str) -> Result<Vec<String>, CsvError> {
    if record.is_empty() {
        return Err(CsvError::Empty);
    }
    let mut fields = Vec::new();
    let mut rest = Some(record);
    while let Some(text) = rest {
        let (field, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(text)?,
        };
        fields.push(field);
        rest = after;
    }
    Ok(fields)
}

/// Returns the field and what follows its comma; `None` behind the last field.
fn plain_field(text: &str) -> Result<(String, Option<&str>), CsvError> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(CsvError::BareQuote);
    }
    Ok((field.to_owned(), after))
}

/// As `plain_field`, for the text behind an opening quote.
fn quoted_field(text: &str) -> Result<(String, Option<&str>), CsvError> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(CsvError::Quote)?;
        field.push_str(part);
        if after.is_empty() {
            return Ok((field, None));
        }
        if let Some(next) = after.strip_prefix(',') {
            return Ok((field, Some(next)));
        }
        rest = after.strip_prefix('"').ok_or(CsvError::Quote)?;
        field.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        for (record, expected) in [
            ("a=b,c=d", vec!["a=b", "c=d"]),
            ("a=b,\"c=d,e\",f", vec!["a=b", "c=d,e", "f"]),
            ("\"say \"\"hi\"\"\"", vec!["say \"hi\""]),
            ("a,", vec!["a", ""]),
            (",", vec!["", ""]),
            ("\"\",x", vec!["", "x"]),
        ] {
            assert_eq!(fields(record).unwrap(), expected, "{record}");
        }
    }

    #[test]
    fn misplaced_quotes_are_refused() {
        assert_eq!(fields(""), Err(CsvError::Empty));
        assert_eq!(fields("a\"b"), Err(CsvError::BareQuote));
        assert_eq!(fields("\"a\"b"), Err(CsvError::Quote));
        assert_eq!(fields("\"a"), Err(CsvError::Quote));
    }
}
