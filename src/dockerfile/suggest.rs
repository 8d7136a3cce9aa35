//! "Did you mean": the nearest of some known names to one that is not known.

/// A distance of this many edits or more is no longer a likely slip of the finger.
const TOO_FAR: usize = 3;

/// Longer names are compared with nothing: the cost grows with the square of their length.
const NAME_BYTES_MAX: usize = 128;

/// Returns the option that is fewer than three edits away from `value`, the first of
/// equals, with letter case ignored and written in the case of `value`. `None` where
/// nothing is near, or where `value` is one of the options: then the name is not what
/// is wrong.
pub(super) fn nearest_any_case(value: &str, options: &[&str]) -> Option<String> {
    let folded = value.to_lowercase();
    let lower: Vec<String> = options.iter().map(|option| option.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let found = nearest(&folded, &lower)?;
    let is_upper = value == value.to_uppercase() && value != folded;
    Some(if is_upper {
        found.to_uppercase()
    } else {
        found
    })
}

/// Returns the option that is fewer than three edits away from `value`, the first of
/// equals, letter case counting.
#[must_use]
pub fn nearest(value: &str, options: &[&str]) -> Option<String> {
    let mut best = TOO_FAR;
    let mut found = None;
    for &option in options {
        if option == value {
            return None;
        }
        let distance = distance_below(value, option, best);
        if let Some(distance) = distance {
            best = distance;
            found = Some(option);
        }
    }
    found.map(str::to_owned)
}

/// Renders a suggestion the way errors append it; empty where there is none.
pub(super) fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// Returns the edit distance if it is below `limit`; swapping two neighbours is one edit,
/// for that is what fingers do. Costs nothing for words whose lengths alone keep them
/// apart, nor for huge ones, which nobody mistypes.
fn distance_below(left: &str, right: &str, limit: usize) -> Option<usize> {
    if left.len().max(right.len()) > NAME_BYTES_MAX {
        return None;
    }
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) >= limit {
        return None;
    }
    // Each row has the distances of the characters so far to the first 0, 1, 2, … of the other word.
    let mut last_but_one = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &from) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == right[j - 1] && left[i - 1] == to {
                best = best.min(last_but_one[j - 1] + 1);
            }
            row.push(best);
        }
        last_but_one = std::mem::replace(&mut last, row);
    }
    let distance = last[right.len()];
    (distance < limit).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_in_the_case_of_the_question() {
        assert_eq!(
            nearest_any_case("FORM", &["RUN", "FROM"]).as_deref(),
            Some("FROM")
        );
        assert_eq!(
            nearest_any_case("RNU", &["ENV", "RUN"]).as_deref(),
            Some("RUN")
        );
        assert_eq!(
            nearest_any_case("form", &["RUN", "FROM"]).as_deref(),
            Some("from")
        );
    }

    #[test]
    fn a_name_three_edits_away_is_not_suggested() {
        assert_eq!(nearest("abc", &["xyz"]), None);
        assert_eq!(nearest("ab", &["xy"]).as_deref(), Some("xy"));
    }

    #[test]
    fn a_known_name_gets_no_suggestion() {
        assert_eq!(nearest("chown", &["chmod", "chown"]), None);
    }

    #[test]
    fn huge_names_are_compared_with_nothing() {
        let (value, option) = ("a".repeat(1 << 20), "a".repeat((1 << 20) + 1));
        assert_eq!(nearest(&value, &[&option]), None);
        let (value, option) = ("a".repeat(100), "a".repeat(101));
        assert_eq!(nearest(&value, &[&option]), Some(option.clone()));
    }

    #[test]
    fn the_nearer_of_two_wins() {
        assert_eq!(
            nearest("chowm", &["chmod", "chown"]).as_deref(),
            Some("chown")
        );
    }
}
