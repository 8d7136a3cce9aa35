//! Pushing to registries: every blob first, then the manifest, so that no reference ever names an image that is not
//! complete. Registries are pushed to at the same time; within one, a destination after the other, so that each blob is
//! sent to it once and mounted everywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{LocalBoxFuture, join_all, try_join_all};
use tracing::warn;

use crate::image::{Digest, Reference};
use crate::registry::push::{BlobDelivery, Lookup};
use crate::registry::{ErrorKind, Purpose, Registries, RegistryError, Repository};

use super::error::{Attempt, PushError, PushFailures};
use super::layer_blobs::LayerBlobs;
use super::options::PushRules;
use super::parcel::{BlobPlace, Parcel, ParcelBlob};

/// Before the first further attempt of a whole push; doubled for each after it. As kaniko's.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// What was delivered where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The reference that now names the image.
    pub destination: Reference,
    /// The manifest's digest.
    pub digest: Digest,
    /// Blobs that were there before, or that the registry took from another repository.
    pub reused: usize,
    /// Blobs that were sent.
    pub sent: usize,
}

/// Finds out whether images may be pushed to the destinations, before a build is made in vain. Each repository is asked
/// once, all at the same time.
pub async fn check_push_access(
    registries: &Registries,
    destinations: &[Reference],
) -> Result<(), PushFailures> {
    let by_name = destinations.iter().map(|one| (one.name(), one));
    let by_name: BTreeMap<String, &Reference> = by_name.rev().collect();
    let checks = by_name
        .values()
        .map(|destination| check_one(registries, destination));
    let checked = join_all(checks).await;
    let failures = checked.into_iter().filter_map(Result::err).collect();
    PushFailures::check(failures, by_name.len(), None)
}

async fn check_one(registries: &Registries, destination: &Reference) -> Result<(), PushError> {
    let check = async {
        let repository = registries.repository(destination, Purpose::Push)?;
        repository.check_push_access().await
    };
    let checked: Result<(), RegistryError> = check.await;
    checked.map_err(|error| PushError::new(destination, Attempt::Check, error.into()))
}

/// One thing on its way to several places.
pub(super) struct Pusher<'a> {
    pub(super) parcel: &'a Parcel,
    pub(super) blobs: &'a LayerBlobs,
    pub(super) rules: PushRules,
    /// Hears of each push that is done.
    pub(super) on_receipt: &'a (dyn Fn(&Receipt) + Sync),
}

