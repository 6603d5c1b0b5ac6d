//! Counting what there is to read: the folders of a backup walked once more, for
//! metadata only, with the same rules of what is left out. Nothing is told to anybody:
//! the backup itself tells what cannot be read.

use std::ops::ControlFlow;

use super::folder::WholeFolder;
use super::metadata::{kind_of, size_of};
use crate::control::Control;
use crate::error::Result;
use crate::format::NodeKind;
use crate::source::Totals;

/// Counts what is in `top`, telling each folder's share, also if it is nothing. Looks at `control` for every folder.
pub(super) fn count_folder(top: WholeFolder, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
    let mut folders = vec![top];
    while let Some(folder) = folders.pop() {
        control.checkpoint()?;
        let mut totals = Totals::default();
        // A folder that cannot be listed counts nothing.
        let Ok(handle) = folder.open() else { continue };
        let _ = folder.visit(&handle, &mut |name, stat| {
            match stat.map(|stat| (kind_of(&stat), size_of(&stat))) {
                Ok((NodeKind::Dir, _)) => folders.push(folder.below(name)),
                Ok((NodeKind::File, bytes)) => {
                    totals.files += 1;
                    totals.bytes = totals.bytes.saturating_add(bytes);
                }
                _ => {}
            }
            if control.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found(totals);
    }
    Ok(())
}
