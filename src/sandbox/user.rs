//! Who a step runs as: the text of USER, looked up in the image's own files.
//!
//! The rules are BuildKit's: numbers as they are, names from `/etc/passwd` and `/etc/group` inside
//! the root. The machine's own users do not matter.

use std::io::{Read, Take};
use std::path::{Path, PathBuf};

use crate::fs::{PathContext, PathError, Root};

/// Files longer than this are refused: they are read into memory.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

/// A user as the kernel knows it, with its home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids in the file's order; empty for none.
    pub groups: Vec<u32>,
    /// Home directory from `/etc/passwd`; `/` where that has none.
    pub home: PathBuf,
}

impl ResolvedUser {
    /// Root without supplementary groups.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: PathBuf::from("/root"),
        }
    }
}

/// A USER that the image does not have.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A name that is not in `/etc/passwd`, or there is no such file.
    #[error("unknown user `{0}`: not in the image's /etc/passwd")]
    UnknownUser(String),
    /// A name that is not in `/etc/group`, or there is no such file.
    #[error("unknown group `{0}`: not in the image's /etc/group")]
    UnknownGroup(String),
    /// A file that is larger than any list of users.
    #[error("`{}` in the image is larger than 10 MiB", .0.display())]
    TooLarge(PathBuf),
    /// A file that is there and cannot be read.
    #[error(transparent)]
    Read(#[from] PathError),
}

/// Looks up `text`, as USER has it: `user`, `user:group`, each a name or a number. Empty for root
/// with root's groups.
pub fn resolve_user(root: &Root, text: &str) -> Result<ResolvedUser, UserError> {
    let text = if text.is_empty() { "0" } else { text };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let is_all_numbers = parse_id(user).is_some() && group.and_then(parse_id).is_some();
    let passwd = match read(root, PASSWD) {
        // "uid:gid" is used as it is: the file only tells the home.
        Err(_) if is_all_numbers => String::new(),
        passwd => passwd?,
    };
    let entry = find_user(&passwd, user);
    let (uid, gid) = match (&entry, parse_id(user)) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(UserError::UnknownUser(user.to_owned())),
    };
    let home = entry.as_ref().map_or("/", |entry| entry.home);
    let (gid, groups) = match group {
        Some(group) => (find_group(root, group)?, Vec::new()),
        None => match &entry {
            Some(entry) => (gid, groups_of(&read(root, GROUP)?, entry.name)),
            None => (gid, Vec::new()),
        },
    };
    Ok(ResolvedUser {
        uid,
        gid,
        groups,
        home: PathBuf::from(if home.is_empty() { "/" } else { home }),
    })
}

/// A line of `/etc/passwd`.
struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn find_user<'a>(passwd: &'a str, user: &str) -> Option<PasswdEntry<'a>> {
    let wanted_uid = parse_id(user);
    passwd
        .lines()
        .filter_map(parse_passwd_line)
        .find(|entry| match wanted_uid {
            Some(uid) => entry.uid == uid,
            None => entry.name == user,
        })
}

/// passwd(5): name, password, uid, gid, comment, home, shell. The last three may be missing.
fn parse_passwd_line(line: &str) -> Option<PasswdEntry<'_>> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    Some(PasswdEntry {
        name: fields.first().filter(|name| !name.is_empty())?,
        uid: parse_id(fields.get(2)?)?,
        gid: parse_id(fields.get(3)?)?,
        home: fields.get(5).unwrap_or(&""),
    })
}

/// A line of `/etc/group`.
struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// group(5): name, password, gid, members separated by commas.
fn parse_group_line(line: &str) -> Option<GroupEntry<'_>> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    Some(GroupEntry {
        name: fields.first().filter(|name| !name.is_empty())?,
        gid: parse_id(fields.get(2)?)?,
        members: fields.get(3).unwrap_or(&""),
    })
}

fn find_group(root: &Root, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = parse_id(group) {
        return Ok(gid);
    }
    read(root, GROUP)?
        .lines()
        .filter_map(parse_group_line)
        .find(|entry| entry.name == group)
        .map(|entry| entry.gid)
        .ok_or_else(|| UserError::UnknownGroup(group.to_owned()))
}

