//! A checkpoint: what is known of all domains, in bytes that are taken whole or not at all.
//!
//! ```text
//! fluxtap checkpoint 5⏎
//! frame: head         what the hashes and numbers in the rest mean
//! frame: partition    64 times, in any order
//! frame: tail         where event time stands, the campaigns and the cap; without it the file is torn
//! ```
//!
//! A frame is the length of its payload (32 bits, little-endian), the CRC-32 of the payload, and the
//! payload. What waits in the decoder (queries without response, fragments, streams, copies) is not
//! part of it: that is seconds of traffic, and it would be over when it was read again.

use crate::campaign::{Campaigns, SavedCampaigns};
use crate::cap::{Cap, SavedCap};
use crate::shard::{Moment, Shard, Unsound};
use fluxtap_intel::Intel;
use fluxtap_observe::domain_hash;
use fluxtap_window::limits::PARTITIONS;
use fluxtap_window::{Renumber, Share};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// The first line. The number goes up with every change of what follows, of the types that are
/// written down as well: `tests/checkpoint.rs` fails then.
pub const FIRST_LINE: &[u8] = b"fluxtap checkpoint 5\n";

/// The part of it that all versions share.
const ANY_FIRST_LINE: &[u8] = b"fluxtap checkpoint ";

/// Bytes in front of a payload.
const FRAME_HEAD: usize = 8;

/// Longest payload, in bytes: that of a partition that has all of the largest budget, and more.
const PAYLOAD_MAX: u64 = u32::MAX as u64;

/// A name whose hash says whether hashes are still the same.
const PROBE: &[u8] = b"\x07fluxtap\x04test\0";

/// What the rest means.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    program: String,
    hash_key: u64,
    /// The hash of [`PROBE`].
    probe: u64,
    zones: Vec<String>,
    allow: Vec<String>,
}

/// Where the sensor stood when the checkpoint was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// In event time.
    pub moment: Moment,
    /// In the stream of alert lines: the number of the last one.
    pub sequence: u64,
}

/// The beginning of a checkpoint of a sensor that hashes with `hash_key` and uses these lists.
#[must_use]
pub fn begin(hash_key: u64, intel: &Intel) -> Vec<u8> {
    let head = Head {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        hash_key,
        probe: domain_hash(hash_key, PROBE),
        zones: zones(intel),
        allow: allow(intel),
    };
    [FIRST_LINE, &frame(&[], &encoded(&head))].concat()
}

/// A partition, as [`Shard::save`] has it.
#[must_use]
pub fn partition(number: u8, saved: &[u8]) -> Vec<u8> {
    frame(&[number], saved)
}

/// The end of it.
#[must_use]
pub fn end(standing: &Standing, campaigns: &SavedCampaigns, cap: &SavedCap) -> Vec<u8> {
    frame(&[PARTITIONS as u8], &encoded(&(standing, campaigns, cap)))
}

/// What stands behind the shards, as it was.
#[derive(Debug)]
pub struct Behind {
    /// Where they stood.
    pub standing: Standing,
    /// The campaigns.
    pub campaigns: Campaigns,
    /// The cap, whose greatest number of lines is to be set.
    pub cap: Cap,
}

/// The numbers that zones and entries of the allow list have in lists that come into force.
#[must_use]
pub fn renumbered(before: &Intel, after: &Intel) -> Renumber {
    Renumber {
        zones: Renumber::between(&zones(before), &zones(after)),
        marks: Renumber::between(&allow(before), &allow(after)),
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It is something else.
    Foreign,
    /// It is that of another version.
    Version(String),
    /// It ends early, at so many bytes.
    Torn(u64),
    /// What stands in front of so many bytes is not what was written.
    Damaged(u64),
    /// It is whole and says what cannot be, in front of so many bytes.
    Unsound(u64),
    /// This build hashes names otherwise, so nothing in it would be found again.
    Hashes,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read it: {error}"),
            Self::Foreign => f.write_str("got something else, expected a checkpoint of fluxtap"),
            Self::Version(version) => {
                write!(f, "got a checkpoint of form {version}, expected form 5")
            }
            Self::Torn(at) => write!(f, "it ends early, at {at} bytes"),
            Self::Damaged(at) => write!(f, "what ends at byte {at} is damaged"),
            Self::Unsound(at) => write!(f, "what ends at byte {at} says what cannot be"),
            Self::Hashes => f.write_str("it was written by a build that hashes names otherwise"),
        }
    }
}

/// A checkpoint whose head was read.
#[derive(Debug)]
pub struct Checkpoint<R> {
    frames: Frames<R>,
    head: Head,
}

