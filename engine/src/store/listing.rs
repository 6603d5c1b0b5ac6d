//! What a listing shows of an object, and how folders are walked where a store
//! has folders.

use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{Stream, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};

use crate::id::Id;

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

/// The object, if its name is an id.
pub(super) fn listed(object: ObjectMeta) -> Option<ListedObject> {
    let id = object.location.filename()?.parse().ok()?;
    let modified = object.last_modified.into();
    Some(ListedObject { id, path: object.location.into(), size_bytes: object.size, modified })
}

/// Folder by folder: many WebDAV servers refuse to list everything below a folder
/// at once, and those that do not answer with one document for all of it.
pub(super) fn walk(
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
