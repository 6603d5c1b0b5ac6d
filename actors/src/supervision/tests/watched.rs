//! Watched children: their deaths are reported, and they outlive their owner.

use actix::{Arbiter, AsyncContext};

use super::*;

const CHILDREN_MAX: usize = 8;
const MAILBOX_MAX: usize = 16;

/// A manager in miniature: notes the deaths of its workers, and adopts those that live when it starts.
struct Owner {
    board: Arc<Board>,
    workers: Watched<u32, Worker>,
}

#[derive(Default)]
struct Board {
    deaths: Mutex<Vec<ChildDied<u32>>>,
    adopted: Mutex<Vec<Vec<u32>>>,
    /// The owner panics over so many of the next reports.
    panics: Mutex<u32>,
}

impl Actor for Owner {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        let living = self.workers.living().iter().map(|worker| worker.id).collect();
        self.board.adopted.lock().push(living);
    }
}

impl Handler<ChildDied<u32>> for Owner {
    type Result = ();

    fn handle(&mut self, died: ChildDied<u32>, _: &mut Context<Self>) {
        {
            let mut panics = self.board.panics.lock();
            if *panics > 0 {
                *panics -= 1;
                drop(panics);
                panic!("cannot bear it");
            }
        }
        self.board.deaths.lock().push(died);
    }
}

impl Handler<Retire> for Owner {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        context.stop();
    }
}

#[derive(Clone, Copy)]
struct Crash;

impl Message for Crash {
    type Result = ();
}

impl Handler<Crash> for Owner {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        assert!(self.board.adopted.lock().len() > 1, "the first owner crashes");
    }
}

struct Worker;

impl Actor for Worker {
    type Context = Context<Self>;
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Answer,
    Panic,
    Stop,
}

impl Message for Work {
    type Result = u32;
}

impl Handler<Work> for Worker {
    type Result = u32;

    fn handle(&mut self, work: Work, context: &mut Context<Self>) -> u32 {
        match work {
            Work::Answer => {}
            Work::Panic => panic!("too much work"),
            Work::Stop => context.stop(),
        }
        42
    }
}

struct Shop {
    board: Arc<Board>,
    guardian: Guardian,
    owner: Stable<Owner>,
    workers: Watched<u32, Worker>,
}

fn shop() -> Shop {
    let board = Arc::<Board>::default();
    let post = Post::<Owner>::new("owner", ChildSettings::default());
    let workers = Watched::new(post.stable(), CHILDREN_MAX);
    let mut guardian = Guardian::new(|_| {});
    let made = (board.clone(), workers.clone());
    let owner = guardian.supervise(post, move |_| {
        let (board, workers) = made.clone();
        async move { Ok::<_, String>(Owner { board, workers }) }
    });
    Shop { board, guardian, owner, workers }
}

impl Shop {
    fn start(&self, id: u32) -> Living<u32, Worker> {
        self.workers.start(id, Worker, MAILBOX_MAX).unwrap_or_else(|why| panic!("{id}: {why}"))
    }

    fn deaths(&self) -> Vec<(u32, u64, Death)> {
        let deaths = self.board.deaths.lock();
        deaths.iter().map(|died| (died.id, died.incarnation, died.death.clone())).collect()
    }
}

#[test]
fn deaths_are_reported_with_their_kind_and_counted() {
    on_virtual_time(async {
        let shop = shop();
        let workers: Vec<_> = (1..=4).map(|id| shop.start(id)).collect();
        assert!(workers[0].addr.send(Work::Panic).await.is_err());
        assert_eq!(shop.workers.get(&1).map(|worker| worker.id), None, "it left before the sender knew");
        assert_eq!(workers[1].addr.send(Work::Stop).await, Ok(42));
        settle().await;
        assert!(shop.workers.kill(&3));
        assert!(!shop.workers.kill(&3), "once");
        settle().await;
        let expected =
            [(1, 1, Death::Crashed("too much work".into())), (2, 2, Death::Stopped), (3, 3, Death::Killed)];
        assert_eq!(shop.deaths(), expected);
        assert!(!workers[2].addr.connected());
        assert!(!shop.workers.kill(&3), "it does not live");
        let counts =
            WatchedCounts { living: 1, stopped: 1, crashed: 1, killed: 1, ..WatchedCounts::default() };
        assert_eq!(shop.workers.counts(), counts);
    });
}

#[test]
fn a_restarted_owner_adopts_those_that_live() {
    on_virtual_time(async {
        let shop = shop();
        for id in 1..=3 {
            drop(shop.start(id));
        }
        assert_eq!(shop.owner.send(Crash).await, Ok(()));
        assert_eq!(*shop.board.adopted.lock(), [vec![1, 2, 3], vec![1, 2, 3]]);
        for worker in shop.workers.living() {
            assert_eq!(worker.addr.send(Work::Answer).await, Ok(42));
        }
        assert_eq!(shop.deaths(), []);
    });
}

#[test]
fn an_owner_that_is_down_hears_of_deaths_when_it_is_back() {
    on_virtual_time(async {
        let shop = shop();
        let worker = shop.start(1);
        // It dies over the report, twice; and so another worker's report waits, too.
        *shop.board.panics.lock() = DELIVERIES_MAX - 1;
        assert!(worker.addr.send(Work::Panic).await.is_err());
        assert_eq!(shop.start(2).addr.send(Work::Stop).await, Ok(42));
        shop.owner.send(Crash).await.expect("it is restarted");
        tokio::time::sleep(seconds(1)).await;
        let ids: Vec<u32> = shop.deaths().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(shop.workers.counts().unreported, 0);
        assert_eq!(shop.workers.counts().unheard, 0);
    });
}

