//! A real browser before a page: what it shows, what is clicked and typed, how it looks.
//!
//! Chromium is driven through chromedriver. Both are gone with the value, and with the test's process. Everything is
//! waited for by looking at the page again and again; what never comes fails with the page's text. Whatever a page
//! does that its content security policy forbids, and every error that nobody catches, is kept as a complaint.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::programs::say;
use crate::servers::ports::Ports;
use crate::servers::process::ServerProcess;

/// How long a page may take to show something, on a machine that is busy with other tests.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A browser with one window.
pub struct Browser {
    client: Client,
    _driver: ServerProcess,
    _chromium: ServerProcess,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// For names of screenshots.
    pub name: &'static str,
    /// As the system wants it: dark, or light.
    pub is_dark: bool,
    /// Of the window, in CSS pixels.
    pub width: u32,
}

impl Look {
    /// On a desk by day, on a desk by night, on a phone.
    pub const ALL: [Self; 3] = [
        Self { name: "light", is_dark: false, width: 1280 },
        Self { name: "dark", is_dark: true, width: 1280 },
        Self { name: "narrow", is_dark: false, width: 360 },
    ];
}

impl Browser {
    /// Starts one; `None`, said on one line, if this machine has none.
    pub async fn start() -> Option<Self> {
        let found = |variable: &str, name: &str| {
            let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
            if path.is_none() {
                say(&format!("skipped: {name} is not there ({variable} is not set; see tests/run)"));
            }
            path
        };
        let chromium = found("KEEPWELL_TEST_CHROMIUM", "Chromium")?;
        let driver = found("KEEPWELL_TEST_CHROMEDRIVER", "chromedriver")?;
        let chromium = ServerProcess::start("Chromium", &chromium, |command, data| {
            arrange_chromium(command);
            command.arg(format!("--user-data-dir={}", data.display())).env("HOME", data);
        });
        // It tells its port there, once it listens.
        let told = chromium.data().join("DevToolsActivePort");
        chromium.wait_until(|| std::fs::read_to_string(&told).is_ok_and(|text| text.lines().count() >= 2));
        let text = std::fs::read_to_string(&told).expect("it was there");
        let browser = format!("127.0.0.1:{}", text.lines().next().expect("a port"));
        let ports = Ports::take();
        let port = ports.port(0);
        let driver = ServerProcess::start("chromedriver", &driver, |command, _| {
            command.arg(format!("--port={port}"));
        });
        driver.wait_until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let capabilities = json!({"goog:chromeOptions": {"debuggerAddress": browser}});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("an object").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a session");
        let browser = Self { client, _driver: driver, _chromium: chromium };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": COMPLAIN})).await;
        browser.look(Look::ALL[0]).await;
        Some(browser)
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page loads again");
    }

