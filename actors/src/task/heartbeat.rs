//! When a worker must show signs of work: where it has counters, and moves them as long as it works.

use keepwell_messages::{Progress, RestoreTarget, Stage, TaskKind};

/// Whether a worker moves its counters as long as it works. Opening, locking and waiting for a slow source have
/// none, and their own time-outs; and a database whose dump its tools were given whole takes the time that
/// its indexes and its validation take.
pub(super) fn moves_counters(kind: &TaskKind, progress: &Progress) -> bool {
    let is_database = match kind {
        TaskKind::Backup(_) => false,
        TaskKind::Restore(request) => matches!(request.target, RestoreTarget::Firebird(_)),
    };
    let is_given = progress.stage == Stage::Verifying
        || progress.totals_final && progress.bytes_done >= progress.bytes_total;
    progress.stage != Stage::Preparing && !(is_database && is_given)
}

#[cfg(test)]
mod tests {
    use keepwell_messages::{FirebirdTarget, RestoreRequest};

    use super::*;

    fn restore(target: RestoreTarget) -> TaskKind {
        let (repository, snapshot, path) = ("r".into(), "latest".into(), String::new());
        TaskKind::Restore(RestoreRequest { repository, snapshot, path, target, verify: true })
    }

    #[test]
    fn a_worker_shows_signs_of_work_except_where_it_waits_for_others() {
        let backup = TaskKind::Backup("a".into());
        let folder = restore(RestoreTarget::Folder("/f".into()));
        let target = FirebirdTarget { source: "s".into(), database: "/d".into(), replace: false };
        let database = restore(RestoreTarget::Firebird(target));
        for (kind, stage, bytes_done, moves) in [
            (&backup, Stage::Preparing, 0, false),
            (&backup, Stage::Compressing, 9, true),
            (&backup, Stage::Uploading, 9, true),
            (&folder, Stage::Restoring, 9, true),
            (&folder, Stage::Verifying, 9, true),
            (&database, Stage::Preparing, 0, false),
            (&database, Stage::Restoring, 8, true),
            (&database, Stage::Restoring, 9, false),
            (&database, Stage::Verifying, 9, false),
        ] {
            let progress = Progress {
                stage,
                paused: false,
                files_done: 0,
                files_total: 1,
                bytes_done,
                bytes_total: 9,
                totals_final: true,
                bytes_new: 0,
                bytes_stored: 0,
                errors: 0,
                bytes_per_second: 0,
                seconds_left: None,
            };
            assert_eq!(moves_counters(kind, &progress), moves, "{kind:?} {stage:?} {bytes_done}");
        }
    }
}
