//! How many transitions of tasks the whole system journals, with and without subscribers.
//!
//! Counted are changes of a task's state that were committed and told: each of these tasks is created,
//! starts and ends, three transitions, in at least two commits, with five events.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use keepwell_actors::{AskError, EVENTS_BEHIND_MAX, Handle, Told};
use keepwell_messages::{GetTaskManagerStats, PauseAllBackups, PerformBackup, Refusal};
use tokio::task::JoinHandle;

use crate::figures::Figures;
use crate::journal::{BURST, MANUAL, item};
use crate::start::memory;
use crate::system::{Started, run};

const TRANSITIONS_MIN: u64 = 2_000;
const TRANSITIONS_OF_TASK: u64 = 3;
const EVENTS_OF_TASK: u64 = 5;
const MEASURED: Duration = Duration::from_secs(10);
const SENDERS: u32 = 200;
const SUBSCRIBERS: usize = 1_000;
/// One in so many rests this long after each event that it reads, until it is told that it missed some.
const SLOW_EVERY: usize = 20;
const SLOW_REST: Duration = Duration::from_secs(2);
/// A slow one that asks again reads so many events, more than it may be behind.
const READ_AGAIN: u64 = EVENTS_BEHIND_MAX as u64 + 1_000;

/// With nobody who listens.
pub fn without_subscribers(folder: &Path, figures: &mut Figures) {
    let (tasks, _) =
        run(folder, TimeDelta::zero(), |_| {}, async |started: Started| perform_many(&started.handle).await);
    judge(figures, tasks);
    memory(figures);
}

fn judge(figures: &mut Figures, (tasks, elapsed): (u64, Duration)) {
    let rate = |count: u64| format!("{:.0}/s", count as f64 / elapsed.as_secs_f64());
    figures.note("tasks from creation to end", rate(tasks));
    figures.note("events", rate(tasks * EVENTS_OF_TASK));
    figures.at_least_a_second("transitions", tasks * TRANSITIONS_OF_TASK, elapsed, TRANSITIONS_MIN);
}

/// With a thousand, some of whom are slow.
pub fn with_subscribers(folder: &Path, figures: &mut Figures) {
    let (told, _) = run(
        folder,
        TimeDelta::zero(),
        |_| {},
        async |started: Started| {
            let handle = started.handle;
            let over = Arc::new(AtomicBool::new(false));
            let subscribers = (0..SUBSCRIBERS).map(|number| subscribe(&handle, number, &over));
            let subscribers: Vec<_> = subscribers.collect();
            let tasks = perform_many(&handle).await;
            over.store(true, Ordering::Release);
            // One more event wakes those who wait.
            handle.ask(PauseAllBackups {}).await.expect("it pauses");
            let mut told = Vec::new();
            for subscriber in subscribers {
                told.push(subscriber.await.expect("it listens to the end"));
            }
            (tasks, told)
        },
    );
    let (tasks, told) = told;
    judge(figures, tasks);
    let (slow, fast): (Vec<Heard>, Vec<Heard>) = told.into_iter().partition(|heard| heard.slow);
    let share = |count: u64, of: usize| count / of.max(1) as u64;
    figures.note("subscribers that read on", fast.len());
    figures.note(
        "events that each of them heard",
        share(fast.iter().map(|heard| heard.events).sum(), fast.len()),
    );
    figures.note("of them were told that they missed some", fast.iter().filter(|heard| heard.missed).count());
    let missed = slow.iter().filter(|heard| heard.missed).count();
    figures.holds("slow ones that were told that they missed some", missed, missed == slow.len(), "all");
    let whole = slow.iter().filter(|heard| heard.got_the_rest).count();
    figures.holds("of them asked again and got every event", whole, whole == slow.len(), "all");
    memory(figures);
}

/// Tasks that were made and ended, from many senders at once.
async fn perform_many(handle: &Handle) -> (u64, Duration) {
    let ended = async || {
        let stats = handle.ask(GetTaskManagerStats {}).await.expect("the manager answers");
        stats.completed
    };
    let (before, began) = (ended().await, Instant::now());
    let senders = (0..SENDERS).map(|sender| {
        let handle = handle.clone();
        tokio::spawn(async move {
            let own = (BURST + sender..BURST + MANUAL).step_by(SENDERS as usize).cycle();
            for number in own.take_while(|_| began.elapsed() < MEASURED) {
                let made = handle.ask(PerformBackup { item: item(number).id }).await;
                // Refused is one whose item's task before has not ended yet.
                let is_duplicate = matches!(made, Err(AskError::Refused(Refusal::DuplicateTask(_))));
                assert!(made.is_ok() || is_duplicate, "{made:?}");
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("it sends");
    }
    (ended().await - before, began.elapsed())
}

/// What one subscriber heard.
struct Heard {
    slow: bool,
    events: u64,
    missed: bool,
    got_the_rest: bool,
}

fn subscribe(handle: &Handle, number: usize, over: &Arc<AtomicBool>) -> JoinHandle<Heard> {
    let (handle, over) = (handle.clone(), over.clone());
    let mut subscription = handle.subscribe(None).expect("it runs");
    tokio::spawn(async move {
        let slow = number.is_multiple_of(SLOW_EVERY);
        let mut heard = Heard { slow, events: 0, missed: false, got_the_rest: false };
        while let Some(told) = subscription.next().await {
            match told {
                Told::Event(_) => heard.events += 1,
                Told::Missed { after } => {
                    heard.missed = true;
                    if slow {
                        heard.got_the_rest = hears_all_after(&handle, after).await;
                        return heard;
                    }
                }
                Told::Progress(_) => {}
            }
            if over.load(Ordering::Acquire) {
                return heard;
            }
            if slow {
                tokio::time::sleep(SLOW_REST).await;
            }
        }
        heard
    })
}

/// Asks again for what was missed, and hears it and what follows on it.
async fn hears_all_after(handle: &Handle, after: u64) -> bool {
    let mut again = handle.subscribe(Some(after)).expect("it runs");
    for number in after + 1..=after + READ_AGAIN {
        match again.next().await {
            Some(Told::Event(event)) if event.number == number => {}
            _ => return false,
        }
    }
    true
}
