//! Running a command that is no build: to its end, or until somebody wants the program to end.

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::execute::{LONGEST_END, interruption};

/// Runs `work`, which is given the wish that it end: files that are being written must not be left half-written.
pub(super) fn in_runtime<W>(work: impl FnOnce(CancellationToken) -> W) -> Result<()>
where
    W: Future<Output = Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let halt = CancellationToken::new();
    let result = runtime.block_on(async {
        tokio::select! {
            result = work(halt.clone()) => result,
            interruption = interruption() => Err(interruption?.into()),
        }
    });
    halt.cancel();
    // Files that are still being written are removed by those who write them.
    runtime.shutdown_timeout(LONGEST_END);
    result
}
