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

#[test]
fn an_item_of_the_configuration_has_its_own_limits() {
    for (limit, wanted) in [("read_limit", 1500), ("upload_limit", 1500), ("tags", 0)] {
        let user = User::with_repository();
        write_noise(&user);
        user.write("password", PASSWORD);
        user.write(
            "k.toml",
            &format!(
                "[repositories.r]\nlocation = {:?}\npassword_file = {:?}\n\
                 [items.data]\npaths = [{:?}]\n{limit} = \"256 KiB\"\n",
                user.repository(),
                user.path("password"),
                user.path("data"),
            ),
        );
        let begun = Instant::now();
        let ran = user.run(["run", "data", "--config", "k.toml"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(begun.elapsed() >= Duration::from_millis(wanted), "{limit}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_repository_of_the_configuration_has_its_own_limit() {
    let user = User::with_repository();
    write_noise(&user);
    user.write("password", PASSWORD);
    user.write(
        "k.toml",
        &format!(
            "[repositories.r]\nlocation = {:?}\npassword_file = {:?}\nupload_limit = \"256 KiB\"\nconnections = 3\n\
             [items.data]\npaths = [{:?}]\n",
            user.repository(),
            user.path("password"),
            user.path("data"),
        ),
    );
    let begun = Instant::now();
    let ran = user.run(["run", "data", "--config", "k.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
}
