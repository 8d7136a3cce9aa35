//! Whole builds: the real `executor`, real registries, real base images, and other tools that read the result.
//!
//! One binary for all topics, so that it is linked once. `support` says what the tests stand on.

#[allow(
    dead_code,
    unused_imports,
    reason = "written for all test binaries, and no binary needs all of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod add;
mod add_git;
mod add_git_hostile;
mod add_http;
mod agents;
mod archive_contexts;
mod arguments;
mod bad_input;
mod base_cache;
mod bases;
mod caching;
mod config;
mod contexts;
mod copy;
mod copy_link;
mod copy_metadata;
mod copy_parents;
mod copy_reads;
mod copy_rules;
mod credentials;
mod delivery;
mod dockerfile_places;
mod dockerignore;
mod dry_run;
mod epoch;
mod file_zoo;
mod flags;
mod harness;
mod hostile;
mod index;
mod inspect;
mod interrupted;
mod lint;
mod main_job;
mod mounts;
mod object_contexts;
mod oracle;
mod outputs;
mod platform_outputs;
mod platforms;
mod pushes;
mod registries;
mod registries_retries;
mod registries_tls;
mod remote_context;
mod reproducible;
mod run;
mod single_snapshot;
mod stages;
mod warmer;
