//! What the program that Keepwell follows tested, topic by topic, shown by the actor system on virtual time.
//! Its edge cases are in `edge_cases.rs`.

use keepwell_tests::simulated::{World, fails, item, takes, utc};

mod task_manager_initialization {
    use super::*;
    use keepwell_messages::{SetMaxConcurrentTasks, TaskManagerStats};

    #[test]
    fn a_new_manager_has_three_slots_and_nothing_to_do() {
        World::at("2026-03-01 01:00").life(async |life| {
            let nothing = TaskManagerStats { max_concurrent_tasks: 3, ..TaskManagerStats::default() };
            assert_eq!(life.stats().await, nothing);
            assert_eq!(life.active().await, []);
        });
    }

    #[test]
    fn the_limit_can_be_changed_while_it_runs_and_outlives_a_restart() {
        let world = World::at("2026-03-01 01:00");
        world.life(async |life| {
            for item in ["a", "b", "c"] {
                life.set_item(item, None).await;
                life.back_up(item).await;
            }
            let stats = life.ask(SetMaxConcurrentTasks { max_concurrent_tasks: 1 }).await;
            assert_eq!((stats.running, stats.max_concurrent_tasks), (3, 1), "those that run go on");
            let refused = life.refused(SetMaxConcurrentTasks { max_concurrent_tasks: 0 }).await;
            assert_eq!(refused.to_string(), "max_concurrent_tasks is 1 to 64, not 0");
        });
        world.life(async |life| assert_eq!(life.stats().await.max_concurrent_tasks, 1));
    }
}

mod task_creation_and_lifecycle {
    use super::*;
    use keepwell_messages::{
        CancelTask, ErrorClass, GetHistory, PauseBackup, PerformBackup, Refusal, ResumeBackup, TaskEnd,
        TaskState,
    };

    #[test]
    fn a_task_goes_from_pending_through_running_and_paused_to_completed() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(600)]);
        world.life(async |life| {
            life.set_item("papers", None).await;
            let task = life.back_up("papers").await;
            assert_eq!(life.state(task).await, TaskState::Running);
            life.pass(60).await;
            assert_eq!(life.ask(PauseBackup { task: None }).await.state, TaskState::Paused);
            life.pass(7200).await;
            assert_eq!(life.state(task).await, TaskState::Paused);
            assert_eq!(life.ask(ResumeBackup { task: None }).await.state, TaskState::Running);
            life.pass(600).await;
            let ended = life.task(task).await;
            assert_eq!((ended.state, ended.attempt), (TaskState::Completed, 1));
            assert!(matches!(ended.end, Some(TaskEnd::BackedUp(backup)) if backup.files == 100));
            let history = life.ask(GetHistory { item: Some("papers".into()), before: None, limit: 10 }).await;
            assert_eq!(history.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [task]);
        });
    }

    #[test]
    fn running_paused_pending_and_retrying_tasks_can_be_cancelled_and_ended_ones_cannot() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("runs", [takes(3600)]);
        world.lay_down("paused", [takes(3600)]);
        world.lay_down("retries", [fails(1, ErrorClass::Server)]);
        world.lay_down("also runs", [takes(3600)]);
        world.life(async |life| {
            let mut tasks = Vec::new();
            for item in ["runs", "paused", "retries", "also runs", "waits", "waits, too"] {
                life.set_item(item, None).await;
                tasks.push(life.back_up(item).await);
            }
            life.ask(PauseBackup { task: Some(tasks[1]) }).await;
            life.pass(5).await;
            // The one that runs comes last: its slot goes to the next that waits.
            let found = [tasks[5], tasks[2], tasks[1], tasks[0]];
            use TaskState::{Cancelled, Paused, Pending, Running};
            for (task, state) in found.into_iter().zip([Pending, Pending, Paused, Running]) {
                assert_eq!(life.state(task).await, state);
                assert_eq!(life.ask(CancelTask { task }).await.state, Cancelled);
                let again = life.refused(CancelTask { task }).await;
                assert_eq!(again, Refusal::UnknownTask(task));
                assert_eq!(life.state(task).await, Cancelled, "its history stays");
            }
            life.pass(7200).await;
            assert_eq!((life.stats().await.completed, life.stats().await.cancelled), (2, 4));
        });
    }

    #[test]
    fn commands_about_what_is_not_there_are_refused_with_a_reason() {
        World::at("2026-03-01 01:00").life(async |life| {
            let unknown = life.refused(PerformBackup { item: "nothing".into() }).await;
            assert_eq!(unknown.to_string(), "there is no item nothing");
            assert_eq!(life.refused(PauseBackup { task: None }).await, Refusal::WhichTask(Vec::new()));
            for name in ["a", "b"] {
                life.set_item(name, None).await;
                life.back_up(name).await;
            }
            let which = life.refused(PauseBackup { task: None }).await;
            assert!(matches!(&which, Refusal::WhichTask(tasks) if tasks.len() == 2), "{which:?}");
            let running = life.active().await[0].id;
            let not_paused = life.refused(ResumeBackup { task: Some(running) }).await;
            assert!(not_paused.to_string().ends_with("is running and cannot become running"), "{not_paused}");
        });
    }
}

