//! Who may come in: what every request is held against before anything is done for it.
//!
//! A browser carries its user's rights to whatever page it shows, so it is asked where a request comes from: the
//! name that it calls us by (a foreign one may have been pointed at this machine), and the page that sends it.
//! Then comes the token. Health and the page's own files, which hold nothing of anybody's, need none.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::login;
use super::token::Token;
use crate::doors::{DoorError, Kind};

/// Requests a second from all together. The engine serves far more commands; what is above it is no use but a flood.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(2_000).expect("not zero");
/// What a thousand listeners that come back at once need.
const REQUESTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(4_000).expect("not zero");
/// Wrong tokens a minute: typing errors, not a search. The right one is let in all the same.
const WRONG_TOKENS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("not zero");

/// What lets in and what does not.
pub struct Gate {
    token: Token,
    /// Names beside addresses and `localhost` that we are called by, in lower case.
    names: Vec<String>,
    requests: DefaultDirectRateLimiter,
    wrong_tokens: DefaultDirectRateLimiter,
}

impl Gate {
    /// Opens to this token; `names` are further names of this machine.
    pub fn new(token: Token, names: &[String]) -> Arc<Self> {
        Arc::new(Self {
            token,
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            requests: RateLimiter::direct(
                Quota::per_second(REQUESTS_PER_SECOND).allow_burst(REQUESTS_AT_ONCE),
            ),
            wrong_tokens: RateLimiter::direct(Quota::per_minute(WRONG_TOKENS_PER_MINUTE)),
        })
    }

    /// What the page's cookie is made of.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether a token that somebody typed is right; after too many wrong ones nobody is told.
    pub fn ensure_token(&self, given: &str) -> Result<(), DoorError> {
        if self.token.is(given) {
            return Ok(());
        }
        Err(self.wrong_token("the token is wrong"))
    }

    fn wrong_token(&self, why: &str) -> DoorError {
        if self.wrong_tokens.check().is_err() {
            return DoorError::new(Kind::TooMany, "too many wrong tokens; wait a minute");
        }
        DoorError::new(Kind::Unauthorized, why)
            .hint("it stands in the file `token` in the daemon's data folder; send it as `Authorization: Bearer TOKEN`")
    }

    fn ensure_rate(&self) -> Result<(), DoorError> {
        self.requests
            .check()
            .map_err(|_| DoorError::new(Kind::TooMany, "too many requests at once; ask again in a second"))
    }

    /// Looks at where a request says that it comes from. Whoever `arrives` follows a link to our page, from wherever.
    pub fn ensure_origin(&self, headers: &HeaderMap, arrives: bool) -> Result<(), DoorError> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let Some(host) = text(header::HOST).filter(|_| headers.get_all(header::HOST).count() == 1) else {
            return Err(DoorError::new(Kind::Forbidden, "the request names no host, or several"));
        };
        if !self.is_ours(host) {
            let name = name_of(host);
            let message = format!("this daemon is not called {name:?}");
            return Err(DoorError::new(Kind::Forbidden, message).hint(
                "if it should be, add the name to allowed_hosts in the table [daemon] of the configuration",
            ));
        }
        if text(header::ORIGIN).is_some_and(|origin| !is_of(origin, host)) {
            return Err(DoorError::new(Kind::Forbidden, "the request comes from another site's page"));
        }
        // Browsers of today say it also where they send no origin.
        let is_foreign = text(HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| !matches!(site, "same-origin" | "none"));
        if is_foreign && !arrives {
            return Err(DoorError::new(Kind::Forbidden, "the request comes from another site's page"));
        }
        Ok(())
    }

    /// An address cannot be pointed elsewhere by whoever owns a name.
    fn is_ours(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || address.parse::<IpAddr>().is_ok() || self.names.contains(&name)
    }

    fn ensure_known(&self, request: &ServiceRequest) -> Result<(), DoorError> {
        if let Some(given) = request.headers().get(header::AUTHORIZATION) {
            let given = given.to_str().unwrap_or_default();
            return match given.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    self.ensure_token(token.trim())
                }
                _ => Err(self.wrong_token("Authorization is not `Bearer TOKEN`")),
            };
        }
        match request.cookie(&login::cookie_name(request.app_config())) {
            Some(cookie) if self.token.is_cookie(cookie.value()) => Ok(()),
            // A browser that comes back after the token was renewed tries nothing; and a cookie's value cannot be guessed.
            Some(_) => {
                let why = "the page's login does not count any more";
                Err(DoorError::new(Kind::Unauthorized, why).hint("give the daemon's token again"))
            }
            // Nobody has tried anything.
            None => Err(DoorError::new(Kind::Unauthorized, "this needs the daemon's token")
                .hint("it stands in the file `token` in the daemon's data folder; send it as `Authorization: Bearer TOKEN`")),
        }
    }

    fn check(&self, request: &ServiceRequest) -> Result<(), DoorError> {
        self.ensure_rate()?;
        self.ensure_origin(request.headers(), arrives(request))?;
        if is_open(request.path()) { Ok(()) } else { self.ensure_known(request) }
    }
}

/// What a host header calls us, without the port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Whether a page of this origin is our own page under this name, over TLS or without it: a proxy before us may speak
/// TLS where we do not. A port that the scheme implies may be said or not.
fn is_of(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let implied = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let [authority, host] = [authority, host].map(|text| text.strip_suffix(implied).unwrap_or(text));
    authority.eq_ignore_ascii_case(host)
}

