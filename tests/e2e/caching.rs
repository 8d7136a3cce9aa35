//! Layers of steps from one build to the next: what is found, what is not, and that nobody sees a difference.

mod changes;
mod job;
mod places;
mod registries;
