//! Limits of a store's traffic, as an option and in the configuration.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::{Duration, Instant};

use support::{PASSWORD, User};

/// A mebibyte that does not get smaller.
fn write_noise(user: &User) {
    let (mut noise, mut state) = (String::new(), 1u64);
    while noise.len() < 1 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Half of what random hexadecimal digits are is redundant.
        noise.push_str(&format!("{:016x}", state ^ (state >> 29)));
    }
    user.write("data/noise", &noise);
}

#[test]
fn a_backup_takes_as_long_as_its_limit_wants() {
    let user = User::with_repository();
    write_noise(&user);
    let begun = Instant::now();
    let ran = user.run_in_repository(["backup", "data", "--limit-upload", "256"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());

    let begun = Instant::now();
    let ran = user.run_in_repository(["restore", "latest", "--target", "out", "--limit-download", "256"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
}

/// How long the backup of an item takes whose repository, and which itself, have these lines.
fn seconds_of_a_backup(of_repository: &str, of_item: &str) -> f64 {
    let user = User::with_repository();
    write_noise(&user);
    user.write("password", PASSWORD);
    user.write(
        "k.toml",
        &format!(
            "[repositories.r]\nlocation = {:?}\npassword_file = {:?}\n{of_repository}\n\
             [items.data]\npaths = [{:?}]\n{of_item}\n",
            user.repository(),
            user.path("password"),
            user.path("data"),
        ),
    );
    let begun = Instant::now();
    let ran = user.run(["run", "data", "--config", "k.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    begun.elapsed().as_secs_f64()
}

#[test]
fn a_repository_and_an_item_of_the_configuration_have_limits_of_their_own() {
    for (of_repository, of_item) in [
        ("upload_limit = \"256 KiB\"\nconnections = 3", ""),
        ("", "upload_limit = \"256 KiB\""),
        ("", "read_limit = \"256 KiB\""),
    ] {
        let seconds = seconds_of_a_backup(of_repository, of_item);
        assert!(seconds >= 1.5, "{of_repository} {of_item}: {seconds} s");
    }
}
