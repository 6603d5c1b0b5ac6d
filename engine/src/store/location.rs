//! Where a repository lies, as a person writes it: a path, or a URL whose
//! scheme names the kind of store.
//!
//! Parsing looks at nothing but the text: no file, no variable, no network.
//! What `Display` gives is safe to log: a user and password that were part of
//! the text are kept apart and never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use object_store::path::Path as ObjectPath;
use secrecy::SecretString;
use url::Url;

use crate::error::{Error, Result};

const SCHEMES: &str = "file, memory, s3, gs, az, http, https";

/// Where a repository lies.
#[derive(Clone, Debug)]
pub struct Location {
    place: Place,
}

/// The kinds of places, each with what its store needs to find it.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// An absolute path.
    Folder(PathBuf),
    /// A named store of this process that lives as long as the process.
    Memory { name: String },
    /// A bucket of S3, or of a server that speaks S3 at `endpoint`.
    S3 { bucket: String, prefix: ObjectPath, endpoint: Option<String> },
    /// A bucket of Google Cloud Storage.
    Google { bucket: String, prefix: ObjectPath },
    /// A container of Azure Blob Storage; the account comes from the settings.
    Azure { container: String, prefix: ObjectPath },
    /// A WebDAV collection. The URL holds no credentials and no final slash.
    WebDav { url: Url, login: Option<Login> },
}

/// A user and password that were part of a URL.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: SecretString,
}

impl Location {
    /// Reads what a person wrote. `working_folder` is where a relative path starts.
    ///
    /// Plain paths, `file:///path`, `memory://name`, `s3://bucket/prefix`,
    /// `gs://bucket/prefix`, `az://container/prefix`, `http(s)://host/path` for
    /// WebDAV, and restic's `local:path`, `s3:host/bucket/prefix`,
    /// `gs:bucket:/prefix` and `azure:container:/prefix`. A path that merely
    /// contains a colon is a path, unless it begins with the name of one of
    /// restic's other backends: those are refused, lest `sftp:host:/x` become a
    /// folder of that name.
    ///
    /// # Errors
    /// [`Error::Invalid`], whose text never repeats credentials.
    pub fn parse(text: &str, working_folder: &Path) -> Result<Self> {
        if text.is_empty() || text.contains('\0') {
            return Err(Error::Invalid("a repository's location must not be empty or contain NUL".into()));
        }
        let place = match split_scheme(text) {
            Some((scheme, rest)) => parse_url(&scheme, rest, text)?,
            None => match text.split_once(':') {
                Some((backend, rest)) => parse_backend(backend, rest, text, working_folder)?,
                None => Place::Folder(working_folder.join(text)),
            },
        };
        Ok(Self { place })
    }

    /// A local folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Folder(path.into()) }
    }

    /// The folder of a local repository.
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(path) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

/// Splits `scheme://rest`; the scheme comes back in lower case.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let starts_with_letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    (starts_with_letter && is_scheme).then(|| (scheme.to_ascii_lowercase(), rest))
}

fn parse_url(scheme: &str, rest: &str, text: &str) -> Result<Place> {
    match scheme {
        "file" => match Url::parse(text).map(|url| url.to_file_path()) {
            Ok(Ok(path)) => Ok(Place::Folder(path)),
            _ => Err(Error::Invalid(format!("{text} is no local path: write file:///path"))),
        },
        "memory" if rest.is_empty() || rest.contains('/') => {
            Err(Error::Invalid("a store in memory needs a name without slashes: memory://name".into()))
        }
        "memory" => Ok(Place::Memory { name: rest.into() }),
        "s3" => bucket_and_prefix(scheme, rest).map(|(bucket, prefix)| Place::S3 {
            bucket,
            prefix,
            endpoint: None,
        }),
        "gs" => bucket_and_prefix(scheme, rest).map(|(bucket, prefix)| Place::Google { bucket, prefix }),
        "az" => bucket_and_prefix(scheme, rest).map(|(container, prefix)| Place::Azure { container, prefix }),
        "http" | "https" => parse_webdav(text),
        _ => {
            Err(Error::Invalid(format!("{scheme}:// is no kind of store that is known: there are {SCHEMES}")))
        }
    }
}

/// restic's spellings, `backend:rest`; whatever is none of them is a path.
fn parse_backend(backend: &str, rest: &str, text: &str, working_folder: &Path) -> Result<Place> {
    match backend {
        "local" => Ok(Place::Folder(working_folder.join(rest))),
        "s3" => parse_restic_s3(rest),
        "gs" => bucket_and_prefix("gs", &rest.replacen(":/", "/", 1))
            .map(|(bucket, prefix)| Place::Google { bucket, prefix }),
        "azure" => bucket_and_prefix("az", &rest.replacen(":/", "/", 1))
            .map(|(container, prefix)| Place::Azure { container, prefix }),
        "sftp" | "rest" | "b2" | "swift" | "rclone" => Err(Error::Invalid(format!(
            "{backend}: is a backend of restic that is not known here: there are {SCHEMES} \
             (for a folder of that name, write ./{backend}:…)"
        ))),
        _ => Ok(Place::Folder(working_folder.join(text))),
    }
}

