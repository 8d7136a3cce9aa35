//! The whole way from a Dockerfile to a finished image: the only room that knows the pipeline.

mod error;
mod options;
mod progress;

pub use error::{DockerfileText, LocatedError};
pub use options::BuildOptions;
pub use progress::{Event, OutputStream, Progress, StepName};
