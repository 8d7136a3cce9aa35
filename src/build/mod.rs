//! The whole way from a Dockerfile to a finished image: the only room that knows the pipeline.
//!
//! `build` is the story: read, plan, build the stages, assemble. A stage executes its instructions
//! one after the other; `run`, `copy`, `add` and `workdir` are those that work on files, the others
//! change the draft of the image.

mod ability;
mod action;
mod add;
mod archive_stream;
mod archive_time;
mod assemble;
mod base;
#[expect(
    clippy::module_inception,
    reason = "the story of the room has its name"
)]
mod build;
mod built;
mod cache_dirs;
mod checked_stages;
mod context_files;
mod context_source;
mod control_args;
mod copy;
mod draft;
mod emulation;
mod epoch;
mod error;
mod evaluate;
mod evaluated;
mod explain;
mod files;
mod forecast;
mod go_format;
mod halt;
mod input;
mod joined;
mod keeper;
mod keys;
mod layer_job;
mod layers;
mod linked;
mod lint;
mod meta_args;
mod metadata;
mod mount_action;
mod mount_carrier;
mod mounts;
mod named_contexts;
mod named_dir;
mod named_images;
mod once;
mod options;
mod outlook;
mod owner;
mod plan;
mod planner;
mod plans;
mod ports;
mod preview;
mod progress;
mod remote_context;
mod remote_source;
mod remotes;
mod replacement;
mod run;
mod scope;
mod similar_file;
mod sources;
mod stage;
mod stage_keys;
mod stage_layers;
mod state;
mod step_cache;
mod step_inputs;
mod support;
mod tiny_program;
mod unpacked_bases;
mod unpacking;
mod warm;
mod workdir;
mod workshop;

pub use base::{BaseImages, BaseRetries};
pub use build::{Product, build};
pub use context_source::ContextSource;
pub use error::{DockerfileText, LocatedError};
pub use halt::Halt;
pub use input::{BuildInput, DOCKERFILE_BYTES_MAX};
pub use layers::SharedError;
pub use lint::{LintReport, lint};
pub use mount_carrier::CarriedMounts;
pub use named_contexts::{ContextNameError, LayoutImage, NamedContext, NamedContexts, RemoteUrl};
pub use options::{BuildOptions, DockerfileSource};
pub use preview::{Base, Need, Preview, Pull, StagePreview, StepOutcome, StepPreview, preview};
pub use progress::{Event, OutputStream, Progress, StepName};
pub use remote_context::RemoteContext;
pub use step_cache::{CacheRules, StepCache};
pub use warm::{WarmOptions, WarmedImage, warm};
pub use workshop::Tools;
