//! The web page's files, carried within the program: what a name gives, as what, and how a browser knows that it has it.
//!
//! The page is plain HTML, CSS and ES modules; nothing is built and nothing is loaded from elsewhere. Its own door
//! serves `index.html` at `/` and every file at `/page/NAME`. A file that is added to `bin/page/` is added to the table.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::quantities::shown_hex;

/// What is served at `/`.
pub const INDEX: &str = "index.html";

const FILES: &[(&str, &[u8])] = &[
    ("answers.js", include_bytes!("../page/answers.js")),
    ("api.js", include_bytes!("../page/api.js")),
    ("base.css", include_bytes!("../page/base.css")),
    ("calendar.js", include_bytes!("../page/calendar.js")),
    ("chart.js", include_bytes!("../page/chart.js")),
    ("clock.js", include_bytes!("../page/clock.js")),
    ("dialog.js", include_bytes!("../page/dialog.js")),
    ("differences.js", include_bytes!("../page/differences.js")),
    ("dom.js", include_bytes!("../page/dom.js")),
    ("due_times.js", include_bytes!("../page/due_times.js")),
    ("editor.js", include_bytes!("../page/editor.js")),
    ("explanation.js", include_bytes!("../page/explanation.js")),
    ("folder.js", include_bytes!("../page/folder.js")),
    ("frame.css", include_bytes!("../page/frame.css")),
    ("header.js", include_bytes!("../page/header.js")),
    ("history.css", include_bytes!("../page/history.css")),
    ("history.js", include_bytes!("../page/history.js")),
    ("icons.js", include_bytes!("../page/icons.js")),
    ("index.html", include_bytes!("../page/index.html")),
    ("item_form.js", include_bytes!("../page/item_form.js")),
    ("items.css", include_bytes!("../page/items.css")),
    ("items.js", include_bytes!("../page/items.js")),
    ("live.js", include_bytes!("../page/live.js")),
    ("login.js", include_bytes!("../page/login.js")),
    ("mark.svg", include_bytes!("../page/mark.svg")),
    ("notices.js", include_bytes!("../page/notices.js")),
    ("outcomes.js", include_bytes!("../page/outcomes.js")),
    ("page.js", include_bytes!("../page/page.js")),
    ("progress.js", include_bytes!("../page/progress.js")),
    ("quantities.js", include_bytes!("../page/quantities.js")),
    ("question.js", include_bytes!("../page/question.js")),
    ("restore.js", include_bytes!("../page/restore.js")),
    ("routes.js", include_bytes!("../page/routes.js")),
    ("search.js", include_bytes!("../page/search.js")),
    ("snapshots.css", include_bytes!("../page/snapshots.css")),
    ("snapshots.js", include_bytes!("../page/snapshots.js")),
    ("sparkline.js", include_bytes!("../page/sparkline.js")),
    ("state.js", include_bytes!("../page/state.js")),
    ("store.js", include_bytes!("../page/store.js")),
    ("stream.js", include_bytes!("../page/stream.js")),
    ("tasks.css", include_bytes!("../page/tasks.css")),
    ("tasks.js", include_bytes!("../page/tasks.js")),
];

/// Each file's entity tag, in the order of [`FILES`].
static ETAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|(_, bytes)| etag(bytes)).collect());

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub bytes: &'static [u8],
    /// A strong entity tag, quotes included: another file has another one.
    pub etag: &'static str,
}

/// The file of this name, or `None`. Names have no folders.
pub fn file(name: &str) -> Option<PageFile> {
    let index = FILES.iter().position(|(known, _)| *known == name)?;
    let (_, bytes) = FILES[index];
    Some(PageFile { content_type: content_type(name), bytes, etag: &ETAGS[index] })
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", shown_hex(&Sha256::digest(bytes)[..16]))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_carried_and_nothing_else() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, there);
        assert!(file(INDEX).is_some());
        for name in ["", "/", "../Cargo.toml", "page.js/", "Page.js"] {
            assert!(file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_file_has_a_type_that_a_browser_takes_and_a_tag_of_its_own() {
        let mut tags: Vec<&str> = Vec::new();
        for (name, bytes) in FILES {
            let file = file(name).unwrap();
            assert_eq!(file.bytes, *bytes, "{name}");
            assert_ne!(file.content_type, "application/octet-stream", "{name}");
            assert!(
                file.etag.len() == 34 && file.etag.starts_with('"') && file.etag.ends_with('"'),
                "{name}"
            );
            tags.push(file.etag);
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), FILES.len());
    }

    #[test]
    fn whatever_a_file_names_is_carried() {
        for (name, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            for (before, after) in [("from './", "'"), ("\"/page/", "\""), ("'/page/", "'")] {
                for part in text.split(before).skip(1) {
                    let named = part.split(after).next().unwrap();
                    assert!(file(named).is_some(), "{name} names {named}");
                }
            }
        }
    }

    #[test]
    fn no_file_holds_what_the_content_security_policy_forbids_or_makes_markup_of_data() {
        for (name, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                " style=",
                "setAttribute('style'",
                "{ style:",
                "<style",
                "onclick=",
                "javascript:",
                "http://",
                "https://",
            ] {
                let allowed = word == "http://"
                    && text.matches(word).count() == text.matches("http://www.w3.org/").count();
                assert!(allowed || !text.contains(word), "{name} holds {word}");
            }
        }
    }
}
