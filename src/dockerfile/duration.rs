//! Durations in Go's grammar, as HEALTHCHECK writes them: `1m30s`, `1.5h`, `300ms`.

/// Reads a duration; the result is in nanoseconds and may be negative. `None` for text
/// outside the grammar or beyond 64 bits.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    let mut left = rest;
    while !left.is_empty() {
        let (nanoseconds, after) = part(left)?;
        total = total.checked_add(nanoseconds)?;
        // The most negative value has no positive counterpart, and is a valid duration.
        if total > 1 << 63 {
            return None;
        }
        left = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Reads one number with its unit off the front; in nanoseconds.
fn part(text: &str) -> Option<(i128, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole_len = digits(text);
    let (whole, mut rest) = text.split_at(whole_len);
    let mut fraction = "";
    if let Some(behind_point) = rest.strip_prefix('.') {
        (fraction, rest) = behind_point.split_at(digits(behind_point));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_len = rest
        .find(|character: char| character == '.' || character.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    };
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanoseconds = whole.checked_mul(unit)?;
    // Digits beyond the 18th are worth less than a nanosecond in every unit.
    let fraction = &fraction[..fraction.len().min(18)];
    if !fraction.is_empty() {
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        nanoseconds += fraction.parse::<i128>().ok()? * unit / scale;
    }
    Some((nanoseconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_every_unit_are_read() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("2us", 2_000),
            ("2\u{b5}s", 2_000),
            ("2\u{3bc}s", 2_000),
            ("7ns", 7),
            ("-1s", -1_000_000_000),
            ("+1s", 1_000_000_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("0.100000000000000000001s", 100_000_000),
        ] {
            assert_eq!(parse(text), Some(nanoseconds), "{text}");
        }
    }

    #[test]
    fn text_outside_the_grammar_is_refused() {
        for text in [
            "",
            "5",
            "s",
            ".s",
            "1 s",
            "1d",
            "-",
            "+",
            "1s2",
            "9223372036854775808ns",
            "99999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
