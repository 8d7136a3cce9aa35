//! The image's program outside of containers: what users get who have no privileges, with and without ids of their own.

use super::images::images;
use super::job::Job;
use super::reference::{EPOCH, Site};
use crate::support::{Executor, Who};

fn builds(who: Who, mode: &str, name: &str) {
    let site = Site::shared();
    let build = Executor::new(who)
        .program(&images().executor)
        .context(&site.context(Job::Full))
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .destination(&site.registry.reference(name))
        .run();
    build.assert_success();
    assert!(build.stderr().contains(mode), "{}", build.stderr());
    site.assert_as_reference(Job::Full, name);
}

#[test]
fn a_user_with_subordinate_ids_builds_the_same_image() {
    let mode = "isolation: userns (namespaces, root is this user, ids from /etc/subuid)";
    builds(Who::User, mode, "users/range:1");
}

#[test]
fn a_user_without_subordinate_ids_builds_the_same_image() {
    let mode = "isolation: userns (namespaces, root is this user; other owners are recorded)";
    builds(Who::UserWithoutRange, mode, "users/single:1");
}
