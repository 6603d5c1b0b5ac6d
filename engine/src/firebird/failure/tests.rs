//! What Firebird 3.0.11 really said, and what it is taken for.

use super::*;

const EXIT: &str = "exit status 1";

fn database() -> FirebirdPlace {
    "127.0.0.1/13050:/data/books.fdb".parse().unwrap()
}

#[test]
fn what_the_tools_really_say_has_its_class_and_its_advice() {
    use ErrorClass::{Credentials, Network, Server, Settings, Source, Space};
    let cases: &[(&str, ErrorClass, &str)] = &[
        (
            "gbak: ERROR:Your user name and password are not defined. Ask your database administrator to set up \
             a Firebird login.\ngbak:Exiting before completion due to errors",
            Credentials,
            LOGIN,
        ),
        ("gbak: ERROR:could not open password file /nofile, errno 2", Credentials, LOGIN),
        (
            "gbak: ERROR:Your user name and password are not defined. Ask your database administrator to set up \
             a Firebird login.\ngbak: ERROR:failed to create database 127.0.0.1/13050:/data/r.fdb",
            Credentials,
            LOGIN,
        ),
        ("gbak: ERROR:no permission for CREATE access to DATABASE /data/r.fdb", Credentials, RIGHTS),
        (
            "gbak: ERROR:Unable to complete network request to host \"127.0.0.1\".\ngbak: ERROR:    Failed to \
             establish a connection.\ngbak:Exiting before completion due to errors",
            Network,
            NETWORK,
        ),
        (
            "gbak: ERROR:Unable to complete network request to host \"nohost.invalid\".\ngbak: ERROR:    Failed \
             to locate host machine.\ngbak: ERROR:    The specified name was not found in the hosts file or \
             Domain Name Services.",
            Network,
            NETWORK,
        ),
        (
            "gbak: ERROR:Error reading data from the connection.\ngbak: ERROR:gds_$receive failed\ngbak:Exiting \
             before completion due to errors",
            Network,
            NETWORK,
        ),
        ("gbak: ERROR:Error writing data to the connection.", Network, NETWORK),
        ("gbak: ERROR:connection lost to database", Network, NETWORK),
        (
            "gbak: ERROR:Error occurred during login, please check server firebird.log for details",
            Server,
            BUSY,
        ),
        ("gbak: ERROR:lock conflict on no wait transaction", Server, BUSY),
        ("gbak: ERROR:too many open handles to database", Server, BUSY),
        (
            "bad parameters on attach or create database\n-secondary server attachments cannot validate databases",
            Server,
            BUSY,
        ),
        (
            "gbak: ERROR:I/O error during \"open\" operation for file \"/data/missing.fdb\"\ngbak: ERROR:    Error \
             while trying to open file\ngbak: ERROR:    No such file or directory",
            Source,
            MISSING,
        ),
        (
            "gbak: ERROR:I/O error during \"open O_CREAT\" operation for file \"/root/r.fdb\"\ngbak: ERROR:    \
             Error while trying to create file\ngbak: ERROR:    Permission denied\ngbak: ERROR:failed to create \
             database 127.0.0.1/13050:/root/r.fdb",
            Source,
            FORBIDDEN,
        ),
        (
            "gbak: ERROR:I/O error during \"lock\" operation for file \"/data/big.fdb\"\ngbak: ERROR:    Database \
             already opened with engine instance, incompatible with current",
            Source,
            OPEN,
        ),
        ("gbak: ERROR:database books.fdb shutdown", Source, SHUT),
        (
            "gbak: ERROR:file /etc/passwd is not a valid database\ngbak: ERROR:    IProvider::attachDatabase \
             failed when loading mapping cache",
            Settings,
            NO_DATABASE,
        ),
        (
            "gbak: ERROR:operating system directive access failed\ngbak: ERROR:    Permission denied\ngbak: \
             ERROR:    /tmp/firebird/",
            Settings,
            PLACE,
        ),
        ("gbak:unknown switch \"PARALLEL\"\ngbak:Usage:\n", Settings, SWITCH),
        (
            "gbak: ERROR:unsupported on-disk structure for file /d/b.fdb; found 13.1, support 12.0",
            Settings,
            FORMAT,
        ),
        (
            "gbak: ERROR:I/O error during \"write\" operation for file \"/data/r.fdb\"\ngbak: ERROR:    Error while \
             trying to write to file\ngbak: ERROR:    No space left on device\ngbak: ERROR:gds_$send failed",
            Space,
            SPACE,
        ),
        ("gbak: ERROR:database r.fdb already exists.  To replace it, use the -REP switch", Settings, EXISTS),
        ("gbak: ERROR:expected backup description record", Settings, NO_DUMP),
        (
            "Done with volume #0, \"stdin\"\tPress return to reopen that file, or type a new\n\tname followed by \
             return to open a different file.  Name: gbak:\n\nCould not open file name \"ss entry: @1\u{fffd}\"",
            Settings,
            CUT,
        ),
        ("gbak: ERROR:Unexpected I/O error while reading from backup file", Settings, CUT),
        (
            "gbak:adjusting an invalid decompression length from 65 to 18\ngbak: ERROR:validation error for column \
             \"DETAIL\".\"ID\", value \"*** null ***\"\ngbak: ERROR:warning -- record could not be restored",
            Settings,
            CONTENT,
        ),
        ("gbak: ERROR:database file appears corrupt (/data/books.fdb)", Source, DAMAGED),
    ];
    for (said, class, means) in cases {
        let error = failure(Doing::BackUp, &database(), EXIT, said);
        let text = error.to_string();
        assert_eq!(error.class(), *class, "{text}");
        let expected =
            format!("cannot back up the Firebird database 127.0.0.1/13050:/data/books.fdb: {means}");
        let shown = text.strip_prefix(&expected);
        let shown = shown.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(shown.starts_with(" (") && shown.ends_with(')'), *means != CUT, "{text}");
        assert!(*means != CUT || shown.is_empty(), "what gbak had in its memory is not told: {text}");
        assert!(!text.contains('\n') && !text.contains("ERROR") && !text.contains("Exiting"), "{text}");
    }
}

#[test]
fn what_is_in_no_table_is_told_as_it_was_said() {
    for (exit, said, class, why) in [
        ("ended by signal 9", "", ErrorClass::Crash, "ended by signal 9"),
        (EXIT, "", ErrorClass::Source, "exit status 1, without a word"),
        (EXIT, "gbak: ERROR:a new thing\n", ErrorClass::Source, "exit status 1: a new thing"),
        (
            "it is not whole",
            "Summary of\n\n  pages: 3",
            ErrorClass::Source,
            "it is not whole: Summary of; pages: 3",
        ),
    ] {
        let error = failure(Doing::Validate, &database(), exit, said);
        assert_eq!(error.class(), class, "{error}");
        let expected = format!("cannot validate the Firebird database {}: {why}", database());
        assert_eq!(error.to_string(), expected);
    }
    let long = failure(Doing::Restore, &database(), EXIT, &"ä".repeat(5000)).to_string();
    assert!(long.len() < SAID_SHOWN_MAX + 200 && long.ends_with('…'), "{}", long.len());
}

#[test]
fn a_tool_that_is_missing_is_named_with_what_to_do() {
    let missing = io::Error::from(io::ErrorKind::NotFound);
    let error = not_started(Doing::BackUp, &database(), OsStr::new("gbak"), &missing);
    assert_eq!(error.class(), ErrorClass::Settings);
    assert!(error.to_string().contains("there is no program gbak; install"), "{error}");
}
