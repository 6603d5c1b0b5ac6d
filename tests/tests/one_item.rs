//! A process that is there for one item leaves everything else to the next one that is there for all.

use chrono::TimeDelta;
use keepwell_actors::Settings;
use keepwell_messages::{
    CancelReason, DueOutcome, ErrorClass, GetItems, Item, PerformBackup, Refusal, TaskEnd, TaskState, Trigger,
};
use keepwell_tests::simulated::{World, fails, item, takes};

/// Settings of a process whose configuration has these items.
fn with(items: &[Item]) -> impl FnOnce(Settings) -> Settings {
    let items = items.to_vec();
    |settings| Settings { items, ..settings }
}

/// Settings of a process that is there for one of them.
fn only(item: &Item) -> impl FnOnce(Settings) -> Settings {
    let item = item.clone();
    |settings| Settings { only_item: Some(item.id.clone()), items: vec![item], ..settings }
}

fn items() -> [Item; 2] {
    [item("ours", Some("daily 02:00")), item("theirs", Some("daily 03:00"))]
}

#[test]
fn nothing_is_due_in_it_and_the_next_process_catches_up_what_was() {
    let world = World::at("2026-01-01 12:00");
    let [ours, theirs] = items();
    world.life_with(with(&[ours.clone(), theirs.clone()]), async |life| life.pass(1).await);
    world.off_for(TimeDelta::days(3));
    world.life_with(only(&ours), async |life| {
        life.pass(60).await;
        assert_eq!(life.active().await, [], "nothing that is overdue is started");
        let task = life.back_up("ours").await;
        // Past the due times of both.
        life.pass(86_400).await;
        assert_eq!(life.state(task).await, TaskState::Completed);
        assert_eq!(life.started().len(), 1, "{:?}", life.started());
        for id in ["ours", "theirs"] {
            assert_eq!(life.outcomes(id).await, [], "{id}: the due times stay undecided");
        }
        let refusal = life.refused(PerformBackup { item: "theirs".into() }).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal}");
        life.handle.shutdown().await;
    });
    world.life_with(with(&[ours, theirs]), async |life| {
        life.pass(600).await;
        for (id, due) in [("ours", "02:00"), ("theirs", "03:00")] {
            let outcomes = life.outcomes(id).await;
            assert!(
                matches!(outcomes[..], [ref one] if matches!(one.outcome, DueOutcome::CoveredBy(_))),
                "{id}"
            );
            let shown = |at: chrono::DateTime<chrono::Utc>| at.format("%d %H:%M").to_string();
            let range = (shown(outcomes[0].since), shown(outcomes[0].due));
            assert_eq!(range, (format!("02 {due}"), format!("05 {due}")), "one catch-up for all of them");
        }
    });
}

#[test]
fn what_the_journal_knows_of_items_stays_as_it_is() {
    let world = World::at("2026-01-01 12:00");
    let [ours, theirs] = items();
    let changed = Item { tags: vec!["of another file".into()], ..ours.clone() };
    world.life_with(with(&[ours.clone(), theirs.clone()]), async |life| life.pass(1).await);
    world.life_with(only(&changed), async |life| {
        let task = life.back_up("ours").await;
        life.pass(600).await;
        assert_eq!(life.state(task).await, TaskState::Completed);
        assert_eq!(life.started()[0].item.as_ref(), Some(&changed), "it is backed up as this process has it");
    });
    world.life_with(only(&item("neither", None)), async |life| {
        let known: Vec<Item> = life.ask(GetItems {}).await.items.into_iter().map(|now| now.item).collect();
        assert_eq!(known, [item("neither", None), ours.clone(), theirs.clone()]);
    });
}

#[test]
fn tasks_of_other_items_stay_in_the_journal_as_they_are() {
    let world = World::at("2026-01-01 12:00");
    let [ours, theirs] = items();
    world.lay_down("theirs", [fails(60, ErrorClass::Server), takes(60)]);
    let (our_task, their_task) = world.life_with(with(&[ours.clone(), theirs.clone()]), async |life| {
        let tasks = (life.back_up("ours").await, life.back_up("theirs").await);
        life.pass(30).await;
        tasks
    });
    // Both were running when the process was killed.
    world.life_with(only(&ours), async |life| {
        life.pass(3600).await;
        let task = life.task(our_task).await;
        assert_eq!((task.state, task.attempt, task.trigger), (TaskState::Completed, 2, Trigger::Manual));
        assert_eq!(life.task(their_task).await.state, TaskState::Running, "as it was");
        life.handle.shutdown().await;
    });
    world.life_with(with(&[ours, theirs]), async |life| {
        life.pass(3600).await;
        let task = life.task(their_task).await;
        assert_eq!((task.state, task.attempt), (TaskState::Completed, 2), "{task:?}");
        assert!(!matches!(task.end, Some(TaskEnd::Cancelled(CancelReason::Shutdown))));
    });
}