fn groups_of(groups: &str, user: &str) -> Vec<u32> {
    groups
        .lines()
        .filter_map(parse_group_line)
        .filter(|entry| entry.members.split(',').any(|member| member == user))
        .map(|entry| entry.gid)
        .collect()
}

/// Ids are numbers up to 2^31 - 1: the largest that runtimes accept. Digits only: `+1` is a name.
fn parse_id(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id: u32 = is_number.then(|| text.parse().ok())??;
    (id <= i32::MAX as u32).then_some(id)
}

/// Reads a file of users or groups inside the root; empty where there is none.
fn read(root: &Root, path: &str) -> Result<String, UserError> {
    let path = Path::new(path);
    if root.metadata(path)?.is_none() {
        return Ok(String::new());
    }
    let mut file: Take<_> = root.open_file(path)?.take(FILE_BYTES_MAX + 1);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .on("read", root.outside_path(path))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(UserError::TooLarge(Path::new("/").join(path)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken line\n\
        app:x:1000:1001:App:/home/app:/bin/sh\n\
        twin:x:1000:1002::/home/twin:/bin/sh\n\
        7:x:2000:2000::/seven:\n\
        short:x:3:4\n";
    const GROUP_TEXT: &str = "root:x:0:root\nstaff:x:50:app,root\nvideo:x:44:twin,app\n\
        empty:x:60:\nnobody\n";

    fn root() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("etc")).unwrap();
        std::fs::write(temp.path().join("etc/passwd"), PASSWD_TEXT).unwrap();
        std::fs::write(temp.path().join("etc/group"), GROUP_TEXT).unwrap();
        let root = Root::open(temp.path()).unwrap();
        (temp, root)
    }

    #[test]
    fn names_and_numbers_resolve_as_buildkit_does() {
        let (_temp, root) = root();
        // USER, then uid, gid, supplementary groups, home.
        let cases: &[(&str, u32, u32, &[u32], &str)] = &[
            ("", 0, 0, &[0, 50], "/root"),
            ("root", 0, 0, &[0, 50], "/root"),
            ("app", 1000, 1001, &[50, 44], "/home/app"),
            ("1000", 1000, 1001, &[50, 44], "/home/app"),
            ("twin", 1000, 1002, &[44], "/home/twin"),
            ("app:video", 1000, 44, &[], "/home/app"),
            ("app:77", 1000, 77, &[], "/home/app"),
            ("app:", 1000, 1001, &[50, 44], "/home/app"),
            ("1000:5", 1000, 5, &[], "/home/app"),
            ("4000", 4000, 0, &[], "/"),
            ("4000:4001", 4000, 4001, &[], "/"),
            ("4000:staff", 4000, 50, &[], "/"),
            // A number is an id, never a name.
            ("7", 7, 0, &[], "/"),
            ("short", 3, 4, &[], "/"),
        ];
        for (text, uid, gid, groups, home) in cases {
            let user = resolve_user(&root, text).unwrap();
            let expected = ResolvedUser {
                uid: *uid,
                gid: *gid,
                groups: groups.to_vec(),
                home: PathBuf::from(home),
            };
            assert_eq!(user, expected, "{text}");
        }
    }

    #[test]
    fn unknown_names_are_errors_that_say_the_name() {
        let (_temp, root) = root();
        for (text, name) in [
            ("ghost", "`ghost`"),
            ("app:ghosts", "`ghosts`"),
            ("-1", "`-1`"),
            ("4294967295", "`4294967295`"),
        ] {
            let error = resolve_user(&root, text).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn an_image_without_users_has_root_and_numbers_only() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        assert_eq!(resolve_user(&root, "").unwrap().uid, 0);
        assert_eq!(resolve_user(&root, "12").unwrap().uid, 12);
        assert!(resolve_user(&root, "root").is_err());
    }

    #[test]
    fn a_link_out_of_the_image_and_a_huge_file_are_not_read() {
        let (temp, root) = root();
        let passwd = temp.path().join("etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        symlink("../../../../../../etc/passwd", &passwd).unwrap();
        // Inside the root, the link leads to itself.
        assert!(resolve_user(&root, "root").is_err());
        std::fs::remove_file(&passwd).unwrap();
        let file = std::fs::File::create(&passwd).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        let error = resolve_user(&root, "root").unwrap_err();
        assert!(matches!(error, UserError::TooLarge(_)), "{error}");
    }
}
