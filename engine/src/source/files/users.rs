//! Names of users and groups by their numbers, each looked up once per source.
//! A number without a name has the empty one, as in restic.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// Looked-up names. Bounded by the users and groups that own something.
#[derive(Default)]
pub(super) struct UserNames {
    users: RwLock<HashMap<u32, Arc<str>>>,
    groups: RwLock<HashMap<u32, Arc<str>>>,
}

impl UserNames {
    pub(super) fn user(&self, uid: u32) -> Arc<str> {
        cached(&self.users, uid, || {
            uzers::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into())
        })
    }

    pub(super) fn group(&self, gid: u32) -> Arc<str> {
        cached(&self.groups, gid, || {
            uzers::get_group_by_gid(gid).map(|group| group.name().to_string_lossy().into())
        })
    }
}

fn cached(
    names: &RwLock<HashMap<u32, Arc<str>>>,
    id: u32,
    look_up: impl FnOnce() -> Option<Arc<str>>,
) -> Arc<str> {
    if let Some(name) = names.read().get(&id) {
        return Arc::clone(name);
    }
    // Looked up without the lock: a directory service may take its time.
    let name = look_up().unwrap_or_else(|| Arc::from(""));
    Arc::clone(names.write().entry(id).or_insert(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_unknown_numbers_have_none() {
        let names = UserNames::default();
        assert_eq!(&*names.user(0), "root");
        assert_eq!(&*names.group(0), "root");
        assert_eq!(&*names.user(3_999_999_999), "");
        assert!(Arc::ptr_eq(&names.user(0), &names.user(0)));
    }
}