mod event_system {
    use super::*;
    use keepwell_actors::Told;
    use keepwell_messages::{ErrorClass, GetEvents};

    #[test]
    fn every_step_of_a_task_is_told_in_order_and_numbered_without_a_gap() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [fails(5, ErrorClass::Server), takes(5)]);
        world.life(async |life| {
            life.set_item("papers", None).await;
            let task = life.back_up("papers").await;
            life.pass(120).await;
            let told = life.events_of(task);
            let expected = [
                "created",
                "queued",
                "running",
                "pending",
                "task-retry",
                "running",
                "completed",
                "task-completed",
            ];
            assert_eq!(told, expected);
            let numbers: Vec<u64> = life.events().iter().map(|event| event.number).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        });
    }

    #[test]
    fn progress_is_told_with_message_percent_and_stage_and_never_falls() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(20)]);
        world.life(async |life| {
            life.set_item("papers", None).await;
            life.back_up("papers").await;
            life.pass(60).await;
            let progress = life.progress();
            assert!(
                progress.iter().any(|told| told.message == "Compressing: 50/100 files (50%)"),
                "{progress:?}"
            );
            assert!(progress.windows(2).all(|pair| pair[0].percent <= pair[1].percent), "{progress:?}");
        });
    }

    #[test]
    fn a_subscriber_that_comes_back_after_a_restart_misses_nothing() {
        let world = World::at("2026-03-01 01:00");
        let before = world.life(async |life| {
            life.set_item("papers", Some("every 1h")).await;
            life.pass_until("2026-03-01 03:30").await;
            life.events()
        });
        world.life(async |life| {
            life.pass(3600).await;
            let all = life.events();
            assert_eq!(all[..before.len()], before);
            let after = before[2].number;
            let mut subscription = life.handle.subscribe(Some(after)).expect("it runs");
            for expected in &all[3..] {
                match subscription.next().await {
                    Some(Told::Event(event)) => assert_eq!(*event, *expected),
                    other => unreachable!("{other:?}"),
                }
            }
            let page = life.ask(GetEvents { after, limit: 2 }).await;
            assert_eq!((page.events, page.oldest_kept), (all[3..5].to_vec(), 1));
        });
    }
}

mod duplicate_detection {
    use super::*;
    use keepwell_messages::{CommandId, PerformBackup, Refusal};

    #[test]
    fn an_item_has_one_task_at_a_time_and_gets_another_when_that_has_ended() {
        World::at("2026-03-01 01:00").life(async |life| {
            life.set_item("papers", None).await;
            let first = life.back_up("papers").await;
            let refused = life.refused(PerformBackup { item: "papers".into() }).await;
            assert_eq!(refused, Refusal::DuplicateTask(first));
            life.pass(120).await;
            assert_ne!(life.back_up("papers").await, first);
        });
    }

    #[test]
    fn a_command_sent_twice_under_one_id_is_carried_out_once_also_across_a_restart() {
        let world = World::at("2026-03-01 01:00");
        let id = CommandId("0196f1c4-0000-7000-8000-000000000001".parse().expect("an id"));
        let command = || PerformBackup { item: "papers".into() }.into();
        let first = world.life(async |life| {
            life.set_item("papers", None).await;
            let (one, two) =
                tokio::join!(life.handle.ask_as(id, command()), life.handle.ask_as(id, command()));
            assert_eq!(one, two);
            life.pass(120).await;
            assert_eq!(life.handle.ask_as(id, command()).await, one);
            one.expect("it is carried out")
        });
        world.life(async |life| {
            assert_eq!(life.handle.ask_as(id, command()).await, Ok(first));
            life.pass(1).await;
            assert_eq!(life.created("papers").len(), 1);
        });
    }
}

mod global_pause {
    use super::*;
    use keepwell_messages::{Event, PauseAllBackups, PauseBackup, ResumeAllBackups};