/// `host/bucket/prefix` or `http(s)://host/bucket/prefix`.
fn parse_restic_s3(rest: &str) -> Result<Place> {
    let (scheme, host_and_path) = match split_scheme(rest) {
        Some((scheme, after)) if scheme == "http" || scheme == "https" => (scheme, after),
        Some(_) => return Err(Error::Invalid("s3: is followed by a host or an http(s) URL".into())),
        None => ("https".into(), rest),
    };
    let (host, path) = host_and_path.split_once('/').unwrap_or((host_and_path, ""));
    refuse_login("s3", host)?;
    let (bucket, prefix) = bucket_and_prefix("s3", path)?;
    // Amazon's own hosts are found by the bucket's region.
    let endpoint =
        (host != "s3.amazonaws.com" && host != "amazonaws.com").then(|| format!("{scheme}://{host}"));
    Ok(Place::S3 { bucket, prefix, endpoint })
}

fn bucket_and_prefix(scheme: &str, rest: &str) -> Result<(String, ObjectPath)> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    refuse_login(scheme, bucket)?;
    if bucket.is_empty() {
        return Err(Error::Invalid(format!("no bucket or container is named: write {scheme}://name/prefix")));
    }
    let prefix = ObjectPath::parse(prefix.trim_matches('/'))
        .map_err(|error| Error::Invalid(format!("{prefix} cannot be a prefix in a bucket: {error}")))?;
    Ok((bucket.into(), prefix))
}

fn refuse_login(scheme: &str, authority: &str) -> Result<()> {
    if authority.contains('@') {
        return Err(Error::Invalid(format!("credentials for {scheme}:// belong in the settings")));
    }
    Ok(())
}

fn parse_webdav(text: &str) -> Result<Place> {
    // The text may hold a password, so errors do not repeat it.
    let mut url =
        Url::parse(text).map_err(|error| Error::Invalid(format!("the WebDAV URL is not valid: {error}")))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::Invalid("a WebDAV URL has no query and no fragment".into()));
    }
    let login = (!url.username().is_empty()).then(|| Login {
        user: percent_decoded(url.username()),
        password: percent_decoded(url.password().unwrap_or_default()).into(),
    });
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    // Neither fails for a URL that has a host, as every http URL does.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(Place::WebDav { url, login })
}

/// Undoes `%XX`; what is not UTF-8 afterwards stays recognisably wrong.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = |f: &mut fmt::Formatter<'_>, start: &str, name: &str, prefix: &ObjectPath| {
            write!(f, "{start}{name}")?;
            if prefix.is_root() { Ok(()) } else { write!(f, "/{prefix}") }
        };
        match &self.place {
            Place::Folder(path) => write!(f, "{}", path.display()),
            Place::Memory { name } => write!(f, "memory://{name}"),
            Place::S3 { bucket: name, prefix, endpoint: None } => bucket(f, "s3://", name, prefix),
            Place::S3 { bucket: name, prefix, endpoint: Some(endpoint) } => {
                bucket(f, &format!("s3:{endpoint}/"), name, prefix)
            }
            Place::Google { bucket: name, prefix } => bucket(f, "gs://", name, prefix),
            Place::Azure { container, prefix } => bucket(f, "az://", container, prefix),
            Place::WebDav { url, .. } => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> Result<Location> {
        Location::parse(text, Path::new("/home/ada"))
    }

    #[test]
    fn every_spelling_is_read_and_shown_in_one_way() {
        for (text, shown) in [
            ("/srv/backup", "/srv/backup"),
            ("backup", "/home/ada/backup"),
            ("local:backup", "/home/ada/backup"),
            ("with:colon", "/home/ada/with:colon"),
            ("./sftp:colon", "/home/ada/./sftp:colon"),
            ("file:///srv/with%20space", "/srv/with space"),
            ("memory://one", "memory://one"),
            ("s3://bucket", "s3://bucket"),
            ("S3://bucket/a/b/", "s3://bucket/a/b"),
            ("s3:s3.amazonaws.com/bucket/a", "s3://bucket/a"),
            ("s3:minio.example:9000/bucket/a", "s3:https://minio.example:9000/bucket/a"),
            ("s3:http://127.0.0.1:9000/bucket", "s3:http://127.0.0.1:9000/bucket"),
            ("gs://bucket/a", "gs://bucket/a"),
            ("gs:bucket:/a", "gs://bucket/a"),
            ("az://container/a", "az://container/a"),
            ("azure:container:/a", "az://container/a"),
            ("https://host/dav/", "https://host/dav"),
            ("http://host", "http://host/"),
        ] {
            let location = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(location.to_string(), shown, "{text}");
            let again = parse(shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(again.to_string(), shown, "shown text reads as the same place");
        }
    }

    #[test]
    fn what_cannot_be_a_location_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("a\0b", "NUL"),
            ("ftp://host/x", "ftp://"),
            ("ftp://host/x", SCHEMES),
            ("sftp:user@host:/x", "sftp:"),
            ("rest:http://host/", "rest:"),
            ("file://host/x", "file:///path"),
            ("memory://", "name"),
            ("memory://a/b", "slashes"),
            ("s3://", "bucket"),
            ("s3://bucket/a/../b", "prefix"),
            ("s3://key:word@bucket/a", "settings"),
            ("s3:ftp://host/bucket", "http"),
            ("https://host/a?b=c", "query"),
            ("https://", "not valid"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("word"), "{text} leaks: {error}");
        }
    }

    #[test]
    fn a_login_in_a_url_is_kept_apart_and_never_shown() {
        let location = parse("https://ada:s3cr%40t@host:8443/dav").unwrap();
        assert_eq!(location.to_string(), "https://host:8443/dav");
        assert!(!format!("{location:?}").contains("s3cr"));
        let Place::WebDav { login: Some(login), .. } = location.place() else { panic!("no login") };
        assert_eq!((login.user.as_str(), login.password.expose_secret()), ("ada", "s3cr@t"));
    }
}
