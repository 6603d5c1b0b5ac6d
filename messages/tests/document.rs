//! docs/messages.md shows every message as it is.

#[allow(dead_code, reason = "each suite needs its part")]
mod samples;

use std::fmt::Write;

use keepwell_messages::{Command, Event};
use samples::document::{ensure_current, readable};
use samples::{commands, events, progress_event, replies, variants};
use serde::Serialize;

/// What stands below the name of a command.
fn fields_of(message: &impl Serialize) -> String {
    let json = serde_json::to_string(message).expect("JSON");
    let (_, fields) = json.split_once(':').expect("{name: fields}");
    fields.strip_suffix('}').expect("{name: fields}").to_owned()
}

fn block(text: &mut String, json: &str) {
    writeln!(text, "```json\n{}\n```", readable(json)).expect("a text takes all");
}

#[test]
fn the_document_is_current() {
    // One after the other: renewing writes the file.
    ensure_current("commands", &shown_commands());
    ensure_current("events", &shown_events());
    ensure_current("progress", &shown_progress());
    ensure_current("values", &shown_variants());
}

fn shown_commands() -> String {
    let (commands, replies) = (commands(), replies());
    let mut text = String::new();
    for (name, summary) in Command::NAMES.iter().zip(Command::SUMMARIES) {
        writeln!(text, "### {name}\n\n{}\n", summary.trim()).expect("a text takes all");
        for command in commands.iter().filter(|command| command.name() == *name) {
            block(&mut text, &fields_of(command));
            text.push('\n');
        }
        let reply = replies.iter().find(|reply| reply.name() == *name).expect("every command has a reply");
        text.push_str("Reply:\n\n");
        block(&mut text, &fields_of(reply));
        text.push('\n');
    }
    text
}

fn shown_events() -> String {
    let events = events();
    let mut text = String::new();
    for (name, summary) in Event::NAMES.iter().zip(Event::SUMMARIES) {
        writeln!(text, "### {name}\n\n{}\n", summary.trim()).expect("a text takes all");
        let event = events.iter().find(|told| told.event.name() == *name).expect("every event has a sample");
        block(&mut text, &serde_json::to_string(event).expect("JSON"));
        text.push('\n');
    }
    text
}

fn shown_progress() -> String {
    let mut text = String::new();
    block(&mut text, &serde_json::to_string(&progress_event()).expect("JSON"));
    text
}

fn shown_variants() -> String {
    let mut text = String::new();
    for (title, values) in variants() {
        writeln!(text, "**{}{}**\n\n```json", title[..1].to_uppercase(), &title[1..])
            .expect("a text takes all");
        for value in values {
            writeln!(text, "{}", readable(&value)).expect("a text takes all");
        }
        text.push_str("```\n\n");
    }
    text
}