    #[test]
    fn pausing_and_resuming_all_is_told_once_each_and_counts_the_tasks() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("a", [takes(600)]);
        world.lay_down("b", [takes(600)]);
        world.life(async |life| {
            for name in ["a", "b"] {
                life.set_item(name, None).await;
                life.back_up(name).await;
            }
            let paused = life.active().await[0].id;
            life.ask(PauseBackup { task: Some(paused) }).await;
            assert_eq!(life.ask(PauseAllBackups {}).await.tasks, 1);
            assert_eq!(life.ask(PauseAllBackups {}).await.tasks, 0);
            assert_eq!(life.stats().await.paused, 2);
            assert_eq!(life.ask(ResumeAllBackups {}).await.tasks, 2);
            assert_eq!(life.stats().await.running, 2);
            let told: Vec<bool> = life
                .events()
                .iter()
                .filter_map(|event| match &event.event {
                    Event::GlobalPause(pause) => Some(pause.paused),
                    _ => None,
                })
                .collect();
            assert_eq!(told, [true, false]);
        });
    }
}

mod scheduler_utilities {
    use super::*;
    use chrono::TimeDelta;
    use keepwell_messages::{
        CancelReason, DueOutcome, EnableItem, GetItems, ItemId, RemoveItem, ScheduleText, SetItem, TaskEnd,
    };

    #[test]
    fn the_next_due_time_is_shown_and_moves_on_after_success_and_after_failure() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(60), fails(60, keepwell_messages::ErrorClass::Settings)]);
        world.life(async |life| {
            life.set_item("papers", Some("daily 02:00")).await;
            for day in ["2026-03-01 02:00", "2026-03-02 02:00", "2026-03-03 02:00"] {
                let items = life.ask(GetItems {}).await.items;
                assert_eq!(items[0].next_due, Some(utc(day)));
                life.pass_until(day).await;
                life.pass(600).await;
            }
            let items = life.ask(GetItems {}).await.items;
            assert!(matches!(&items[0].latest, Some(latest) if matches!(latest.end, TaskEnd::Failed(_))));
            assert_eq!(life.created("papers").len(), 3);
        });
    }

    #[test]
    fn a_due_time_years_away_needs_no_timer_of_years() {
        World::at("2026-03-01 01:00").life(async |life| {
            life.set_item("leap", Some("0 4 29 2 *")).await;
            let next = life.ask(GetItems {}).await.items[0].next_due;
            assert_eq!(next, Some(utc("2028-02-29 04:00")));
            life.pass(60 * 86_400).await;
            assert_eq!(life.created("leap").len(), 0);
        });
    }

    #[test]
    fn items_are_added_changed_disabled_and_removed() {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(7200)]);
        world.life(async |life| {
            life.set_item("papers", Some("daily 02:00")).await;
            life.set_item("papers", Some("daily 03:00")).await;
            life.pass_until("2026-03-01 02:30").await;
            assert_eq!(life.created("papers").len(), 0, "the new schedule counts");
            let papers: ItemId = "papers".into();
            let disabled = life.ask(EnableItem { item: papers.clone(), enabled: false }).await;
            assert_eq!((disabled.item.enabled, disabled.next_due), (false, None));
            life.pass_until("2026-03-01 03:30").await;
            assert_eq!(life.outcomes("papers").await[0].outcome, DueOutcome::Disabled);
            life.ask(EnableItem { item: papers.clone(), enabled: true }).await;
            life.pass_until("2026-03-02 03:30").await;
            let task = life.created("papers")[0].1;
            life.ask(RemoveItem { item: papers }).await;
            life.pass(60).await;
            assert_eq!(life.task(task).await.end, Some(TaskEnd::Cancelled(CancelReason::ItemRemoved)));
            assert_eq!(life.ask(GetItems {}).await.items, []);
            life.pass(5 * 86_400).await;
            assert_eq!(life.created("papers").len(), 1);
        });
    }

    #[test]
    fn schedules_that_cannot_be_meant_are_refused_with_what_to_write_instead() {
        World::at("2026-03-01 01:00").life(async |life| {
            let with = |spec: &str, time_zone: &str| {
                let schedule =
                    ScheduleText { spec: spec.into(), time_zone: time_zone.into(), jitter_seconds: None };
                SetItem { item: keepwell_messages::Item { schedule: Some(schedule), ..item("papers", None) } }
            };
            for (spec, zone, part) in [
                ("0 3 30 2 *", "UTC", "never"),
                ("daily 02:00", "Europe/Berlim", "Europe/Berlin"),
                ("daily 25:00", "UTC", "25"),
                ("sometimes", "UTC", "sometimes"),
            ] {
                let refusal = life.refused(with(spec, zone)).await.to_string();
                assert!(refusal.contains(part), "{spec} {zone}: {refusal}");
            }
            assert_eq!(life.ask(GetItems {}).await.items, []);
        });
    }

    #[test]
    fn a_shutdown_clears_all_timers() {
        let world = World::at("2026-03-01 01:00");
        world.life(async |life| {
            life.set_item("papers", Some("every 1h")).await;
            life.handle.shutdown().await;
            life.pass(86_400).await;
            assert_eq!(life.created("papers").len(), 0);
        });
        world.off_for(TimeDelta::zero());
    }
}
