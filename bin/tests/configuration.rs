//! What is wrong in `keepwell.toml` or in a variable is told with its place, its key, and what to write.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{User, ended};

const ITEM: &str = "[items.docs]\npaths = [\"/data\"]\nschedule = \"daily 02:00\"\n";
const REPOSITORY: &str = "[repositories.cellar]\nlocation = \"/r\"\npassword_file = \"/p\"\n";

#[test]
fn each_mistake_names_the_file_the_key_and_what_to_write() {
    let user = User::new();
    for (text, key, said) in [
        ("max_concurent_tasks = 3", "max_concurent_tasks", "did you mean max_concurrent_tasks?"),
        ("[items.docs]\npaths = [\"/d\"]\nschedul = \"x\"", "items.docs.schedul", "did you mean schedule?"),
        ("[retry]\nmax_retrys = 3", "retry.max_retrys", "did you mean max_retries?"),
        (
            "[items.a]\npaths = [\"/a\"]\n[items.a.retry]\nmax_retries = 1000",
            "items.a.retry.max_retries",
            "is not 0 to 100",
        ),
        ("colour = \"red\"", "colour", "there are data_folder"),
        ("max_concurrent_tasks = 0", "max_concurrent_tasks", "1 to 64"),
        ("max_concurrent_tasks = \"three\"", "max_concurrent_tasks", "a whole number"),
        ("hang_after = 30", "hang_after", "\"5m\""),
        ("hang_after = \"30\"", "hang_after", "write 90s"),
        ("hang_after = \"1s\"", "hang_after", "shorter than a minute"),
        ("SAFE_TIMEOUT_DELAY = 1728000001", "timer_max", "1s to 20d"),
        ("maxRetries = 3\n[retry]\nmax_retries = 3", "maxRetries", "given twice"),
        ("restore_roots = [\"here\"]", "restore_roots", "from / or from ~/"),
        ("[items.docs]", "items.docs.paths", "paths = ["),
        ("[items.docs]\npaths = [\"/d\"]\nsource = \"s\"", "items.docs", "not both"),
        ("[items.docs]\nsource = \"wiky\"\n[sources.wiki]\nsqlite = \"/w\"", "items.docs.source", "wiki?"),
        (
            "[items.docs]\nsource = \"s\"\nexcludes = \"*.tmp\"\n[sources.s]\nsqlite = \"/s\"",
            "items.docs.excludes",
            "leave it away",
        ),
        ("[sources.wiki]", "sources.wiki", "command = ["),
        ("[sources.wiki]\nsqlite = \"w.db\"", "sources.wiki.sqlite", "no absolute path"),
        ("[sources.wiki]\nsqlite = \"/w\"\ncommand = \"pg_dump\"", "sources.wiki", "not both"),
        ("[sources.wiki]\nsqlite = \"/w\"\nfile_name = \"w\"", "sources.wiki.file_name", "leave it away"),
        ("[sources.wiki]\ncommand = \"./dump\"", "sources.wiki.command", "no absolute path"),
        (
            "[sources.wiki]\ncommand = \"d\"\nfile_name = \"/\"",
            "sources.wiki.file_name",
            "no name for a file",
        ),
        ("[sources.b]\nfirebird = { user = \"a\" }", "sources.b.firebird.database", "host:/path"),
        (
            "[sources.b]\nfirebird = { database = \"b.fdb\" }",
            "sources.b.firebird.database",
            "an absolute path",
        ),
        ("[sources.b]\nfirebird = { database = \"h:/b.fdb\" }", "sources.b.firebird", "password_file = "),
        (
            "[sources.b]\nfirebird = { database = \"/b.fdb\", password = \"hush\" }",
            "sources.b.firebird.password",
            "password_file = ",
        ),
        (
            "[sources.b]\nfirebird = { database = \"/b.fdb\", parallel_workers = 65 }",
            "sources.b.firebird.parallel_workers",
            "1 to 64",
        ),
        (
            "[sources.b]\nsqlite = \"/b\"\nfirebird = { database = \"/b.fdb\" }",
            "sources.b",
            "only one of command, sqlite and firebird",
        ),
        ("[items.docs]\npaths = [\"relative\"]", "items.docs.paths", "no absolute path"),
        ("[items.docs]\npaths = [\"/d\"]\nenabled = \"maybe\"", "items.docs.enabled", "a boolean"),
        ("[items.docs]\npaths = [\"/d\"]\nschedule = \"dayly 02:00\"", "items.docs.schedule", "daily 02:00"),
        ("[items.docs]\npaths = [\"/d\"]\nschedule = \"0 0 30 2 *\"", "items.docs.schedule", "never fires"),
        ("[items.docs]\npaths = [\"/d\"]\ntime_zone = \"Berlin\"", "items.docs.time_zone", "Europe/Berlin"),
        ("[items.docs]\npaths = [\"/d\"]\njitter = \"2d\"", "items.docs.jitter", "too long"),
        ("[items.docs]\npaths = [\"/d\"]\nrepository = \"celar\"", "items.docs.repository", "no repository"),
        ("[items.\"a/b\"]\npaths = [\"/d\"]", "items.a/b", "holds no '/'"),
        ("[repositories.r]\npassword_file = \"/p\"", "repositories.r", "location ="),
        ("[repositories.r]\nlocation = \"/r\"", "repositories.r", "password_command ="),
        (
            "[repositories.r]\nlocation = \"r\"\npassword_file = \"/p\"",
            "repositories.r.location",
            "no absolute",
        ),
        (
            "[repositories.r]\nlocation = \"s4://b\"\npassword_file = \"/p\"",
            "repositories.r.location",
            "s3, gs",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\nconnections = 0",
            "repositories.r.connections",
            "1 to 64",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\nrequest_timeout = \"10ms\"",
            "repositories.r.request_timeout",
            "shorter than a second",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\nretry_timeout = \"2d\"",
            "repositories.r.retry_timeout",
            "longer than a day",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\nupload_limit = \"fast\"",
            "repositories.r.upload_limit",
            "no size",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\nupload_limit = 100",
            "repositories.r.upload_limit",
            "\"2 MiB\"",
        ),
        (
            "[repositories.r]\nlocation = \"/r\"\npassword_file = \"/p\"\ndownload_limit = \"1000\"",
            "repositories.r.download_limit",
            "less than 1 KiB",
        ),
        ("[items.a]\npaths = \"/a\"\nread_limit = \"100 KiB\"", "items.a.read_limit", "less than 256 KiB"),
        ("[items.a]\npaths = \"/a\"\nupload_limit = \"1 KiB\"", "items.a.upload_limit", "less than 256 KiB"),
        ("timer_max = \"21d\"", "timer_max", "1s to 20d"),
        ("compression = \"hard\"", "compression", "off, fastest, auto, better or max"),
        ("[daemon]\nlisten = \"8377\"", "daemon.listen", "127.0.0.1:8377"),
        ("[daemon]\nlisten = \"0.0.0.0:8377\"", "daemon.listen", "insecure = true"),
        ("[daemon]\ntls_key = \"/k\"", "daemon.tls_key", "tls_certificate ="),
        ("[daemon]\nallowed_hosts = \"a:80\"", "daemon.allowed_hosts", "without a port"),
        ("[daemon]\nlog_format = \"xml\"", "daemon.log_format", "text or json"),
        ("[broker]\nurl = \"nats://nas:4222\"", "broker.url", "credentials_file"),
        ("[broker]\nurl = \"nats://a:hush@nas:4222\"", "broker.url", "password_file"),
        ("[broker]\nnode = \"a.b\"", "broker.node", "letters, digits"),
        ("[broker]\nstream = \"a.b\"", "broker.stream", "1 to 80 letters, digits"),
        ("[broker]\nuser = \"ada\"", "broker.user", "password_file ="),
        ("items = 3", "items", "a table"),
        ("\"a[999999999]\" = 3", "a[999999999]", "no such key"),
    ] {
        let file = user.write("k.toml", text);
        let ran = user.run(["simulate", "--config", "k.toml"]);
        assert_eq!(ran.code, Some(1), "{text}");
        let place = format!("{}:", file.display());
        assert!(ran.err.contains(&place), "{text}: {}", ran.err);
        assert!(ran.err.contains(&format!(": {key}: ")), "{text}: {}", ran.err);
        assert!(ran.err.contains(said), "{text}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{text}: {}", ran.err);
    }
    user.write("k.toml", "items = [");
    let ran = user.run(["simulate", "--config", "k.toml"]);
    assert!(ran.err.contains("k.toml:1:"), "{}", ran.err);
    assert!(ran.err.contains("it is no TOML"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file_with_line_and_column() {
    let user = User::new();
    for (text, told) in [
        (
            "max_concurent_tasks = 3\nhang_after = \"1s\"\n\n[items.docs]\npaths = [\"/d\"]\n  schedule = \"dayly 02:00\"\n",
            &["1:1: max_concurent_tasks: ", "2:1: hang_after: ", "6:3: items.docs.schedule: "][..],
        ),
        // What follows from a mistake is none of its own.
        (
            "[repositories.r]\nlocation = 3\npassword_file = \"p\"\n[items.docs]\npaths = [\"/d\"]\nrepository = \"r\"\n\
             [items.mail]\nschedule = \"never\"\n",
            &[
                "2:1: repositories.r.location: ",
                "3:1: repositories.r.password_file: ",
                "7:8: items.mail.paths: ",
                "8:1: items.mail.schedule: ",
            ],
        ),
        (
            "repositories = 3\n[items.docs]\npaths = [\"/d\"]\nrepository = \"r\"\n[items.mail]\nsource = \"s\"\n[sources]\ns.sqlite = 1\n",
            &["1:1: repositories: ", "8:3: sources.s.sqlite: "],
        ),
        (
            "[repositories.a]\n[repositories.b]\nlocation = \"/b\"\npassword_file = \"/p\"\npassword_command = \"p\"\n\
             [items.\"a/b\"]\npaths = [\"d\"]\nrepository = \"b\"\n",
            &[
                "1:15: repositories.a: ",
                "2:15: repositories.b: ",
                "6:8: items.a/b: ",
                "7:1: items.a/b.paths: ",
            ],
        ),
        (
            "[items.docs]\npath = [\"/d\"]\n[items.mail]\npaths = 3\n[repositories.r]\nlocaton = \"/r\"\npassword_file = \"/p\"\n",
            &["2:1: items.docs.path: ", "4:1: items.mail.paths: ", "6:1: repositories.r.locaton: "],
        ),
        ("items = [\nretry = = 3\n[daemon\n", &["2:", "3:"]),
        (
            "maxRetries = 3\nbaseDelay = \"soon\"\n[retry]\nmax_retries = 2\n",
            &["1:1: maxRetries: ", "2:1: retry.base_delay: "],
        ),
    ] {
        let file = user.write("k.toml", text);
        let ran = user.run(["simulate", "--config", "k.toml"]);
        assert_eq!(ran.code, Some(1), "{text}");
        let mut lines = ran.err.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.contains(&format!("{} mistakes", lines.clone().count())), "{text}: {}", ran.err);
        let lines: Vec<&str> = lines.map(str::trim_start).collect();
        // Where the text is no TOML the parser may find more.
        assert!(lines.len() == told.len() || text.contains("= ="), "{text}: {}", ran.err);
        let mut after = lines.iter();
        for told in told {
            let wanted = format!("{}:{told}", file.display());
            assert!(after.any(|line| line.starts_with(&wanted)), "{text}: {told}: {}", ran.err);
        }
    }
}

#[test]
fn no_more_than_fifty_mistakes_are_told() {
    let user = User::new();
    user.write("k.toml", &(0..80).map(|number| format!("no_such_key_{number} = 1\n")).collect::<String>());
    let ran = user.run(["simulate", "--config", "k.toml"]);
    assert!(ran.err.contains("more than 50 mistakes"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 52, "{}", ran.err);
    // For programs they are a list.
    user.write("k.toml", "colour = 1\nhang_after = 2");
    let told = support::messages(&user.run(["config", "check", "--config", "k.toml", "--json"]).err);
    assert_eq!(told[0]["message_type"], "exit_error");
    assert_eq!(told[0]["details"].as_array().map(Vec::len), Some(2), "{told:?}");
}

#[test]
fn a_configuration_is_made_checked_shown_and_described() {
    let user = User::new();
    let file = user.path("new/keepwell.toml");
    let config = |action: &str| user.run(["config", action, "--config", file.to_str().unwrap()]);
    assert_eq!(config("check").code, Some(1), "one that is named must be there");
    assert_eq!(config("init").code, Some(0));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let made = std::fs::read_to_string(&file).unwrap();
    assert!(made.contains("#max_concurrent_tasks = 3") && made.contains("#[items.NAME]"), "{made}");
    let again = config("init");
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is there already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), made);
    let checked = config("check");
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.contains("has no mistakes"), "{}", checked.out);

    user.write(
        "new/keepwell.toml",
        "maxRetries = 7\n[repositories.cellar]\nlocation = \"/r\"\npassword_command = \"echo hush\"\n\
         [items.docs]\npaths = [\"/data\"]\n",
    );
    let mut command = user.command(["config", "show", "--config", file.to_str().unwrap()]);
    command.env("KEEPWELL__ITEMS__DOCS__SCHEDULE", "daily 02:00");
    let shown = ended(command).out;
    for line in [
        format!("retry.max_retries = 7  # {}:1:1", file.display()),
        "max_concurrent_tasks = 3  # the default".into(),
        format!("data_folder = \"{}\"  # the default", user.path(".local/share/keepwell").display()),
        format!("repositories.cellar.location = \"/r\"  # {}:3:1", file.display()),
        format!("items.docs.paths = [\"/data\"]  # {}:6:1", file.display()),
        "items.docs.schedule = \"daily 02:00\"  # the variable KEEPWELL__ITEMS__DOCS__SCHEDULE".into(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(!shown.contains("hush") && !shown.contains("broker"), "{shown}");

    let schema: serde_json::Value = serde_json::from_str(&config("schema").out).unwrap_or_default();
    assert!(schema.is_null(), "the schema is that of every file: --config is none of its options");
    let schema: serde_json::Value = serde_json::from_str(&user.run(["config", "schema"]).out).unwrap();
    assert_eq!(schema["properties"]["max_concurrent_tasks"]["maximum"], 64);
    assert_eq!(schema["properties"]["retry"]["properties"]["maxRetries"]["type"], "integer");
    assert_eq!(schema["properties"]["items"]["additionalProperties"]["additionalProperties"], false);
    assert!(user.run(["config", "reference"]).out.contains("| `max_concurrent_tasks` | 1 to 64 | `3` |"));
}

#[test]
fn secrets_in_the_configuration_are_refused_and_not_repeated() {
    let user = User::new();
    for (text, key, said) in [
        ("location = \"/r\"\npassword = \"hush\"", "password", "password_file ="),
        ("location = \"/r\"\nPassword = \"hush\"", "Password", "password_file ="),
        ("location = \"https://ada:hush@host/r\"\npassword_file = \"/p\"", "location", "location_file ="),
        (
            "location = \"s3://b\"\npassword_file = \"/p\"\noptions = { secret_access_key = \"hush\" }",
            "options.secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
        ),
        ("location = \"/r\"\npassword_file = [\"hush\"]", "password_file", "should be"),
    ] {
        user.write("k.toml", &format!("[repositories.r]\n{text}\n{ITEM}"));
        let ran = user.run(["simulate", "--config", "k.toml"]);
        assert_eq!(ran.code, Some(1), "{text}");
        assert!(ran.err.contains(&format!("repositories.r.{key}: ")), "{text}: {}", ran.err);
        assert!(ran.err.contains(said), "{text}: {}", ran.err);
        assert!(!ran.err.contains("hush"), "{text}: {}", ran.err);
    }
}

#[test]
fn variables_stand_over_the_file_and_are_named_in_errors() {
    let user = User::new();
    user.write("k.toml", &format!("{REPOSITORY}{ITEM}"));
    for (variable, value, code, said) in [
        ("KEEPWELL__ITEMS__DOCS__SCHEDULE", "never", 1, "the variable KEEPWELL__ITEMS__DOCS__SCHEDULE: "),
        ("KEEPWELL__ITEMS__DOCS__SCHEDUL", "never", 1, "did you mean schedule?"),
        ("KEEPWELL__MAX_CONCURRENT_TASKS", "many", 1, "a whole number"),
        ("KEEPWELL__REPOSITORIES__CELLAR__PASSWORD", "hush", 1, "password_command"),
        ("KEEPWELL__A[9999999999]", "1", 1, "no such key"),
        ("KEEPWELL__MAXRETRIES", "many", 1, "the variable KEEPWELL__MAXRETRIES: retry.max_retries: "),
        ("KEEPWELL__BASEDELAY", "30000", 0, "docs"),
        ("KEEPWELL__MAX_CONCURRENT_TASKS", "2", 0, "docs"),
        ("KEEPWELL__ITEMS__DOCS__ENABLED", "false", 0, "disabled"),
        ("KEEPWELL__ITEMS__DOCS__SCHEDULE", "every 1d", 0, "docs"),
        ("KEEPWELL_PASSWORD", "hush", 0, "docs"),
    ] {
        let mut command =
            user.command(["simulate", "--config", "k.toml", "--from", "2026-01-01", "--for", "2d"]);
        command.env(variable, value);
        let ran = ended(command);
        assert_eq!(ran.code, Some(code), "{variable}={value}: {}", ran.err);
        let heard = if code == 0 { &ran.out } else { &ran.err };
        assert!(heard.contains(said), "{variable}={value}: {heard}");
        assert!(!ran.err.contains("hush"), "{variable}: {}", ran.err);
    }
}

#[test]
fn other_spellings_of_settings_mean_the_same() {
    let user = User::new();
    user.write("k.toml", &format!("maxConcurrentTasks = 1\nmaxRetries = 0\nbaseDelay = 1000\nSAFE_TIMEOUT_DELAY = 1728000000\n{ITEM}"));
    let simulate = |more: &[&str]| {
        let usual = ["simulate", "--config", "k.toml", "--from", "2026-01-01", "--for", "2d", "--json"];
        user.run(usual.iter().chain(more))
    };
    let ran = simulate(&["--fail", "100%"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told = support::messages(&ran.out);
    let tasks: Vec<_> = told.iter().filter(|line| line["message_type"] == "task").collect();
    assert!(!tasks.is_empty());
    for task in tasks {
        assert_eq!((&task["attempts"], &task["end"]), (&1.into(), &"failed".into()), "{task}");
    }
    user.write(
        "k.toml",
        &format!("[retry]\nbaseDelay = 30000\nnetworkDelay = 60000\nmaxRetries = 3\n{ITEM}"),
    );
    assert_eq!(simulate(&[]).code, Some(0));
}
