//! What to do about a failure, by its class.

use keepwell_messages::{ErrorClass, ItemId};

/// In the words of a person who has this program at hand; `None` if nothing is to be done.
pub(super) fn for_class(class: ErrorClass, item: &ItemId) -> Option<String> {
    let again = format!("`keepwell run {item}` tries again");
    Some(match class {
        ErrorClass::Network => {
            format!("check the network and the repository's address in the configuration; {again}")
        }
        ErrorClass::Server => format!("the store has a problem of its own: wait until it is over; {again}"),
        ErrorClass::Source => {
            format!(
                "check that what the item names is there, and may be read by the user that Keepwell runs as; {again}"
            )
        }
        ErrorClass::Repository => {
            "`keepwell check` tells what is wrong; `keepwell unlock` removes locks whose holder is gone"
                .into()
        }
        ErrorClass::Credentials => {
            format!("correct the password or the store's credentials that the configuration names; {again}")
        }
        ErrorClass::Space => {
            format!("make room where the repository lies; what was stored is kept, and {again}")
        }
        ErrorClass::Settings => format!("correct the item or the configuration; {again}"),
        ErrorClass::Crash => "this is a defect of Keepwell: please report it, with the log".into(),
        ErrorClass::Cancelled => return None,
    })
}
