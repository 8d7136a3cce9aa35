//! `--chown`: who owns what COPY and ADD create.

use crate::fs::Root;
use crate::sandbox::{UserError, resolve_user};

/// Owner and group by number, and what the user should hear about them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) ids: (u32, u32),
    /// One line for each name that the image does not have.
    pub(super) warnings: Vec<String>,
}

/// Looks up `text`, `user[:group]` as `option` has it, each a name or a number, in the destination's own files.
///
/// As BuildKit does (`llbsolver/file/user_linux.go`): a number alone is the group's number too, a
/// name alone has its primary group, `user:` has group 0. A name that is not there counts as 0, so
/// that builds that pass elsewhere pass here; but nobody gets root's files without a word.
pub(super) fn resolve_owner(root: &Root, text: &str, option: &str) -> Result<Owner, UserError> {
    let mut warnings = Vec::new();
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, primary) = match number(user) {
        Some(uid) => (uid, uid),
        None if user.is_empty() || user == "root" => (0, 0),
        None => match resolve_user(root, user) {
            Ok(found) => (found.uid, found.gid),
            Err(UserError::UnknownUser(_)) => {
                warnings.push(unknown(option, "user", user, "/etc/passwd"));
                (0, 0)
            }
            Err(error) => return Err(error),
        },
    };
    let gid = match group {
        None => primary,
        Some("" | "root") => 0,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => match resolve_user(root, &format!("0:{group}")) {
                Ok(found) => found.gid,
                Err(UserError::UnknownGroup(_)) => {
                    warnings.push(unknown(option, "group", group, "/etc/group"));
                    0
                }
                Err(error) => return Err(error),
            },
        },
    };
    Ok(Owner {
        ids: (uid, gid),
        warnings,
    })
}

/// Says whether anything in `text` has to be looked up.
pub(super) fn has_names(text: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "root") && number(part).is_none();
    text.splitn(2, ':').any(is_name)
}

/// Reads an id. The highest number is none: to the kernel it says that an owner stays as it is (chown(2)).
fn number(text: &str) -> Option<u32> {
    let id = text.parse::<u32>().ok();
    id.filter(|id| *id < u32::MAX)
}

fn unknown(option: &str, what: &str, name: &str, file: &str) -> String {
    format!("{option}: unknown {what} `{name}` (not in the image's {file}), using 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_numbers_or_names_of_the_destination() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("etc")).unwrap();
        let write = |name, text| std::fs::write(temp.path().join(name), text).unwrap();
        write("etc/passwd", "app:x:1000:1001::/home/app:/bin/sh\n");
        write("etc/group", "staff:x:50:\n");
        let root = Root::open(temp.path()).unwrap();
        let cases = [
            ("7", (7, 7), 0),
            ("7:8", (7, 8), 0),
            ("app", (1000, 1001), 0),
            ("app:", (1000, 0), 0),
            ("app:staff", (1000, 50), 0),
            ("root:staff", (0, 50), 0),
            (":staff", (0, 50), 0),
            ("4294967295:4294967295", (0, 0), 2),
            ("nobody", (0, 0), 1),
            ("nobody:nothing", (0, 0), 2),
            ("app:nothing", (1000, 0), 1),
        ];
        for (text, ids, warnings) in cases {
            let owner = resolve_owner(&root, text, "--chown").unwrap();
            assert_eq!((owner.ids, owner.warnings.len()), (ids, warnings), "{text}");
        }
    }
}
