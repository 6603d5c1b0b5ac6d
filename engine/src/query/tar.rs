//! A tar archive as POSIX.1-2001 has it (pax): ustar headers, and an extended header before
//! each entry whose metadata do not fit.
//!
//! What goes into an extended header: paths and link targets too long for ustar or not ASCII
//! (raw bytes, marked `hdrcharset=BINARY` where they are not UTF-8), times that are negative or
//! have nanoseconds, large numbers, and extended attributes as `SCHILY.xattr.NAME`, as GNU tar,
//! bsdtar and Go write and read them. Source: pax in The Open Group Base Specifications.

use std::io::{self, Write};

use crate::format::Timestamp;

const BLOCK_BYTES: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::Symlink => b'2',
            Self::CharDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Folder => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// An entry's metadata.
#[derive(Clone, Debug)]
pub struct TarEntry<'a> {
    /// Its path in the archive: relative, raw bytes; a folder's without a slash at its end.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, at most 0o7777.
    pub permissions: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Name of the owner, or empty.
    pub user: &'a str,
    /// Name of the group, or empty.
    pub group: &'a str,
    /// Bytes of content that follow; zero but for files.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Target of a symbolic link.
    pub link_target: &'a [u8],
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes by name.
    pub extended_attributes: Vec<(&'a str, &'a [u8])>,
}

/// Writes an archive. After each header the caller writes exactly the content it announced,
/// through [`TarWriter::content`], then [`TarWriter::end_entry`].
pub struct TarWriter<W: Write> {
    out: W,
    announced: u64,
    written: u64,
}

impl<W: Write> TarWriter<W> {
    /// An archive without entries.
    pub fn new(out: W) -> Self {
        Self { out, announced: 0, written: 0 }
    }

    /// Begins an entry.
    pub fn begin_entry(&mut self, entry: &TarEntry<'_>) -> io::Result<()> {
        let path = match entry.kind {
            EntryKind::Folder => [entry.path, b"/"].concat(),
            _ => entry.path.to_vec(),
        };
        let mut header = Header::new(entry.kind.flag());
        let mut records = Records::default();
        if !header.set_path(&path) {
            records.add("path", &path);
        }
        if !header.set_text(LINK_TARGET, entry.link_target) {
            records.add("linkpath", entry.link_target);
        }
        header.set_number(MODE, entry.permissions.into());
        for (field, key, number) in
            [(UID, "uid", u64::from(entry.uid)), (GID, "gid", entry.gid.into()), (SIZE, "size", entry.size)]
        {
            if !header.set_number(field, number) {
                records.add(key, number.to_string().as_bytes());
            }
        }
        for (field, key, name) in [(USER, "uname", entry.user), (GROUP, "gname", entry.group)] {
            if !header.set_text(field, name.as_bytes()) {
                records.add(key, name.as_bytes());
            }
        }
        let whole = u64::try_from(entry.mtime.seconds).is_ok_and(|seconds| header.set_number(MTIME, seconds));
        if !whole || entry.mtime.nanoseconds != 0 {
            records.add("mtime", decimal_seconds(entry.mtime).as_bytes());
        }
        if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            let (major, minor) = entry.device;
            // Linux has 12 bits for the major number, 20 for the minor; seven octal digits hold 21.
            if !header.set_number(DEVICE_MAJOR, major.into())
                || !header.set_number(DEVICE_MINOR, minor.into())
            {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "device number too large for tar"));
            }
        }
        for (name, value) in &entry.extended_attributes {
            // A key ends at the first `=`; GNU tar writes it, and `%`, this way.
            let name = name.replace('%', "%25").replace('=', "%3D");
            records.add(&format!("SCHILY.xattr.{name}"), value);
        }
        self.write_records(records)?;
        self.out.write_all(&header.sealed())?;
        (self.announced, self.written) = (entry.size, 0);
        Ok(())
    }

    /// Where the current entry's content goes.
    pub fn content(&mut self) -> TarContent<'_, W> {
        TarContent { tar: self }
    }

    /// Ends the current entry.
    ///
    /// # Errors
    /// Less content came than was announced: the archive is of no use any more.
    pub fn end_entry(&mut self) -> io::Result<()> {
        if self.written != self.announced {
            return Err(io::Error::other("a file's content is shorter than announced"));
        }
        self.pad(self.announced)
    }

    /// Ends the archive and gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_records(&mut self, records: Records) -> io::Result<()> {
        if records.text.is_empty() {
            return Ok(());
        }
        let text = records.finish();
        let mut header = Header::new(b'x');
        header.set_path(b"pax-header");
        header.set_number(MODE, 0o644);
        if !header.set_number(SIZE, text.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "metadata too large for tar"));
        }
        self.out.write_all(&header.sealed())?;
        self.out.write_all(&text)?;
        self.pad(text.len() as u64)
    }

    fn pad(&mut self, content_bytes: u64) -> io::Result<()> {
        let beyond = (content_bytes % BLOCK_BYTES as u64) as usize;
        if beyond == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK_BYTES][beyond..]) }
    }
}