/// Whether somebody follows a link to the page itself. It holds nothing of anybody's, does nothing, and is shown in no
/// other site's frame; what it asks for then comes from our own page.
fn arrives(request: &ServiceRequest) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    request.method() == Method::GET && request.path() == "/" && mode.is_some_and(|mode| mode == "navigate")
}

fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/login" | "/logout" | "/healthz" | "/readyz" | "/favicon.ico")
        || path.starts_with("/page/")
}

/// What browsers are told with every answer.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Holds a request against the gate.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let gate = request.app_data::<web::Data<Gate>>().map(|gate| gate.clone().into_inner());
    let checked = match gate {
        Some(gate) => gate.check(&request),
        None => Err(DoorError::new(Kind::Unavailable, "the door has no gate")),
    };
    let mut response = match checked {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => {
            let mut response = actix_web::ResponseError::error_response(&error);
            let config = request.app_config();
            if error.kind == Kind::Unauthorized && request.cookie(&login::cookie_name(config)).is_some() {
                // Only a cookie that cannot be written is refused.
                let _ = response.add_cookie(&login::forgetting(config));
            }
            request.into_response(response)
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn gate() -> Arc<Gate> {
        let folder = tempfile::tempdir().unwrap();
        Gate::new(Token::read_or_make(&folder.path().join("token")).unwrap(), &["Backup.Example.org".into()])
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_our_own_names_and_our_own_page_are_let_in() {
        let gate = gate();
        for (pairs, is_let_in) in [
            (&[("host", "127.0.0.1:8377")][..], true),
            (&[("host", "localhost")], true),
            (&[("host", "LOCALHOST:1")], true),
            (&[("host", "[::1]:8377")], true),
            (&[("host", "[::1]")], true),
            (&[("host", "192.168.1.7")], true),
            (&[("host", "backup.example.org:443")], true),
            (&[("host", "evil.example.org")], false),
            (&[("host", "localhost.evil.org:8377")], false),
            (&[("host", "127.0.0.1.evil.org")], false),
            (&[("host", "")], false),
            (&[], false),
            (&[("host", "localhost"), ("host", "localhost")], false),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1")], true),
            (&[("host", "localhost:1"), ("origin", "http://localhost:2")], false),
            // A proxy before us speaks TLS.
            (&[("host", "localhost:1"), ("origin", "https://localhost:1")], true),
            (&[("host", "backup.example.org"), ("origin", "https://backup.example.org")], true),
            (&[("host", "backup.example.org:443"), ("origin", "https://Backup.example.org")], true),
            (&[("host", "backup.example.org:443"), ("origin", "http://backup.example.org")], false),
            (&[("host", "backup.example.org"), ("origin", "https://backup.example.org:8443")], false),
            (&[("host", "backup.example.org"), ("origin", "ftp://backup.example.org")], false),
            (&[("host", "backup.example.org"), ("origin", "https://backup.example.org.evil.org")], false),
            (&[("host", "backup.example.org"), ("origin", "https://evil.org/backup.example.org")], false),
            (&[("host", "evil.org"), ("origin", "https://evil.org")], false),
            (&[("host", "localhost:1"), ("origin", "null")], false),
            (&[("host", "localhost:1"), ("origin", "http://evil.org")], false),
            (&[("host", "localhost"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "localhost"), ("sec-fetch-site", "none")], true),
            (&[("host", "localhost"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "localhost"), ("sec-fetch-site", "cross-site")], false),
        ] {
            let checked = gate.ensure_origin(&headers(pairs), false);
            assert_eq!(checked.is_ok(), is_let_in, "{pairs:?}: {checked:?}");
        }
    }

    #[test]
    fn a_link_leads_to_the_page_from_anywhere_and_to_nothing_else() {
        let gate = gate();
        let link = &[("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        let fetch = &[("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")];
        let form = &[("host", "localhost"), ("origin", "https://evil.org"), ("sec-fetch-mode", "navigate")];
        let foreign =
            &[("host", "evil.org"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        for (method, path, pairs, is_let_in) in [
            (Method::GET, "/", &link[..], true),
            (Method::GET, "/", fetch, false),
            (Method::GET, "/", form, false),
            (Method::GET, "/", foreign, false),
            (Method::POST, "/", link, false),
            (Method::GET, "/page/page.js", link, false),
            (Method::GET, "/metrics", link, false),
            (Method::POST, "/login", link, false),
            (Method::GET, "/api/v1/events", link, false),
        ] {
            let request =
                pairs.iter().fold(TestRequest::with_uri(path), |request, pair| request.insert_header(*pair));
            let request = request.method(method.clone()).to_srv_request();
            let checked = gate.ensure_origin(request.headers(), arrives(&request));
            assert_eq!(checked.is_ok(), is_let_in, "{method} {path} {pairs:?}: {checked:?}");
        }
    }

    #[test]
    fn a_search_for_the_token_is_stopped_and_the_right_one_let_in_all_the_same() {
        let gate = gate();
        let kinds: Vec<Kind> = (0..40).map(|_| gate.ensure_token("wrong").unwrap_err().kind).collect();
        assert_eq!(kinds[0], Kind::Unauthorized);
        assert_eq!(kinds[39], Kind::TooMany);
        use secrecy::ExposeSecret;
        assert!(gate.ensure_token(gate.token().secret().expose_secret()).is_ok());
    }
}
