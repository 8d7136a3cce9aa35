//! Changing mode bits as `chmod` spells it: octal, or symbolic as in `u=rwX,go=rX`.

/// A change of mode bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// The bits themselves, 0o7777 at most.
    Absolute(u32),
    /// Clauses, applied in order.
    Symbolic(Vec<Clause>),
}

/// One clause of a symbolic mode: who, how, what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Mask of the bits that may change: 0o4700 for `u`, 0o2070 for `g`, 0o1007 for `o`.
    who: u32,
    operator: Operator,
    permissions: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permissions {
    /// Bits for everyone; `execute_if_any` is `X`.
    Bits { bits: u32, execute_if_any: bool },
    /// The permissions that the user, the group or others have now; a shift of 6, 3 or 0.
    CopyFrom { shift: u32 },
}

impl ModeChange {
    /// Reads `text`; `None` where it is neither an octal number up to 7777 nor a symbolic mode.
    ///
    /// `chmod(1)`; the umask counts as 0, so `+x` is `a+x`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().next()?.is_ascii_digit() {
            let mode = u32::from_str_radix(text, 8).ok()?;
            return (mode <= 0o7777).then_some(Self::Absolute(mode));
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            parse_clauses(part, &mut clauses)?;
        }
        Some(Self::Symbolic(clauses))
    }

    /// Returns the mode bits that a file with `mode` has after the change.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Absolute(mode) => *mode,
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_dir)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let bits = self.who & self.permissions.bits(mode, is_dir);
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            // As GNU chmod does: a directory keeps its set-id bits unless they are named.
            Operator::Set if is_dir => (mode & (!self.who | 0o6000)) | bits,
            Operator::Set => (mode & !self.who) | bits,
        }
    }
}

impl Permissions {
    fn bits(self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Bits {
                bits,
                execute_if_any,
            } if execute_if_any && (is_dir || mode & 0o111 != 0) => bits | 0o111,
            Self::Bits { bits, .. } => bits,
            Self::CopyFrom { shift } => {
                let three = (mode >> shift) & 0o7;
                three << 6 | three << 3 | three
            }
        }
    }
}

/// Reads one part between commas: who, then one or more of operator and permissions (`u+r-w`).
fn parse_clauses(part: &str, clauses: &mut Vec<Clause>) -> Option<()> {
    let operators = ['+', '-', '='];
    let start = part.find(operators)?;
    let who = parse_who(&part[..start])?;
    let mut rest = &part[start..];
    while let Some(first) = rest.chars().next() {
        let operator = match first {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        let after = &rest[1..];
        let end = after.find(operators).unwrap_or(after.len());
        clauses.push(Clause {
            who,
            operator,
            permissions: parse_permissions(&after[..end])?,
        });
        rest = &after[end..];
    }
    Some(())
}

fn parse_who(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0o7777);
    }
    text.chars().try_fold(0, |who, letter| {
        Some(match letter {
            'u' => who | 0o4700,
            'g' => who | 0o2070,
            'o' => who | 0o1007,
            'a' => 0o7777,
            _ => return None,
        })
    })
}

fn parse_permissions(text: &str) -> Option<Permissions> {
    let shift = match text {
        "u" => Some(6),
        "g" => Some(3),
        "o" => Some(0),
        _ => None,
    };
    if let Some(shift) = shift {
        return Some(Permissions::CopyFrom { shift });
    }
    let mut bits = 0;
    let mut execute_if_any = false;
    for letter in text.chars() {
        match letter {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => execute_if_any = true,
            's' => bits |= 0o6000,
            't' => bits |= 0o1000,
            _ => return None,
        }
    }
    Some(Permissions::Bits {
        bits,
        execute_if_any,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_says() {
        let cases = [
            ("755", 0o600, false, 0o755),
            ("0", 0o777, false, 0),
            ("4711", 0o600, false, 0o4711),
            ("+x", 0o644, false, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("g=u", 0o740, false, 0o770),
            ("go-rwx", 0o777, false, 0o700),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, false, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("a=r", 0o777, false, 0o444),
            ("u+r-w", 0o200, false, 0o400),
            ("a=", 0o777, false, 0),
            ("o=g", 0o750, false, 0o755),
            ("g=rx", 0o2770, true, 0o2750),
        ];
        for (text, mode, is_dir, expected) in cases {
            let changed = ModeChange::parse(text).unwrap().apply(mode, is_dir);
            assert_eq!(changed, expected, "{text} on {mode:o}: {changed:o}");
        }
    }

    #[test]
    fn what_chmod_refuses_is_refused() {
        for text in [
            "", "8", "10000", "99", "u", "rwx", "u+q", "z+x", "7x", "u=rw,", "-1x",
        ] {
            assert_eq!(ModeChange::parse(text), None, "{text}");
        }
    }
}
