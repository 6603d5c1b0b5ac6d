//! The web page in a browser that is logged in, before a daemon with items of several kinds.

use serde_json::json;

use crate::browser::Browser;
use crate::daemon::{Daemon, DaemonHome};
use crate::random_data;

/// A page before a daemon.
pub struct Scene {
    /// The browser.
    pub browser: Browser,
    /// Where the daemon lives.
    pub home: DaemonHome,
    /// The daemon.
    pub daemon: Daemon,
}

impl Scene {
    /// A daemon with this configuration and a browser that is logged in; `None` if there is no browser.
    pub async fn set(configure: impl FnOnce(&DaemonHome) -> String) -> Option<Self> {
        let browser = Browser::start().await?;
        let home = DaemonHome::new();
        home.configure(&configure(&home));
        let daemon = home.start();
        let scene = Self { browser, home, daemon };
        scene.browser.open(&scene.daemon.url).await;
        scene.log_in().await;
        Some(scene)
    }

    /// Gives the token.
    pub async fn log_in(&self) {
        self.browser.fill("#token", &self.daemon.token).await;
        self.browser.click(".login [type=submit]").await;
        self.browser.see("[data-connection=live]").await;
    }

    /// Backs an item up, by a command.
    pub async fn back_up(&self, item: &str) {
        let task = self.daemon.done("perform-backup", &json!({"item": item})).await["task"].clone();
        self.daemon.wait_for_task(task.as_str().expect("a scene"), |now| !now["end"].is_null()).await;
    }

    /// Goes to a view, or a place in it.
    pub async fn go(&self, route: &str) {
        self.browser.script("location.hash = arguments[0]", json!([route])).await;
        let view = route.split(['/', '?']).next().expect("a scene");
        self.browser.see(&format!("[data-stage={view}]")).await;
    }

    /// Waits until the row of an item's task has this status, and gives its text.
    pub async fn shows(&self, item: &str, status: &str) -> String {
        self.browser.see(&format!("[data-title={item:?}][data-status={status}]")).await
    }

    /// Nothing was done that the policy forbids, and no error was left to nobody.
    pub async fn ensure_no_complaints(&self) {
        assert_eq!(self.browser.complaints().await, Vec::<String>::new());
    }
}

/// An item `drip` whose source gives bytes slowly, until the file `enough` is there.
pub fn drip(home: &DaemonHome) -> String {
    let source = home.slow_source("water", &home.path("enough"));
    format!("{source}[items.drip]\nsource = \"water\"\nrepository = \"main\"\n")
}

/// An item `letters` of some small files.
pub fn letters(home: &DaemonHome) -> String {
    let folder = home.path("letters");
    std::fs::create_dir_all(folder.join("2026")).expect("a scene");
    std::fs::write(folder.join("a letter & more.txt"), "dear reader").expect("a scene");
    for (number, length) in [10_000, 200_000, 3_000].into_iter().enumerate() {
        random_data::write_file(&folder.join(format!("2026/{number}.bin")), length, 7).expect("a scene");
    }
    format!("[items.letters]\npaths = [{:?}]\nrepository = \"main\"\nschedule = \"daily 02:00\"\n", folder)
}

/// Letters that are backed up well, a source that is not there, and a repository whose password is wrong.
pub fn mixed(home: &DaemonHome) -> String {
    std::fs::write(home.path("wrong"), "not this one").expect("a scene");
    let locked = format!(
        "[repositories.locked]\nlocation = {:?}\npassword_file = {:?}\n",
        home.path("repository"),
        home.path("wrong")
    );
    let ledger = format!("[items.ledger]\npaths = [{:?}]\nrepository = \"locked\"\n", home.path("letters"));
    let missing = format!(
        "[items.attic]\npaths = [{:?}]\nrepository = \"main\"\nschedule = \"weekly sun 03:30\"\ntags = [\"old\"]\n",
        home.path("attic")
    );
    let retry = "[retry]\nbase_delay = \"90s\"\n";
    format!("{locked}{retry}{}{}{ledger}{missing}", drip(home), letters(home))
}