impl Pusher<'_> {
    /// Pushes to all destinations. None keeps another from its turn; returns what failed, in no order.
    pub(super) async fn push_everywhere(&self, destinations: &[Reference]) -> Vec<PushError> {
        let mut by_registry: BTreeMap<&str, Vec<&Reference>> = BTreeMap::new();
        for destination in destinations {
            let of_registry = by_registry.entry(destination.registry()).or_default();
            of_registry.push(destination);
        }
        let is_one_of_several = destinations.len() > 1;
        let pushes = by_registry
            .into_values()
            .map(|destinations| self.push_to_registry(destinations, is_one_of_several));
        join_all(pushes).await.into_iter().flatten().collect()
    }

    async fn push_to_registry(
        &self,
        destinations: Vec<&Reference>,
        is_one_of_several: bool,
    ) -> Vec<PushError> {
        let mut failures = Vec::new();
        let mut complete: Option<&str> = None;
        for destination in destinations {
            match self.push_with_retries(destination, complete).await {
                Ok(receipt) => {
                    (self.on_receipt)(&receipt);
                    complete = Some(destination.repository());
                }
                Err(failure) => {
                    if is_one_of_several {
                        warn!("{}", failure.on_one_line());
                    }
                    failures.push(failure);
                }
            }
        }
        failures
    }

    /// `complete` is a repository of the same registry that has everything already.
    async fn push_with_retries(
        &self,
        destination: &Reference,
        complete: Option<&str>,
    ) -> Result<Receipt, PushError> {
        let mut delay = FIRST_DELAY;
        let mut retry = 1;
        loop {
            let failure = match self.push(destination, complete).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => {
                    PushError::new(destination, Attempt::Push(self.parcel.format()), error)
                }
            };
            if retry > self.rules.retries || is_final(&failure) {
                return Err(failure);
            }
            warn!(
                retry,
                of = self.rules.retries,
                delay_ms = delay.as_millis() as u64,
                "will push again: {}",
                failure.on_one_line()
            );
            tokio::time::sleep(delay).await;
            delay = delay.saturating_mul(2);
            retry += 1;
        }
    }

    async fn push(&self, destination: &Reference, complete: Option<&str>) -> Result<Receipt> {
        let registries = &self.blobs.registries;
        let repository = registries.repository(destination, Purpose::Push)?;
        let (deliveries, _) = self
            .push_contents(self.parcel, &repository, complete)
            .await?;
        self.name(&repository, destination.tag_or_digest()).await?;
        let sent = deliveries
            .iter()
            .filter(|delivery| **delivery == BlobDelivery::Uploaded)
            .count();
        Ok(Receipt {
            destination: destination.clone(),
            digest: self.parcel.digest().clone(),
            reused: deliveries.len() - sent,
            sent,
        })
    }

    /// Makes sure that the repository has all that a manifest or index lists, manifests included. Returns what became of
    /// each blob, and whether the manifest or index itself is there already.
    ///
    /// Boxed, as it calls itself.
    fn push_contents<'a>(
        &'a self,
        parcel: &'a Parcel,
        repository: &'a Repository,
        complete: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<(Vec<BlobDelivery>, bool)>> {
        Box::pin(self.push_level(parcel, repository, complete))
    }

    async fn push_level(
        &self,
        parcel: &Parcel,
        repository: &Repository,
        complete: Option<&str>,
    ) -> Result<(Vec<BlobDelivery>, bool)> {
        // A registry may have lost images of an index that it has: cleaners delete what no tag names. An image's blobs stay
        // as long as its manifest does.
        if parcel.children.is_empty() && has_manifest(repository, parcel.digest()).await {
            let there = vec![BlobDelivery::AlreadyThere; parcel.blob_count()];
            return Ok((there, true));
        }
        // One that is listed twice is sent once.
        let mut seen = BTreeSet::new();
        let blobs = parcel.blobs.iter();
        let blobs = blobs.filter(|blob| seen.insert(&blob.descriptor.digest));
        let blobs = blobs.map(|blob| self.push_blob(blob, repository, complete));
        let mut deliveries = try_join_all(blobs).await?;
        for child in &parcel.children {
            let (below, is_there) = self.push_contents(child, repository, complete).await?;
            deliveries.extend(below);
            if !is_there {
                put(repository, child.digest().as_str(), child).await?;
            }
        }
        Ok((deliveries, false))
    }

    /// Pushes one blob. The bytes of a base layer are only fetched where the registry has them neither here nor in
    /// the repository that they came from.
    async fn push_blob(
        &self,
        blob: &ParcelBlob,
        repository: &Repository,
        complete: Option<&str>,
    ) -> Result<BlobDelivery> {
        let descriptor = &blob.descriptor;
        let mount_from = complete.or_else(|| mountable_from(&blob.place, repository));
        let ticket = match repository.find_blob(descriptor, mount_from).await? {
            Lookup::Delivered(delivery) => return Ok(delivery),
            Lookup::Missing(ticket) => ticket,
        };
        let source = self.blobs.source(blob).await?;
        Ok(repository.send_blob(descriptor, &source, ticket).await?)
    }

    /// Writes the manifest under its tag; where that stands for another image for ever, and that is no error, under
    /// its digest, which is what digest files say.
    async fn name(&self, repository: &Repository, tag_or_digest: &str) -> Result<()> {
        let error = match put(repository, tag_or_digest, self.parcel).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.kind() != ErrorKind::TagImmutable || !self.rules.ignores_immutable_tags {
            return Err(error.into());
        }
        warn!("`{tag_or_digest}` stays what it is, which is no error by your wish: {error}");
        Ok(put(repository, self.parcel.digest().as_str(), self.parcel).await?)
    }
}

/// Says whether another attempt would end in the same way whatever the registry does.
fn is_final(failure: &PushError) -> bool {
    let kind = failure.registry_error().map(RegistryError::kind);
    kind.is_some_and(|kind| matches!(kind, ErrorKind::TagImmutable | ErrorKind::Local))
}

async fn put(
    repository: &Repository,
    tag_or_digest: &str,
    parcel: &Parcel,
) -> Result<(), RegistryError> {
    let media_type = &parcel.descriptor.media_type;
    let put = repository.put_manifest(tag_or_digest, media_type, &parcel.bytes);
    put.await.map(drop)
}

/// Returns the repository of the same registry that a blob came from.
fn mountable_from<'a>(place: &'a BlobPlace, repository: &Repository) -> Option<&'a str> {
    let origin = match place {
        BlobPlace::Store(origin) => origin.as_ref()?,
        BlobPlace::Here(_) | BlobPlace::Elsewhere => return None,
    };
    let is_same = origin.registry == repository.registry().host();
    is_same.then_some(origin.repository.as_str())
}

/// Says whether the repository has the image, under whatever tag: then it has all that the manifest lists, which no registry
/// gives up before it.
async fn has_manifest(repository: &Repository, digest: &Digest) -> bool {
    // What cannot be asked is pushed, and then says what is wrong.
    repository.resolve(digest.as_str()).await.is_ok()
}
