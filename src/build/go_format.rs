//! Values as Go's `fmt` prints them: BuildKit's image history is made of such texts, and people
//! compare histories.

use std::fmt::Write;
use std::time::Duration;

/// Returns `["a" "b"]`, as Go's `%q` prints a slice of strings.
pub(super) fn quoted_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", quoted.join(" "))
}

/// Returns `[a b]`, as Go's `%v` prints a slice of strings.
pub(super) fn plain_list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// Returns a text in double quotes, as Go's `strconv.Quote` does.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            letter if letter < ' ' || letter == '\x7f' => push_escape(&mut quoted, 'x', 2, letter),
            letter if is_printable(letter) => quoted.push(letter),
            letter if u32::from(letter) < 0x1_0000 => push_escape(&mut quoted, 'u', 4, letter),
            letter => push_escape(&mut quoted, 'U', 8, letter),
        }
    }
    quoted.push('"');
    quoted
}

fn push_escape(quoted: &mut String, kind: char, digits: usize, letter: char) {
    // Writing to a String cannot fail.
    let _ = write!(quoted, "\\{kind}{:0digits$x}", u32::from(letter));
}

/// Says whether Go prints a character above ASCII as it is; only the ASCII space counts as one.
fn is_printable(letter: char) -> bool {
    letter == ' ' || !(letter.is_control() || letter.is_whitespace() || letter == '\u{feff}')
}

/// Returns a duration as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub(super) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, factor) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => ("ns", 1),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    if unit != "s" {
        return format!("{}{unit}", decimal(nanos, factor));
    }
    let minutes = nanos / (60 * factor);
    let seconds = decimal(nanos % (60 * factor), factor);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Returns `value / factor` as a decimal number without trailing zeros.
fn decimal(value: u128, factor: u128) -> String {
    let digits = factor.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / factor, value % factor);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_quoted_as_go_quotes_them() {
        let items = ["/bin/sh", "-c", "echo \"é\"\t\\\n\u{1}"].map(str::to_owned);
        let expected = r#"["/bin/sh" "-c" "echo \"é\"\t\\\n\x01"]"#;
        assert_eq!(quoted_list(&items), expected);
        assert_eq!(plain_list(&items[..2]), "[/bin/sh -c]");
        assert_eq!(quoted("\u{a0}\u{200b}"), "\"\\u00a0\u{200b}\"");
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (30_000_000_000, "30s"),
            (1_500_000_000, "1.5s"),
            (300_000_000_000, "5m0s"),
            (3_661_000_000_000, "1h1m1s"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected);
        }
    }
}