#[test]
fn reports_that_nobody_hears_are_counted() {
    on_virtual_time(async {
        let shop = shop();
        let (bad, late) = (shop.start(1), shop.start(2));
        *shop.board.panics.lock() = DELIVERIES_MAX;
        assert!(bad.addr.send(Work::Panic).await.is_err());
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(shop.workers.counts().unheard, 1);
        assert_eq!(shop.guardian.shutdown().await, []);
        assert_eq!(late.addr.send(Work::Stop).await, Ok(42));
        settle().await;
        let counts = WatchedCounts { stopped: 1, crashed: 1, unheard: 2, ..WatchedCounts::default() };
        assert_eq!(shop.workers.counts(), counts);
    });
}

#[test]
fn an_id_lives_once_at_a_time() {
    on_virtual_time(async {
        let shop = shop();
        let first = shop.start(1);
        assert_eq!(shop.workers.start(1, Worker, MAILBOX_MAX).err(), Some(NotWatched::Duplicate));
        assert_eq!(first.addr.send(Work::Stop).await, Ok(42));
        settle().await;
        let second = shop.start(1);
        assert!(second.incarnation > first.incarnation);
        settle().await;
        assert_eq!(shop.deaths(), [(1, first.incarnation, Death::Stopped)]);
        assert_eq!(shop.workers.living().len(), 1, "the first one's death took the second one's entry");
    });
}

#[test]
fn the_bound_counts_the_living_and_the_unreported() {
    on_virtual_time(async {
        let board = Arc::<Board>::default();
        let post = Post::<Owner>::new("owner", ChildSettings::default());
        let workers = Watched::<u32, Worker>::new(post.stable(), 2);
        let full = Some(NotWatched::Full { children_max: 2 });
        let first = workers.start(1, Worker, MAILBOX_MAX).expect("room");
        let second = workers.start(2, Worker, MAILBOX_MAX).expect("room");
        assert_eq!(workers.start(3, Worker, MAILBOX_MAX).err(), full);
        // Dead, but there is no owner yet to hear of it.
        for worker in [first, second] {
            assert_eq!(worker.addr.send(Work::Stop).await, Ok(42));
        }
        settle().await;
        assert_eq!(workers.start(3, Worker, MAILBOX_MAX).err(), full);
        let mut guardian = Guardian::new(|_| {});
        let made = (board.clone(), workers.clone());
        guardian.supervise(post, move |_| {
            let (board, workers) = made.clone();
            async move { Ok::<_, String>(Owner { board, workers }) }
        });
        settle().await;
        assert!(workers.start(3, Worker, MAILBOX_MAX).is_ok());
    });
}

#[test]
fn children_of_a_stopped_arbiter_are_reported_as_killed() {
    System::new().block_on(async {
        let shop = shop();
        let arbiter = Arbiter::new();
        let workers = shop.workers.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            let started = workers.start(1, Worker, MAILBOX_MAX);
            sender.send(started.is_ok()).expect("the test waits");
        });
        assert_eq!(receiver.await, Ok(true));
        arbiter.stop();
        arbiter.join().expect("it ends");
        settle().await;
        assert_eq!(shop.deaths(), [(1, 1, Death::Killed)]);
    });
}

#[test]
fn ten_thousand_children_leave_nothing() {
    /// Threads and open files of this process.
    fn resources() -> [usize; 2] {
        ["/proc/self/task", "/proc/self/fd"]
            .map(|list| std::fs::read_dir(list).map(Iterator::count).expect(list))
    }
    on_virtual_time(async {
        let shop = shop();
        settle().await;
        let before = resources();
        let token = Arc::new(());
        for cycle in 0..10_000_u32 {
            let worker = shop.start(cycle % 5);
            let held = token.clone();
            // Held by the worker's context, and gone with it.
            worker.addr.do_send(Hold(held));
            match cycle % 3 {
                0 => drop(worker.addr.send(Work::Stop).await),
                1 => drop(worker.addr.send(Work::Answer).await.map(|_| shop.workers.kill(&worker.id))),
                _ => drop(worker.addr.send(Work::Stop).await),
            }
            drop(worker);
            settle_one(&shop.workers, cycle % 5).await;
        }
        settle().await;
        assert_eq!(Arc::strong_count(&token), 1);
        let counts = shop.workers.counts();
        assert_eq!((counts.living, counts.unreported, counts.unheard), (0, 0, 0));
        assert_eq!(counts.stopped + counts.killed, 10_000);
        assert_eq!(shop.board.deaths.lock().len(), 10_000);
        for (now, before) in resources().into_iter().zip(before) {
            assert!(now <= before + OTHER_TESTS_MAX, "{now}, before {before}");
        }
    });
}

/// Other tests in this process may have threads and files meanwhile; a leak would be thousands.
const OTHER_TESTS_MAX: usize = 200;

/// Waits until the child is gone and reported.
async fn settle_one(workers: &Watched<u32, Worker>, id: u32) {
    while workers.get(&id).is_some() || workers.counts().unreported > 0 {
        yield_now().await;
    }
}

struct Hold(Arc<()>);

impl Message for Hold {
    type Result = ();
}

impl Handler<Hold> for Worker {
    type Result = ();

    fn handle(&mut self, hold: Hold, context: &mut Context<Self>) {
        let forever = async move {
            std::future::pending::<()>().await;
            drop(hold.0);
        };
        context.spawn(forever.into_actor(self));
    }
}
