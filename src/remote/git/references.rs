//! Which reference a name means.

use super::protocol::Reference;

/// Returns the full names that a name may mean, the likeliest first: a branch comes before a tag, as for `git checkout`.
pub(super) fn candidates(name: &str) -> Vec<String> {
    match name {
        "" => vec!["HEAD".to_owned()],
        name if name.starts_with("refs/") => vec![name.to_owned()],
        name => vec![
            format!("refs/heads/{name}"),
            format!("refs/tags/{name}"),
            format!("refs/{name}"),
            name.to_owned(),
        ],
    }
}

/// Returns the reference that a name means; `None` where there is none.
pub(super) fn choose<'a>(references: &'a [Reference], name: &str) -> Option<&'a Reference> {
    let find = |full: &String| references.iter().find(|reference| reference.name == *full);
    candidates(name).iter().find_map(find)
}

#[cfg(test)]
mod tests {
    use super::super::object::ObjectId;
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag_and_a_part_of_a_name_means_nothing() {
        let reference = |name: &str| Reference {
            name: name.to_owned(),
            id: ObjectId::from_hex(&"1".repeat(40)).unwrap(),
            peeled: None,
        };
        let all = [
            "HEAD",
            "refs/heads/v1",
            "refs/pull/7/head",
            "refs/tags/v1",
            "refs/tags/v10",
        ]
        .map(reference);
        let chosen = |name: &str| choose(&all, name).map(|it| it.name.as_str());
        assert_eq!(chosen("v1"), Some("refs/heads/v1"));
        assert_eq!(chosen("refs/tags/v1"), Some("refs/tags/v1"));
        assert_eq!(chosen("pull/7/head"), Some("refs/pull/7/head"));
        assert_eq!(chosen(""), Some("HEAD"));
        assert_eq!(chosen("v"), None);
    }
}