/// Takes the current entry's content; refuses more than was announced.
pub struct TarContent<'a, W: Write> {
    tar: &'a mut TarWriter<W>,
}

impl<W: Write> Write for TarContent<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.tar.announced - self.tar.written {
            return Err(io::Error::other("a file's content is longer than announced"));
        }
        let count = self.tar.out.write(bytes)?;
        self.tar.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.out.flush()
    }
}

/// Where a field begins and ends in a ustar header.
type Field = std::ops::Range<usize>;
const NAME: Field = 0..100;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MTIME: Field = 136..148;
const CHECKSUM: Field = 148..156;
const KIND: usize = 156;
const LINK_TARGET: Field = 157..257;
const MAGIC: Field = 257..265;
const USER: Field = 265..297;
const GROUP: Field = 297..329;
const DEVICE_MAJOR: Field = 329..337;
const DEVICE_MINOR: Field = 337..345;
const PREFIX: Field = 345..500;

struct Header([u8; BLOCK_BYTES]);

impl Header {
    fn new(flag: u8) -> Self {
        let mut header = Self([0; BLOCK_BYTES]);
        header.0[KIND] = flag;
        header.0[MAGIC].copy_from_slice(b"ustar\x0000");
        for field in [MODE, UID, GID, SIZE, MTIME, DEVICE_MAJOR, DEVICE_MINOR] {
            header.set_number(field, 0);
        }
        header
    }

    /// In octal with a NUL at its end; false, and zero, if it does not fit.
    fn set_number(&mut self, field: Field, number: u64) -> bool {
        let digits = field.len() - 1;
        let fits = number >> (3 * digits) == 0;
        let text = format!("{:0digits$o}", if fits { number } else { 0 });
        self.0[field.start..field.end - 1].copy_from_slice(text.as_bytes());
        fits
    }

    /// False if it is too long or not ASCII: then as much as is ASCII and fits stands there,
    /// for readers that know ustar only.
    fn set_text(&mut self, field: Field, text: &[u8]) -> bool {
        let fits = text.is_ascii() && text.len() < field.len();
        for (place, byte) in self.0[field.start..field.end - 1].iter_mut().zip(text) {
            *place = if byte.is_ascii() { *byte } else { b'_' };
        }
        fits
    }

    /// A path may be cut in two at a slash.
    fn set_path(&mut self, path: &[u8]) -> bool {
        if path.is_ascii() && path.len() >= NAME.len() {
            let latest = path.len().min(PREFIX.len());
            let slash = path[..latest].iter().rposition(|byte| *byte == b'/');
            if let Some(slash) = slash
                && path.len() - slash - 1 < NAME.len()
                && slash > 0
                && slash + 1 < path.len()
            {
                return self.set_text(PREFIX, &path[..slash]) && self.set_text(NAME, &path[slash + 1..]);
            }
        }
        self.set_text(NAME, path)
    }

    /// The block with its checksum, which is taken with blanks in its own place.
    fn sealed(mut self) -> [u8; BLOCK_BYTES] {
        self.0[CHECKSUM].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        let text = format!("{sum:06o}\0 ");
        self.0[CHECKSUM].copy_from_slice(text.as_bytes());
        self.0
    }
}

/// The records of an extended header.
#[derive(Default)]
struct Records {
    text: Vec<u8>,
    binary: bool,
}

impl Records {
    fn add(&mut self, key: &str, value: &[u8]) {
        // Attributes may be any bytes without a mark: all readers take them raw.
        self.binary |= !key.starts_with("SCHILY.") && std::str::from_utf8(value).is_err();
        push_record(&mut self.text, key, value);
    }

    fn finish(self) -> Vec<u8> {
        if !self.binary {
            return self.text;
        }
        let mut text = Vec::new();
        push_record(&mut text, "hdrcharset", b"BINARY");
        text.extend_from_slice(&self.text);
        text
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn push_record(text: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + decimal_digits(length) != length {
        length = rest + decimal_digits(length);
    }
    text.extend_from_slice(format!("{length} {key}=").as_bytes());
    text.extend_from_slice(value);
    text.push(b'\n');
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// `-1.5` for half a second before one second before 1970: the sign is that of the whole number.
fn decimal_seconds(time: Timestamp) -> String {
    let (seconds, nanoseconds) = (i128::from(time.seconds), i128::from(time.nanoseconds));
    let total = seconds * 1_000_000_000 + nanoseconds;
    let (sign, total) = if total < 0 { ("-", -total) } else { ("", total) };
    let text = format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
