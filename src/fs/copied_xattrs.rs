//! Extended attributes of a copy.

use std::ffi::OsStr;

use rustix::io::Errno;

use super::recorded::CAPABILITY;
use super::{PathError, Xattrs};

/// Sets attributes with `set`. One that the file system takes none of its kind of is left out and told of, as BuildKit's
/// copier does; not so a capability, without which the program would not work.
pub(super) fn set_all(
    xattrs: Xattrs,
    set: impl Fn(&OsStr, &[u8]) -> Result<(), PathError>,
) -> Result<(), PathError> {
    for (key, value) in xattrs {
        match set(&key, &value) {
            Err(error) if is_not_supported(&error) && key != CAPABILITY => {
                let key = key.display();
                tracing::warn!("the attribute `{key}` is lost: {error}: {}", error.source);
            }
            other => other?,
        }
    }
    Ok(())
}

fn is_not_supported(error: &PathError) -> bool {
    error.source.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_the_file_system_does_not_take_is_left_out_unless_it_is_a_capability() {
        let keys =
            |keys: &[&str]| -> Xattrs { keys.iter().map(|key| (key.into(), Vec::new())).collect() };
        let fails =
            |errno: Errno| move |_: &OsStr, _: &[u8]| Err(PathError::new("set", "/file", errno));
        let user = || keys(&["user.a", "user.b"]);
        let asked = RefCell::new(0);
        let refuses = fails(Errno::OPNOTSUPP);
        set_all(user(), |key, value| {
            *asked.borrow_mut() += 1;
            refuses(key, value)
        })
        .unwrap();
        assert_eq!(*asked.borrow(), 2);
        let capability = keys(&["security.capability"]);
        assert!(set_all(capability, fails(Errno::OPNOTSUPP)).is_err());
        assert!(set_all(user(), fails(Errno::NOSPC)).is_err());
    }
}