impl<R: Read> Checkpoint<R> {
    /// Opens a checkpoint of `len` bytes.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(mut input: R, len: u64) -> Result<Self, Fault> {
        let mut line = [0; FIRST_LINE.len()];
        match input.read_exact(&mut line) {
            Ok(()) if line == FIRST_LINE => {}
            Ok(()) if line.starts_with(ANY_FIRST_LINE) => {
                let version = line[ANY_FIRST_LINE.len()..].split(|byte| *byte == b'\n').next();
                let version = String::from_utf8_lossy(version.unwrap_or_default());
                return Err(Fault::Version(version.into_owned()));
            }
            Ok(()) => return Err(Fault::Foreign),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(if len == 0 { Fault::Torn(0) } else { Fault::Foreign });
            }
            Err(error) => return Err(Fault::Io(error)),
        }
        let at = line.len() as u64;
        let mut frames = Frames { input, at, len, payload: Vec::new() };
        let head: Head = frames.next().and_then(|payload| decoded(payload, at))?;
        if domain_hash(head.hash_key, PROBE) != head.probe {
            return Err(Fault::Hashes);
        }
        Ok(Self { frames, head })
    }

    /// The key of all hashes in it, with which the sensor must go on.
    #[must_use]
    pub const fn hash_key(&self) -> u64 {
        self.head.hash_key
    }

    /// Version of the program that wrote it.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.head.program
    }

    /// Reads the rest into new shards that share the domains out by [`Share::new`]. If that fails they
    /// are not to be used.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn load(self, shards: &mut [Shard], intel: &Intel) -> Result<Behind, Fault> {
        let Self { mut frames, head } = self;
        let mut missing: [bool; PARTITIONS] = [true; PARTITIONS];
        let behind = loop {
            frames.next()?;
            let at = frames.at;
            let (&number, payload) = frames.payload.split_first().ok_or(Fault::Unsound(at))?;
            let Some(is_missing) = missing.get_mut(usize::from(number)) else {
                let (standing, campaigns, cap) = decoded(payload, at)?;
                let campaigns = Campaigns::load(campaigns, intel).ok_or(Fault::Unsound(at))?;
                let cap = Cap::load(cap).ok_or(Fault::Unsound(at))?;
                break Behind { standing, campaigns, cap };
            };
            if !std::mem::take(is_missing) {
                return Err(Fault::Unsound(at));
            }
            let owner = Share::owner(usize::from(number), shards.len());
            shards[owner].load(number, payload, intel).map_err(|_: Unsound| Fault::Unsound(at))?;
        };
        if missing.contains(&true) || frames.at != frames.len {
            return Err(Fault::Unsound(frames.at));
        }
        let numbers = Renumber {
            zones: Renumber::between(&head.zones, &zones(intel)),
            marks: Renumber::between(&head.allow, &allow(intel)),
        };
        for shard in shards {
            shard.resume(behind.standing.moment);
            shard.renumber(&numbers);
        }
        Ok(behind)
    }
}

/// Frames of a file whose length is known, so that nothing in it can ask for more memory than that.
#[derive(Debug)]
struct Frames<R> {
    input: R,
    /// How far it was read.
    at: u64,
    len: u64,
    payload: Vec<u8>,
}

impl<R: Read> Frames<R> {
    fn next(&mut self) -> Result<&[u8], Fault> {
        let mut head = [0; FRAME_HEAD];
        self.fill(&mut head)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        if len > self.len.saturating_sub(self.at) {
            return Err(Fault::Torn(self.len));
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(len as usize, 0);
        self.fill(&mut payload)?;
        self.payload = payload;
        if crc32fast::hash(&self.payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(Fault::Damaged(self.at));
        }
        Ok(&self.payload)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Fault::Torn(self.len),
            _ => Fault::Io(error),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn frame(first: &[u8], rest: &[u8]) -> Vec<u8> {
    let len = (first.len() + rest.len()) as u64;
    assert!(len <= PAYLOAD_MAX, "a partition of {len} bytes");
    let mut crc = crc32fast::Hasher::new();
    crc.update(first);
    crc.update(rest);
    let (len, crc) = ((len as u32).to_le_bytes(), crc.finalize().to_le_bytes());
    [&len, &crc, first, rest].concat()
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_else(|error| {
        unreachable!("the lengths of all parts are known, and memory has no end: {error}")
    })
}

fn decoded<T: DeserializeOwned>(payload: &[u8], at: u64) -> Result<T, Fault> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(Fault::Unsound(at)),
    }
}

fn zones(intel: &Intel) -> Vec<String> {
    intel.zones().iter().map(|zone| zone.name.to_string()).collect()
}

fn allow(intel: &Intel) -> Vec<String> {
    intel.allow().entries().iter().map(|entry| entry.covers.to_string()).collect()
}