    /// What a script gives, with `arguments` as its own.
    pub async fn script(&self, script: &str, arguments: Value) -> Value {
        let arguments = arguments.as_array().cloned().unwrap_or_default();
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// What an asynchronous script hands to the last of its arguments.
    pub async fn script_that_waits(&self, script: &str) -> Value {
        self.client
            .execute_async(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("the script: {error}"))
    }

    /// Waits until a script gives something that counts as true, and gives it; `what` is told if it never does.
    pub async fn wait_until(&self, what: &str, script: &str, arguments: Value) -> Value {
        let started = Instant::now();
        loop {
            let found = self.script(script, arguments.clone()).await;
            if !matches!(found, Value::Null | Value::Bool(false)) {
                return found;
            }
            if started.elapsed() > SHOWN_WITHIN {
                let text = self.script("return document.body.innerText", json!([])).await;
                panic!(
                    "waited in vain for {what} ({arguments}); the page shows:\n{}",
                    text.as_str().unwrap_or_default()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits for an element, and gives its text.
    pub async fn see(&self, css: &str) -> String {
        let script =
            "const found = document.querySelector(arguments[0]); return found && (found.innerText ?? '');";
        self.wait_until("an element", script, json!([css])).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element's text holds these words, and gives it.
    pub async fn see_words(&self, css: &str, words: &str) -> String {
        let script = "const text = document.querySelector(arguments[0])?.innerText ?? ''; \
                      return text.includes(arguments[1]) && text;";
        self.wait_until("words", script, json!([css, words])).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until there is no such element.
    pub async fn see_no_more(&self, css: &str) {
        self.wait_until("an element to go", "return !document.querySelector(arguments[0])", json!([css]))
            .await;
    }

    /// Clicks an element that can be clicked, as a person would.
    pub async fn click(&self, css: &str) {
        let script = "const found = document.querySelector(arguments[0]); if (!found || found.disabled) return false; \
                      found.scrollIntoView({block: 'center'}); found.focus(); found.click(); return true;";
        self.wait_until("an element to click", script, json!([css])).await;
    }

    /// Replaces what stands in a field by `text`, with keys.
    pub async fn fill(&self, css: &str, text: &str) {
        self.see_field(css).await;
        let script = "const field = document.querySelector(arguments[0]); field.focus(); field.select?.();";
        self.script(script, json!([css])).await;
        let field = self.client.active_element().await.expect("the field has the focus");
        if text.is_empty() {
            field.send_keys("\u{e017}").await.expect("the field takes keys");
        } else {
            field.send_keys(text).await.expect("the field takes keys");
        }
    }

    async fn see_field(&self, css: &str) {
        self.wait_until("a field", "return !!document.querySelector(arguments[0])", json!([css])).await;
    }

    /// Presses a key, as WebDriver names it, on whatever has the focus.
    pub async fn press(&self, key: &str) {
        let element = self.client.active_element().await.expect("something has the focus");
        element.send_keys(key).await.expect("it takes keys");
    }

    /// What a person can act on and a screen reader has no name for: its role and its place.
    pub async fn nameless(&self) -> Vec<String> {
        const NAMED: [&str; 9] = [
            "button",
            "link",
            "textbox",
            "searchbox",
            "combobox",
            "checkbox",
            "dialog",
            "progressbar",
            "img",
        ];
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        assert!(nodes.len() > 5, "the page has an accessibility tree");
        let nameless = nodes.iter().filter(|node| {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            let name = node["name"]["value"].as_str().unwrap_or_default();
            node["ignored"] != true && NAMED.contains(&role) && name.trim().is_empty()
        });
        nameless.map(ToString::to_string).collect()
    }

    /// Chooses a value of a list.
    pub async fn choose(&self, css: &str, value: &str) {
        let script = "const list = document.querySelector(arguments[0]); \
                      if (![...(list?.options ?? [])].some((option) => option.value === arguments[1])) return false; \
                      list.value = arguments[1]; \
                      for (const type of ['input', 'change']) list.dispatchEvent(new Event(type, {bubbles: true})); \
                      return true;";
        self.wait_until("a list with this value", script, json!([css, value])).await;
    }

    /// Looks in another way from now on.
    pub async fn look(&self, look: Look) {
        let scheme = if look.is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
        let height = if look.width < 600 { 780 } else { 860 };
        let size = json!({"width": look.width, "height": height, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Keeps a picture of the whole page among the test's output, `target/page-screenshots/NAME.png`.
    pub async fn screenshot(&self, name: &str) {
        let test = std::env::current_exe().expect("a running test has a path");
        let folder = test.ancestors().nth(3).expect("target/PROFILE/deps/TEST").join("page-screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let size = self.script("return [innerWidth, document.documentElement.scrollHeight]", json!([])).await;
        let [width, height] = [0, 1].map(|index| size[index].as_u64().expect("a number"));
        // What stands at the window's end is to stand at the picture's.
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let answer = self.devtools("Page.captureScreenshot", json!({"format": "png"})).await;
        use base64::Engine as _;
        let data = answer["data"].as_str().expect("a picture");
        let picture = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a picture");
    }

    /// What the page did that its policy forbids, and errors that nobody caught.
    pub async fn complaints(&self) -> Vec<String> {
        let complaints =
            self.script("return window.complaints ?? ['the page was not watched']", json!([])).await;
        complaints.as_array().into_iter().flatten().map(ToString::to_string).collect()
    }

    /// A command of Chromium's own.
    pub async fn devtools(&self, name: &str, parameters: Value) -> Value {
        let command = DevTools(json!({"cmd": name, "params": parameters}));
        self.client.issue_cmd(command).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn arrange_chromium(command: &mut Command) {
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        "about:blank",
    ]);
}

const COMPLAIN: &str = "window.complaints = [];
addEventListener('securitypolicyviolation', (event) => complaints.push(`${event.violatedDirective}: ${event.blockedURI}`));
addEventListener('error', (event) => complaints.push(`${event.message} in ${event.filename}:${event.lineno}`));
addEventListener('unhandledrejection', (event) => complaints.push(`unhandled: ${event.reason?.stack ?? event.reason}`));";

#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.0.to_string()))
    }
}
