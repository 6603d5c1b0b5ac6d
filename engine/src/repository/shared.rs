//! The repositories that this process has open: one for each place, however many use it.
//!
//! One index, one lock, one set of blobs in flight. The last user closes it. A password is
//! tried even if the repository is open already: who does not know it gets nothing.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use secrecy::SecretString;

use crate::error::Result;
use crate::repository::{Repository, RepositoryOptions};
use crate::store::{Location, StoreSettings};

/// Gives a repository's password when it is wanted.
pub type PasswordSource = Arc<dyn Fn() -> Result<SecretString> + Send + Sync>;

/// How to get at a repository.
#[derive(Clone)]
pub struct RepositoryAddress {
    /// Where it lies.
    pub location: Location,
    /// How to reach it. The same text with other options (another endpoint, another account) is another place.
    pub settings: StoreSettings,
    /// Asked at every use.
    pub password: PasswordSource,
}

/// Open repositories, shared and counted.
pub struct Repositories {
    options: RepositoryOptions,
    places: Mutex<Vec<Place>>,
}

struct Place {
    location: String,
    settings: StoreSettings,
    /// Locked while the repository is opened, so that only one opens it.
    repository: Arc<Mutex<Weak<Repository>>>,
}

impl Repositories {
    /// None open; all that are will be opened with `options`.
    pub fn new(options: RepositoryOptions) -> Self {
        Self { options, places: Mutex::default() }
    }

    /// The repository at `address`: the open one, else it is opened. Blocks for the key
    /// derivation and the store's answers.
    ///
    /// # Errors
    /// As [`Repository::open`], the password's source first.
    pub fn open(&self, address: &RepositoryAddress) -> Result<Arc<Repository>> {
        let password = (address.password)()?;
        let place = self.place(address);
        let mut open = place.lock();
        if let Some(repository) = open.upgrade() {
            repository.ensure_opens_with(&password)?;
            return Ok(repository);
        }
        let options = self.options.clone();
        let repository = Repository::open(&address.location, &address.settings, &password, options)?;
        *open = Arc::downgrade(&repository);
        Ok(repository)
    }

    fn place(&self, address: &RepositoryAddress) -> Arc<Mutex<Weak<Repository>>> {
        let location = address.location.to_string();
        let mut places = self.places.lock();
        places.retain(|place| {
            let is_being_opened = Arc::strong_count(&place.repository) > 1;
            is_being_opened || place.repository.lock().strong_count() > 0
        });
        let same = |place: &&Place| {
            place.location == location && place.settings.reaches_the_same_as(&address.settings)
        };
        if let Some(place) = places.iter().find(same) {
            return place.repository.clone();
        }
        let repository = Arc::<Mutex<Weak<Repository>>>::default();
        let settings = address.settings.clone();
        places.push(Place { location, settings, repository: repository.clone() });
        repository
    }
}
