//! The state machine of a task: which state follows which, as one table.
//!
//! `pending → running ⇄ paused`, and from there one of the three ends. Who may take a step, and when,
//! is decided elsewhere; whether it is a step at all, only here.

use keepwell_messages::TaskState;

/// What happens to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It gets a slot.
    Run,
    /// It is to stand still. A pending task stays pending, out of the queue's turn.
    Pause,
    /// It is to go on, and waits for a slot.
    Resume,
    /// Its attempt failed or was lost, and there will be another.
    Retry,
    /// Its attempt ended well. A worker may be through just as it is paused.
    Complete,
    /// Its last attempt failed.
    Fail,
    /// Somebody ends it.
    Cancel,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 7] =
        [Self::Run, Self::Pause, Self::Resume, Self::Retry, Self::Complete, Self::Fail, Self::Cancel];

    /// The state that is asked for.
    fn aim(self) -> TaskState {
        match self {
            Self::Run => TaskState::Running,
            Self::Pause => TaskState::Paused,
            Self::Resume | Self::Retry => TaskState::Pending,
            Self::Complete => TaskState::Completed,
            Self::Fail => TaskState::Failed,
            Self::Cancel => TaskState::Cancelled,
        }
    }
}

/// A step that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: TaskState,
    /// The state that was asked for.
    pub to: TaskState,
}

/// The state after `step`.
pub fn next_state(from: TaskState, step: Step) -> Result<TaskState, IllegalTransition> {
    use TaskState::{Cancelled, Completed, Failed, Paused, Pending, Running};
    let to = match (from, step) {
        (Pending | Paused, Step::Run) => Running,
        (Pending, Step::Pause) => Pending,
        (Running, Step::Pause) => Paused,
        (Pending | Paused, Step::Resume) => Pending,
        (Pending | Running | Paused, Step::Retry) => Pending,
        (Pending | Running | Paused, Step::Complete) => Completed,
        (Pending | Running | Paused, Step::Fail) => Failed,
        (Pending | Running | Paused, Step::Cancel) => Cancelled,
        (Running, Step::Run | Step::Resume) | (Paused, Step::Pause) | (Completed | Failed | Cancelled, _) => {
            return Err(IllegalTransition { from, to: step.aim() });
        }
    };
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: states; columns: steps. `-` is refused.
    const TABLE: &str = "
        state      run      pause    resume   retry    complete   fail    cancel
        pending    running  pending  pending  pending  completed  failed  cancelled
        running    -        paused   -        pending  completed  failed  cancelled
        paused     running  -        pending  pending  completed  failed  cancelled
        completed  -        -        -        -        -          -       -
        failed     -        -        -        -        -          -       -
        cancelled  -        -        -        -        -          -       -
    ";

    #[test]
    fn every_cell_of_the_table_holds() {
        let mut rows = TABLE.trim().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(rows.next().map(|header| header.len()), Some(1 + Step::ALL.len()));
        let mut seen = 0;
        for (row, from) in rows.zip(TaskState::ALL) {
            assert_eq!(row[0], from.to_string());
            for (cell, step) in row[1..].iter().zip(Step::ALL) {
                let found = next_state(from, step).map_or("-".into(), |state| state.to_string());
                assert_eq!(&found, cell, "{from} {step:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, TaskState::ALL.len() * Step::ALL.len());
    }

    #[test]
    fn a_refusal_names_both_states() {
        let refused = next_state(TaskState::Completed, Step::Resume).expect_err("it has ended");
        assert_eq!(refused.to_string(), "a task that is completed cannot become pending");
    }
}
