//! Where a repository lies: any object store, seen as blocking calls on paths.
