//! Work that threads share out among themselves until none is left. This module knows no files.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that any of the workers may take. Workers put in new ones while they work.
#[derive(Debug)]
pub(super) struct Jobs<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// How many jobs wait, as last seen: read without the lock.
    waiting: AtomicUsize,
    wanted: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    /// Workers that have a job, which may bring more.
    busy: usize,
    is_stopped: bool,
}

/// A job that a worker has taken. The work counts as going on until this is dropped, also by a panic.
pub(super) struct Taken<'a, T> {
    jobs: &'a Jobs<T>,
}

impl<T> Jobs<T> {
    /// Begins with one job; a worker should share what it finds while fewer than `wanted` wait.
    pub(super) fn new(first: T, wanted: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: vec![first],
                busy: 0,
                is_stopped: false,
            }),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(1),
            wanted,
        }
    }

    /// Says whether others could soon be without a job.
    pub(super) fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.wanted
    }

    /// Adds a job.
    pub(super) fn put(&self, job: T) {
        let mut state = self.lock();
        state.waiting.push(job);
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for a job. `None` when none is left and none can come.
    pub(super) fn take(&self) -> Option<(T, Taken<'_, T>)> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some(job) = state.waiting.pop() {
                self.waiting.store(state.waiting.len(), Ordering::Relaxed);
                state.busy += 1;
                return Some((job, Taken { jobs: self }));
            }
            if state.busy == 0 {
                return None;
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets nobody take a job any more.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut state = self.jobs.lock();
        state.busy -= 1;
        if state.busy == 0 {
            self.jobs.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_also_those_that_come_later() {
        // Each job of n brings two of n - 1: 2^11 - 1 in all.
        let jobs = Jobs::new(10, 4);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some((depth, _taken)) = jobs.take() {
                        done.fetch_add(1, Ordering::Relaxed);
                        if depth > 0 {
                            jobs.put(depth - 1);
                            jobs.put(depth - 1);
                        }
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), (1 << 11) - 1);
    }

    #[test]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let jobs = Jobs::new((), 1);
        std::thread::scope(|scope| {
            let failing = scope.spawn(|| {
                let _taken = jobs.take();
                panic!("as a worker might");
            });
            assert!(failing.join().is_err());
            assert!(jobs.take().is_none());
        });
    }

    #[test]
    fn nothing_is_taken_after_the_stop() {
        let jobs = Jobs::new((), 1);
        jobs.stop();
        assert!(jobs.take().is_none());
    }
}
