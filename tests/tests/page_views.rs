//! The web page's views in a real browser, before a real daemon: items and their editor, snapshots and what is restored of
//! them, history; and whether everybody can use them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use keepwell_tests::browser::{Browser, Look};
use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::page_scene::{Scene, letters, mixed};
use keepwell_tests::random_data;
use serde_json::json;

#[tokio::test]
async fn an_item_made_in_the_editor_has_its_due_times_shown_and_is_changed_disabled_and_removed() {
    let Some(scene) = Scene::set(letters).await else { return };
    let Scene { browser, daemon, home } = &scene;
    scene.go("items").await;
    browser.see_words("[data-item=letters]", "Configuration file").await;
    browser.see_no_more("[data-item=letters] [data-action=edit]").await;
    browser.click("[data-action=make]").await;
    browser.fill("#field-id", "pictures").await;
    browser.fill("#field-paths", "pictures").await;
    browser.choose("#field-repository", "main").await;
    browser.fill("#field-tags", "home, photos").await;
    browser.fill("#field-spec", "sometimes").await;
    browser.see_words("#spec-error", "no schedule").await;
    browser.fill("#field-time_zone", "Asia/Atlantis").await;
    browser.fill("#field-spec", "weekly sun 03:30").await;
    browser.see_words("#time_zone-error", "Atlantis").await;
    browser.fill("#field-time_zone", "Asia/Tokyo").await;
    let script = "const times = [...document.querySelectorAll('.due-times time')].map((time) => time.dateTime); \
                  return times.length === 5 && times";
    let shown = browser.wait_until("five due times", script, json!([])).await;
    let schedule = json!({"spec": "weekly sun 03:30", "time_zone": "Asia/Tokyo", "jitter_seconds": null});
    let asked = json!({"schedule": schedule, "after": null, "limit": 5});
    assert_eq!(shown, daemon.done("get-due-times", &asked).await["due_times"]);
    assert_eq!(browser.see("#spec-error").await + &browser.see("#time_zone-error").await, "");
    browser.click(".editor [type=submit]").await;
    browser.see_words("#paths-error", "from / on").await;
    let folder = home.path("letters").display().to_string();
    browser.fill("#field-paths", &folder).await;
    browser.click(".editor [type=submit]").await;
    browser.see_no_more("dialog").await;
    browser.see_words("[data-item=pictures]", "Asia/Tokyo").await;
    let items = daemon.done("get-items", &json!({})).await["items"].clone();
    let made =
        items.as_array().unwrap().iter().find(|item| item["item"]["id"] == "pictures").unwrap().clone();
    let source = json!({"files": {"paths": [folder], "excludes": []}});
    let expected = json!({
        "id": "pictures", "source": source, "repository": "main", "schedule": schedule, "enabled": true,
        "tags": ["home", "photos"],
    });
    assert_eq!(made["item"], expected);
    browser.click("[data-item=pictures] [data-action=edit]").await;
    browser.fill("#field-spec", "").await;
    browser.see_words(".preview", "only when asked").await;
    browser.fill("#field-spec", "every 4h").await;
    browser.click(".editor [type=submit]").await;
    browser.see_words("[data-item=pictures]", "every 4h").await;
    browser.click("[data-item=pictures] [data-action=enable]").await;
    browser.see_words("[data-item=pictures]", "Disabled").await;
    browser.click("[data-item=pictures] [data-action=remove]").await;
    browser.click("dialog [data-confirm]").await;
    browser.see_no_more("[data-item=pictures]").await;
    browser.see("[data-item=letters]").await;
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn a_snapshot_is_browsed_searched_compared_and_restored_to_the_byte() {
    let Some(scene) = Scene::set(letters).await else { return };
    let Scene { browser, home, .. } = &scene;
    let letters = home.path("letters");
    scene.back_up("letters").await;
    std::fs::write(letters.join("new.txt"), "a new one").unwrap();
    scene.back_up("letters").await;
    scene.go("snapshots").await;
    let two = "return document.querySelectorAll('tr[data-snapshot]').length === 2";
    browser.wait_until("two snapshots", two, json!([])).await;
    browser.click("tr[data-snapshot]:nth-child(1) [data-on-change=choose]").await;
    browser.click("tr[data-snapshot]:nth-child(2) [data-on-change=choose]").await;
    browser.click("[data-action=compare]").await;
    browser.see_words("[data-difference=added]", "new.txt").await;
    scene.go("snapshots").await;
    browser.fill("#pattern", "A LETTER*").await;
    browser.click(".find [type=submit]").await;
    browser.see_words(".matches", "a letter & more.txt").await;
    scene.go("snapshots").await;
    browser.click("tr[data-snapshot]:nth-child(1) th a").await;
    for step in letters.components().skip(1).map(|step| step.as_os_str().to_str().unwrap().to_owned()) {
        let script = "const entry = [...document.querySelectorAll('[data-entry] th a')].find((link) => \
                      link.textContent === arguments[0]); entry?.click(); return !!entry";
        browser.wait_until("a folder", script, json!([step])).await;
    }
    browser.see_words(".breadcrumb", "letters").await;
    browser.see_words(".entries", "a letter & more.txt").await;
    let script = "const [done] = arguments; const link = [...document.querySelectorAll('a[download]')].find((link) => \
                  link.download === 'a letter & more.txt'); \
                  fetch(link.href).then(async (answer) => done([answer.headers.get('content-disposition'), await answer.text()]))";
    let downloaded = browser.script_that_waits(script).await;
    assert!(downloaded[0].as_str().unwrap().starts_with("attachment"), "{downloaded}");
    assert_eq!(downloaded[1], "dear reader");
    browser.click(".folder .section-head [data-action=restore]").await;
    browser.fill("#restore-below", "back/part").await;
    browser.click(".restore [type=submit]").await;
    scene.shows("letters", "completed").await;
    browser.see_words("[data-status=completed]", "5 files restored").await;
    // What is restored is the folder's content: the target itself is no entry of it.
    let part = home.path("restored/back/part");
    assert_same(&letters.join("2026"), &part.join("2026"), EXACT);
    for name in ["a letter & more.txt", "new.txt"] {
        assert_eq!(
            std::fs::read(letters.join(name)).unwrap(),
            std::fs::read(part.join(name)).unwrap(),
            "{name}"
        );
    }
    scene.go("snapshots").await;
    browser.click("tr[data-snapshot]:nth-child(1) [data-action=restore]").await;
    browser.fill("#restore-below", "../../whole").await;
    browser.click(".restore [type=submit]").await;
    browser.see_words(".rows", "snapshot ").await;
    browser.see("[data-title^='snapshot '][data-status=completed]").await;
    let whole = home.path("restored/whole").join(letters.strip_prefix("/").unwrap());
    assert_same(&letters, &whole, EXACT);
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn the_history_shows_each_day_by_colour_and_sign_each_failure_with_advice_and_why_nothing_runs() {
    let Some(scene) = Scene::set(mixed).await else { return };
    let browser = &scene.browser;
    scene.go("history").await;
    browser.see_words("main", "No task has ended yet").await;
    scene.back_up("letters").await;
    browser.see_words("[data-outcome=completed] .sign", "✓").await;
    browser.see_words(".plain-table", "letters").await;
    scene.back_up("ledger").await;
    browser.see_words("[data-outcome=failed] .sign", "!").await;
    let failure = browser.see("[data-failure=credentials]").await;
    assert!(failure.contains("What to do: ") && failure.contains("password"), "{failure}");
    let label = "return document.querySelector('[data-outcome]').getAttribute('aria-label')";
    let label = browser.script(label, json!([])).await;
    assert!(label.as_str().unwrap().ends_with(": 2 tasks, 1 failed, 1 completed"), "{label}");
    // By keys alone: the day before, back again, and open.
    browser.script("document.querySelector('.calendar [tabindex=\"0\"]').focus()", json!([])).await;
    let today = browser.script("return document.activeElement.dataset.day", json!([])).await;
    browser.press("\u{e012}").await;
    let before = browser.script("return document.activeElement.dataset.day", json!([])).await;
    assert!(before.as_str() < today.as_str() && before.is_string(), "{before}, {today}");
    browser.press("\u{e014}").await;
    browser.press("\u{e007}").await;
    browser.see_words(".day", "ledger").await;
    browser.choose("#history-item", "letters").await;
    browser.see(".explanation .reason").await;
    browser.see_words("[data-outcome] .sign", "✓").await;
    let asked = scene.daemon.done("get-item-explanation", &json!({"item": "letters"})).await;
    let told = browser.see(".explanation").await.to_lowercase();
    for reason in asked["reasons"].as_array().unwrap() {
        let text = reason["text"].as_str().unwrap().to_lowercase();
        assert!(told.contains(&text), "{text:?} is not in {told:?}");
    }
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn every_view_is_legible_named_and_within_a_phones_width_by_day_and_by_night() {
    let Some(scene) = Scene::set(mixed).await else { return };
    let Scene { browser, home, daemon } = &scene;
    for number in 0..4 {
        random_data::write_file(&home.path(&format!("letters/{number}.txt")), 40_000, number).unwrap();
        scene.back_up("letters").await;
    }
    scene.back_up("ledger").await;
    for item in ["drip", "attic"] {
        daemon.done("perform-backup", &json!({"item": item})).await;
    }
    scene.shows("attic", "retrying").await;
    scene.shows("drip", "running").await;
    browser.see_words("[data-title=drip] .meta", "stored").await;
    let snapshots =
        daemon.done("get-snapshots", &json!({"repository": "main", "after": null, "limit": 9})).await;
    let [newer, older] = [0, 1].map(|index| snapshots["snapshots"][index]["id"].as_str().unwrap().to_owned());
    let folder = format!("snapshots/main/{newer}?path={}", home.path("letters").display());
    let two = format!("snapshots/main?older={older}&newer={newer}");
    for (name, route, there, window) in [
        ("tasks", "tasks", "[data-title=drip] .meta", ""),
        ("items", "items", ".sparkline rect", ""),
        ("editor", "items", ".sparkline rect", "[data-action=make]"),
        ("snapshots", "snapshots/main", "tr[data-snapshot]", ""),
        ("folder", &folder, "[data-entry]", ""),
        ("restore", &folder, "[data-entry]", ".folder .section-head [data-action=restore]"),
        ("compare", &two, "[data-difference]", ""),
        ("find", "snapshots/main?find=*.txt", ".matches tbody tr", ""),
        ("locked", "snapshots/locked", ".refusal", ""),
        ("history", "history", "[data-failure]", ""),
        ("explanation", "history?item=letters", ".reason", ""),
    ] {
        scene.go(route).await;
        browser.see(there).await;
        if !window.is_empty() {
            browser.click(window).await;
            browser.see("dialog").await;
            browser.see(if name == "editor" { ".due-times" } else { "dialog form" }).await;
        }
        look_at(browser, name).await;
        if !window.is_empty() {
            browser.click("dialog [data-cancel]").await;
            browser.see_no_more("dialog").await;
        }
    }
    scene.ensure_no_complaints().await;
    browser.click("[data-action=sign-out]").await;
    browser.see("#token").await;
    look_at(browser, "login").await;
}

/// Looks at what is shown in all ways, keeps a picture of each, and holds it to what everybody can use.
async fn look_at(browser: &Browser, name: &str) {
    for look in Look::ALL {
        browser.look(look).await;
        // Colours follow the system at once, as do widths; a picture is of what is painted.
        browser.script_that_waits("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))").await;
        let what = format!("{name}, {}", look.name);
        let width = browser.script("return document.documentElement.scrollWidth", json!([])).await;
        assert!(width.as_u64() <= Some(look.width.into()), "{what}: {width} pixels wide");
        let faint = browser.script(include_str!("faint_texts.js"), json!([])).await;
        assert_eq!(faint, json!([]), "{what}: texts that cannot be read well");
        assert_eq!(
            browser.nameless().await,
            Vec::<String>::new(),
            "{what}: what a screen reader cannot name"
        );
        browser.screenshot(&format!("{name}-{}", look.name)).await;
    }
    browser.look(Look::ALL[0]).await;
}
