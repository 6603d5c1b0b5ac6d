//! What a listing shows of an object, and how folders are walked where a store
//! has folders.

use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};

use super::failure::Failed;
use super::http::{ANSWER_BYTES_MAX, Call};
use super::traffic::Direction;
use super::{RENEWALS_MAX, Store, is_urgent, object_path};
use crate::error::Result;
use crate::id::Id;

/// Objects handed over at once while listing.
const LIST_BATCH: usize = 256;

/// Folders below the listed one that a WebDAV walk goes into: `data/xx`, and one to spare.
const WALK_DEPTH_MAX: usize = 2;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The id that is its name.
    pub id: Id,
    /// Its path in the repository.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: SystemTime,
}

impl Store {
    /// Tells `each` of every object below the folder `prefix` whose name is an id,
    /// in no order; a folder that is not there has none. Memory is bounded by a
    /// page of the store's answer (a folder's entries, locally and on WebDAV).
    /// `each` may use this store; its error ends the listing and is returned.
    pub fn list(&self, prefix: &str, mut each: impl FnMut(ListedObject) -> Result<()>) -> Result<()> {
        let at = object_path(prefix)?;
        let mut batches = self.listing(&at, None);
        let (mut last, mut renewals) = (None, 0);
        loop {
            let call = Call::new(ANSWER_BYTES_MAX, is_urgent(prefix));
            self.pass(prefix, Direction::Down, 0);
            let Some(batch) = self.runtime().block_on(call.run(batches.next())) else { return Ok(()) };
            for object in batch {
                match object {
                    Ok(object) => {
                        last = Some(object.location.clone());
                        if let Some(listed) = listed(object) {
                            each(listed)?;
                        }
                    }
                    Err(error) => {
                        let failed = Failed { error, answer: call.take_answer() };
                        // Clouds alone sign with a date, and all of them list in the order of names.
                        if !failed.is_stale() || renewals == RENEWALS_MAX {
                            return Err(self.failure("list", prefix, failed));
                        }
                        renewals += 1;
                        batches = self.listing(&at, last.as_ref());
                    }
                }
            }
        }
    }

    fn listing(
        &self,
        at: &ObjectPath,
        after: Option<&ObjectPath>,
    ) -> BoxStream<'static, Vec<object_store::Result<ObjectMeta>>> {
        let objects = &self.shared.objects;
        let listed = match after {
            Some(after) => objects.list_with_offset(Some(at), after),
            None if self.shared.is_webdav => walk(Arc::clone(objects), at.clone()).boxed(),
            None => objects.list(Some(at)),
        };
        listed.ready_chunks(LIST_BATCH).boxed()
    }
}

/// The object, if its name is an id.
fn listed(object: ObjectMeta) -> Option<ListedObject> {
    let id = object.location.filename()?.parse().ok()?;
    let modified = object.last_modified.into();
    Some(ListedObject { id, path: object.location.into(), size_bytes: object.size, modified })
}

/// Folder by folder: many WebDAV servers refuse to list everything below a folder
/// at once, and those that do not answer with one document for all of it.
fn walk(
    objects: Arc<dyn ObjectStore>,
    start: ObjectPath,
) -> impl Stream<Item = object_store::Result<ObjectMeta>> {
    futures::stream::try_unfold(vec![(start, 0)], move |mut folders| {
        let objects = Arc::clone(&objects);
        async move {
            let Some((folder, depth)) = folders.pop() else { return Ok::<_, object_store::Error>(None) };
            let found = objects.list_with_delimiter(Some(&folder)).await?;
            if depth < WALK_DEPTH_MAX {
                folders.extend(found.common_prefixes.into_iter().map(|below| (below, depth + 1)));
            }
            Ok(Some((futures::stream::iter(found.objects.into_iter().map(Ok)), folders)))
        }
    })
    .try_flatten()
}
