//! Sizes in memory, as `size=` writes them: `64m`, `1.5GiB`, `512`.

/// Reads a size in bytes, rounded down; every unit is a power of 1024. `None` for text
/// that is none.
pub fn parse(text: &str) -> Option<u64> {
    let end = text.rfind(|last: char| last.is_ascii_digit() || matches!(last, '.' | ' '))? + 1;
    let (number, unit) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    if !number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let bytes = number * factor(&unit.to_ascii_lowercase())?;
    // Beyond 2^53 a float is no exact number any more, and no machine has that memory.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (bytes <= 9_007_199_254_740_992.0).then_some(bytes as u64)
}

fn factor(unit: &str) -> Option<f64> {
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => return Some(1.0),
        Some('b') => return letters.as_str().is_empty().then_some(1.0),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    matches!(letters.as_str(), "" | "b" | "ib").then(|| 1024_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("1k", 1024),
            ("1kb", 1024),
            ("64m", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2 G", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_size() {
        for text in [
            "", "m", "-1", "1x", "1bb", "1kbb", "1e3", "1..2", ".", "99999p", "1 2", "inf",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
