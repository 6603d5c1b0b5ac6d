//! What subscribers hear, from the journal and the hub alone.

use chrono::DateTime;
use keepwell_messages::{Event, ItemRef};

use super::*;
use crate::hub::{EVENTS_BEHIND_MAX, Hub};
use crate::journal::Batch;

struct World {
    journal: Journal,
    hub: Hub,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path(), DateTime::UNIX_EPOCH).unwrap();
        Self { journal, hub: Hub::new(), folder }
    }

    fn subscribe(&self, after: Option<u64>) -> Subscription {
        Subscription::new(self.hub.listen().unwrap(), after, self.journal.clone())
    }

    /// Has so many events committed together, and told as actors have them told.
    fn commit(&self, count: usize) {
        let event = Event::ItemRemoved(ItemRef { item: "any".into() });
        let batch = Batch { events: vec![event; count], ..Batch::new(DateTime::UNIX_EPOCH) };
        let hub = self.hub.clone();
        self.journal.commit(batch, Box::new(move |fate| hub.tell(&fate.unwrap().events)));
    }

    fn commit_and_wait(&self, count: usize) {
        self.commit(count);
        self.journal.commit_and_wait(Batch::new(DateTime::UNIX_EPOCH)).unwrap();
    }
}

async fn number(subscription: &mut Subscription) -> u64 {
    match subscription.next().await {
        Some(Told::Event(event)) => event.number,
        other => panic!("an event was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn slow_subscriber_is_told_what_it_missed_and_gets_it_by_number() {
    for heard in [0, 1] {
        let world = World::new();
        world.commit_and_wait(3);
        let mut slow = world.subscribe(None);
        if heard == 1 {
            world.commit_and_wait(1);
            assert_eq!(number(&mut slow).await, 4);
        }
        world.commit_and_wait(EVENTS_BEHIND_MAX + 10);
        let told_last = 3 + heard;
        let last = told_last + EVENTS_BEHIND_MAX as u64 + 10;
        assert_eq!(slow.next().await, Some(Told::Missed { after: told_last }));
        assert_eq!(number(&mut slow).await, told_last + 11);

        let mut again = world.subscribe(Some(told_last));
        for expected in told_last + 1..=last {
            assert_eq!(number(&mut again).await, expected);
        }
    }
}

#[test]
fn subscriber_from_a_number_hears_each_event_once_while_others_are_committed() {
    let (before, in_all) = (600, 2_000);
    let world = World::new();
    world.commit_and_wait(before);
    std::thread::scope(|scope| {
        let commits = scope.spawn(|| (before..in_all).for_each(|_| world.commit(1)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for after in [0, 10, before as u64, 0, 599] {
            runtime.block_on(async {
                let mut subscription = world.subscribe(Some(after));
                for expected in after + 1..=in_all as u64 {
                    assert_eq!(number(&mut subscription).await, expected, "after {after}");
                }
            });
        }
        commits.join().unwrap();
    });
}

#[tokio::test]
async fn all_that_was_told_is_read_to_the_end_when_the_system_shuts_down() {
    let world = World::new();
    let (mut live, mut from_number) = (world.subscribe(None), world.subscribe(Some(0)));
    world.commit_and_wait(3);
    world.hub.close();
    for subscription in [&mut live, &mut from_number] {
        for expected in 1..=3 {
            assert_eq!(number(subscription).await, expected);
        }
        assert_eq!(subscription.next().await, None);
    }
}

#[tokio::test]
async fn who_asks_from_a_number_that_is_yet_to_come_is_told_of_it_and_goes_on_from_the_newest() {
    for (committed, after) in [(0, 1), (3, 4), (3, 1_000), (3, u64::MAX)] {
        let world = World::new();
        world.commit_and_wait(committed);
        let mut ahead = world.subscribe(Some(after));
        let newest = committed as u64;
        assert_eq!(ahead.next().await, Some(Told::Missed { after: newest }), "{committed} {after}");
        world.commit_and_wait(2);
        assert_eq!((number(&mut ahead).await, number(&mut ahead).await), (newest + 1, newest + 2));
    }
    // From the newest itself nothing is missed.
    let world = World::new();
    world.commit_and_wait(3);
    let mut current = world.subscribe(Some(3));
    world.commit(1);
    assert_eq!(number(&mut current).await, 4);
}

/// Until the journal's file is put back, it cannot be read.
fn hide_journal(world: &World) -> impl FnOnce() {
    let file = world.folder.path().join("journal.sqlite");
    let aside = world.folder.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    move || std::fs::rename(aside, file).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_now_is_read_again_and_not_told_as_missed() {
    let world = World::new();
    world.commit_and_wait(3);
    let put_back = hide_journal(&world);
    let mut from_number = world.subscribe(Some(0));
    // The clock stands still while the journal is being read.
    let minute = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(minute, from_number.next()).await.is_err(), "nothing is told meanwhile");
    put_back();
    world.commit_and_wait(1);
    for expected in 1..=4 {
        assert_eq!(number(&mut from_number).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_read_keeps_nobody_from_hearing_of_the_end() {
    let world = World::new();
    world.commit_and_wait(3);
    let _put_back = hide_journal(&world);
    let mut from_number = world.subscribe(Some(0));
    let hub = world.hub.clone();
    let close = async {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        hub.close();
    };
    let (told, ()) = tokio::join!(from_number.next(), close);
    assert_eq!(told, None);
}
