//! Which users and groups exist in the sandbox's user namespace.
//!
//! Either all that exist outside, under the same numbers; or root is the user outside, and 1 and up
//! are the user's subordinate range. Parsing takes text; nothing here reads a file or starts a
//! program.

/// Lines that the kernel accepts in one map (`UID_GID_MAP_MAX_EXTENTS`).
const LINES_MAX: usize = 340;

/// Consecutive ids outside of the user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdRange {
    /// The first.
    pub(super) first: u32,
    /// How many; at least 1.
    pub(super) count: u32,
}

/// A map of user ids, or of group ids, to a subordinate range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdMap {
    own: u32,
    ranges: Vec<IdRange>,
}

impl IdMap {
    /// Maps 0 to `own`, and 1 and up to `ranges` in their order. `None` where no range is left.
    pub(super) fn new(own: u32, ranges: &[IdRange]) -> Option<Self> {
        let ranges: Vec<IdRange> = ranges
            .iter()
            .flat_map(|range| without(*range, own))
            .take(LINES_MAX - 1)
            .collect();
        (!ranges.is_empty()).then_some(Self { own, ranges })
    }

    /// Returns the arguments that `newuidmap` and `newgidmap` take after the process id.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["0".to_owned(), self.own.to_string(), "1".to_owned()];
        let mut inside = 1_u32;
        for range in &self.ranges {
            arguments.extend([inside, range.first, range.count].map(|number| number.to_string()));
            inside = inside.saturating_add(range.count);
        }
        arguments
    }
}

/// A range may hold the user's own id, which is mapped already.
fn without(range: IdRange, own: u32) -> impl Iterator<Item = IdRange> {
    let end = u64::from(range.first) + u64::from(range.count);
    let is_inside = u64::from(own) < end && own >= range.first;
    let parts = if is_inside {
        let before = own - range.first;
        let after = range.count - before - 1;
        [(range.first, before), (own.saturating_add(1), after)]
    } else {
        [(range.first, range.count), (0, 0)]
    };
    parts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(first, count)| IdRange { first, count })
}

/// Reads `/etc/subuid` or `/etc/subgid`: the ranges of the user with this name or this user id, in
/// the file's order. Lines that make no sense are passed over, as `newuidmap` does. Empty for none.
pub(super) fn parse_subordinate_ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<IdRange> {
    let uid = uid.to_string();
    text.lines()
        .filter_map(|line| {
            // subuid(5): "name or uid:first:count".
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let is_ours = owner == uid || name.is_some_and(|name| owner == name);
            let range = IdRange {
                first: fields.next()?.parse().ok()?,
                count: fields.next()?.parse().ok()?,
            };
            let is_sound = range.count > 0 && range.first.checked_add(range.count).is_some();
            (is_ours && is_sound && fields.next().is_none()).then_some(range)
        })
        .collect()
}

/// Returns the name of the user `uid` in the text of a passwd file.
pub(super) fn name_of_user(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is_this = fields.nth(1)?.parse() == Ok(uid);
        is_this.then_some(name)
    })
}

/// Says whether `id` exists in this process's user namespace, by the text of its
/// `/proc/self/uid_map` or `gid_map`.
pub(super) fn is_mapped(map: &str, id: u32) -> bool {
    let id = u64::from(id);
    lines_of(map).any(|(inside, count)| (inside..inside.saturating_add(count)).contains(&id))
}

/// Returns the text of a map in which every id that `map` has, the text of this process's own one,
/// stays what it is. Empty where none exists.
pub(super) fn identity(map: &str) -> String {
    lines_of(map)
        .map(|(inside, count)| format!("{inside} {inside} {count}\n"))
        .collect()
}

/// Returns the first id and the number of ids of each line that can be read.
fn lines_of(map: &str) -> impl Iterator<Item = (u64, u64)> {
    map.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
        match (fields.next(), fields.next(), fields.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => Some((inside, count)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBUID: &str = "root:1:2\nbob:100000:65536\n# bob:1:1\nbob:x:1\n1000:300000:1000\n\
                          bob:5:0\nbob:4294967295:2\nalice:1:2\nbob:7:1:9\n";

    fn range(first: u32, count: u32) -> IdRange {
        IdRange { first, count }
    }

    #[test]
    fn ranges_are_found_by_name_and_by_number_and_nonsense_is_passed_over() {
        let both = parse_subordinate_ranges(SUBUID, Some("bob"), 1000);
        assert_eq!(both, [range(100_000, 65_536), range(300_000, 1000)]);
        let by_number = parse_subordinate_ranges(SUBUID, None, 1000);
        assert_eq!(by_number, [range(300_000, 1000)]);
        assert_eq!(parse_subordinate_ranges(SUBUID, Some("carol"), 1001), []);
        assert_eq!(parse_subordinate_ranges("", Some("bob"), 1000), []);
    }

    #[test]
    fn root_is_the_user_and_the_ranges_follow_one_another() {
        let map = IdMap::new(1000, &[range(100_000, 65_536), range(300_000, 10)]).unwrap();
        let expected = "0 1000 1 1 100000 65536 65537 300000 10";
        assert_eq!(map.arguments().join(" "), expected);
        assert_eq!(IdMap::new(1000, &[]), None);
    }

    #[test]
    fn the_own_id_is_cut_out_of_a_range() {
        let map = IdMap::new(1000, &[range(999, 3), range(1000, 1), range(1000, 2)]).unwrap();
        assert_eq!(
            map.arguments().join(" "),
            "0 1000 1 1 999 1 2 1001 1 3 1001 1"
        );
    }

    #[test]
    fn a_name_is_found_by_its_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbad line\nbob:x:1000:1000::/home/bob:/bin/sh\n";
        assert_eq!(name_of_user(passwd, 1000), Some("bob"));
        assert_eq!(name_of_user(passwd, 1), None);
    }

    #[test]
    fn the_kernels_map_says_which_ids_exist() {
        let map = "         0       1000          1\n         1     100000          4\n";
        assert!(is_mapped(map, 0) && is_mapped(map, 4));
        assert!(!is_mapped(map, 5));
        assert!(is_mapped("0 0 4294967295\n", 4_294_967_294));
    }

    #[test]
    fn a_whole_map_leaves_every_id_as_it_is() {
        let map = "         0     100000      65536\n     70000       1000          1\n";
        assert_eq!(identity(map), "0 0 65536\n70000 70000 1\n");
        assert_eq!(identity(""), "");
    }
}
