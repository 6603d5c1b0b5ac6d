//! What all doors share: commands by their names, replies as plain fields, and refusals with a code, words, and
//! what to do about them. Every door says the same of the same thing.

mod back_off;
#[cfg(test)]
mod document;
mod listening;
mod perform;
mod refused;
mod turns;

pub use back_off::BackOff;
pub use listening::Listening;
pub use perform::{COMMAND_BYTES_MAX, carry_out, fields_of, perform, read_command};
pub use refused::{DoorError, Kind};
pub use turns::Turns;
