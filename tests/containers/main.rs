//! The executor's images in the containers that CI jobs get: Docker's with its default profile, and what Kubernetes
//! makes of a pod. The daemon is Debian's, started by the tests; what Docker cannot express is a bundle for `runc`.
//!
//! All of it needs root and the packages that `.ci/run` installs; whatever is missing fails a test by name.

#[allow(
    dead_code,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../suite/mod.rs"]
mod suite;
#[allow(
    dead_code,
    unused_imports,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod call;
mod daemon;
mod docker;
mod images;
mod job;
mod pod;
mod pod_config;
mod reference;
mod root_listing;

mod hostile;
mod image;
mod in_place;
mod interrupted;
mod kept;
mod loaded;
mod mounted;
mod places;
mod templates;
mod users;
