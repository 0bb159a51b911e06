//! The queue of one sink on disk: segments of checksummed records, and a cursor behind what the
//! receiver has.
//!
//! A folder holds `seg-NUMBER.spool` files and a `cursor`. A segment is [`MAGIC`] and then records:
//! length, CRC-32, sequence number, body. Segments are only appended to, and only by who made them:
//! a start begins a new one, so what a crash left half written is at the end of a file, and what is
//! behind a damaged place is found by looking for the next record whose checksum fits. A segment
//! goes when the receiver has all of it. The cursor may be older than the truth, never newer:
//! what is lost of it costs a second copy, not a record.

use crate::record::{Item, LINE_OCTETS_MAX};
use flate2::Crc;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What a segment begins with: name and version.
const MAGIC: &[u8; 8] = b"FLXSPL01";

/// Length, checksum and sequence number in front of each body.
const HEAD_OCTETS: usize = 16;

/// Longest body that is read back.
const BODY_OCTETS_MAX: usize = LINE_OCTETS_MAX + 1_024;

/// A segment that has grown to this is not appended to any more; smaller if the spool is small.
const SEGMENT_OCTETS: u64 = 4 << 20;

/// Largest file that is read as a segment.
const SEGMENT_OCTETS_MAX: u64 = SEGMENT_OCTETS + BODY_OCTETS_MAX as u64 + 64;

/// How far a sequence number may jump within a segment: gaps are what was dropped.
const GAP_MAX: u64 = 1 << 32;

/// An emptied segment below this size is written on instead of being replaced.
const WORTH_REMOVING_OCTETS: u64 = 64 << 10;

const CURSOR: &str = "cursor";

/// See the module's head. Nothing here waits, or knows what time it is.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    octets_max: u64,
    segment_octets: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// The last segment, if it is appended to.
    writer: Option<File>,
    /// The segment that was read from last, by its number.
    reader: Option<(u64, File)>,
    is_synced: bool,
    cursor: u64,
    next_seq: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    octets: u64,
    /// The records that the receiver does not have yet.
    slots: VecDeque<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: u64,
    accepted_ms: u64,
    at: u32,
    body_octets: u32,
    is_update: bool,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The spool is as large as it may be, and nothing in it may go for this.
    Full,
    /// The disk said no.
    Disk(io::Error),
}

/// What was found at a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Records that the receiver does not have.
    pub(crate) records: u64,
    /// Octets that are no records.
    pub(crate) damaged_octets: u64,
}

impl Spool {
    /// Opens the queue in `folder`, which is made if it is missing, with everything an earlier run
    /// left in it.
    ///
    /// # Errors
    ///
    /// Those of making, listing and reading files there. What is damaged is no error.
    pub(crate) fn open(folder: &Path, octets_max: u64) -> io::Result<(Self, Found)> {
        make_folder(folder)?;
        let cursor = read_cursor(&folder.join(CURSOR))?;
        let mut spool = Self {
            folder: folder.to_owned(),
            octets_max,
            segment_octets: SEGMENT_OCTETS.min(octets_max / 8),
            segments: VecDeque::new(),
            writer: None,
            reader: None,
            is_synced: true,
            cursor,
            next_seq: cursor + 1,
        };
        let mut found = Found::default();
        for number in spool.numbers()? {
            found.damaged_octets += spool.take_up(number)?;
        }
        found.records = spool.waiting();
        // Fails where the folder cannot be written, which is better known now; a disk that is full
        // will have room again.
        match spool.save_cursor() {
            Err(error) if !is_full(&error) => Err(error),
            _ => Ok((spool, found)),
        }
    }

    /// Appends a record under the next sequence number, and drops what may go if there is no room
    /// otherwise. Returns how many were dropped.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the spool is then as it was, but for what was dropped to make room.
    pub(crate) fn append(&mut self, item: &Item, lent_to: u64) -> Result<u64, (u64, Refused)> {
        let mut record = vec![0; HEAD_OCTETS];
        item.encode(&mut record);
        seal(&mut record, self.next_seq);
        let dropped = self.make_room(record.len() as u64, lent_to)?;
        let at = self.write(&record).map_err(|error| (dropped, Refused::Disk(error)))?;
        let slot = Slot {
            seq: self.next_seq,
            accepted_ms: item.accepted_ms,
            at,
            body_octets: (record.len() - HEAD_OCTETS) as u32,
            is_update: item.is_update,
        };
        if let Some(segment) = self.segments.back_mut() {
            segment.slots.push_back(slot);
        }
        self.next_seq += 1;
        self.is_synced = false;
        Ok(dropped)
    }

    /// Makes what was appended last for good.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.as_ref().filter(|_| !self.is_synced) {
            writer.sync_data()?;
        }
        self.is_synced = true;
        Ok(())
    }

    /// Whether there is room for a line: writes as much beside the queue and takes it away again.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let path = self.folder.join("probe.tmp");
        let written = File::create(&path).and_then(|file| {
            file.write_all_at(&[0; LINE_OCTETS_MAX], 0).and_then(|()| file.sync_data())
        });
        fs::remove_file(&path).and(written)
    }

    /// The records behind `seq` in their order, at most so many and about so many octets, but one
    /// if there is one. Records that cannot be read back are taken out; their number is returned.
    pub(crate) fn read(&mut self, seq: u64, count: usize, octets: usize) -> (Vec<Item>, u64) {
        let mut items = Vec::new();
        let (mut total, mut last, mut damaged) = (0, seq, 0);
        while items.len() < count && (total < octets || items.is_empty()) {
            let Some((number, slot)) = self.after(last) else { break };
            last = slot.seq;
            match self.read_one(number, slot) {
                Some(item) => {
                    total += item.line.len();
                    items.push(item);
                }
                None => {
                    self.forget(slot.seq);
                    damaged += 1;
                }
            }
        }
        (items, damaged)
    }

    /// The receiver has everything up to `seq`.
    ///
    /// # Errors
    ///
    /// That of saving the cursor; without it a crash costs second copies.
    pub(crate) fn ack(&mut self, seq: u64) -> io::Result<()> {
        if seq <= self.cursor {
            return Ok(());
        }
        self.cursor = seq;
        self.next_seq = self.next_seq.max(seq + 1);
        for segment in &mut self.segments {
            while segment.slots.front().is_some_and(|slot| slot.seq <= seq) {
                segment.slots.pop_front();
            }
        }
        // The cursor first: without it the numbers would begin anew when the last segment goes.
        let saved = self.save_cursor();
        self.remove_empty();
        saved
    }

    /// The last sequence number the receiver has.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The number the next record gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next record gets this number, or a higher one.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// Records that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.segments.iter().map(|segment| segment.slots.len() as u64).sum()
    }

    /// Size of all segments, in octets.
    pub(crate) fn octets(&self) -> u64 {
        self.segments.iter().map(|segment| segment.octets).sum()
    }

    /// When the oldest record that waits was accepted.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.segments.iter().find_map(|segment| Some(segment.slots.front()?.accepted_ms))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("seg-{number:020}.spool"))
    }

    /// The numbers of the segments, in order. What a crash left of a rewrite is removed.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".tmp") {
                fs::remove_file(&path)?;
            }
            let number = name.strip_prefix("seg-").and_then(|name| name.strip_suffix(".spool"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Takes up what is in a segment of an earlier run; returns the octets that are no records.
    fn take_up(&mut self, number: u64) -> io::Result<u64> {
        let path = self.path(number);
        let octets = fs::metadata(&path)?.len();
        if octets > SEGMENT_OCTETS_MAX {
            fs::rename(&path, path.with_extension("foreign"))?;
            return Ok(octets);
        }
        let bytes = fs::read(&path)?;
        let (slots, damaged_octets) = scan(&bytes, self.cursor, self.next_seq);
        if let Some(last) = slots.last() {
            self.next_seq = self.next_seq.max(last.seq + 1);
        }
        let slots: VecDeque<Slot> =
            slots.into_iter().filter(|slot| slot.seq > self.cursor).collect();
        if slots.is_empty() {
            fs::remove_file(&path)?;
        } else {
            self.segments.push_back(Segment { number, octets, slots });
        }
        Ok(damaged_octets)
    }

    /// Appends octets to the last segment, or a new one; returns where they are in it.
    fn write(&mut self, record: &[u8]) -> io::Result<u32> {
        let is_full =
            self.segments.back().is_some_and(|segment| segment.octets >= self.segment_octets);
        if is_full {
            self.sync()?;
            self.writer = None;
        }
        if self.writer.is_none() {
            self.begin_segment()?;
        }
        let (Some(writer), Some(segment)) = (&self.writer, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment to write to"));
        };
        let at = segment.octets;
        match writer.write_all_at(record, at) {
            Ok(()) => {
                segment.octets += record.len() as u64;
                Ok(at as u32)
            }
            Err(error) => {
                // Half a record is no harm, but nothing must come behind it.
                if writer.set_len(at).is_err() {
                    self.writer = None;
                }
                Err(error)
            }
        }
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let last = self.segments.back().map_or(0, |segment| segment.number + 1);
        let number = self.next_seq.max(last);
        let path = self.path(number);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(&path)?;
        let begun = file.write_all_at(MAGIC, 0).and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(error) = begun {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.segments.push_back(Segment {
            number,
            octets: MAGIC.len() as u64,
            slots: VecDeque::new(),
        });
        self.writer = Some(file);
        Ok(())
    }

    /// Drops records that may go, the oldest first, until there is room for so many octets. Those
    /// up to `lent_to` are on their way and stay.
    fn make_room(&mut self, octets: u64, lent_to: u64) -> Result<u64, (u64, Refused)> {
        let mut dropped = 0;
        // A new segment may be begun for it.
        let octets = octets + MAGIC.len() as u64;
        while self.octets() + octets > self.octets_max {
            let goes = |slot: &Slot| slot.is_update && slot.seq > lent_to;
            let oldest = self.segments.iter().position(|segment| segment.slots.iter().any(goes));
            let Some(oldest) = oldest else { return Err((dropped, Refused::Full)) };
            match self.rewrite(oldest, goes) {
                Ok(number) => dropped += number,
                Err(error) => return Err((dropped, Refused::Disk(error))),
            }
        }
        Ok(dropped)
    }

    /// Writes a segment anew without the records that go, and without those that are delivered.
    fn rewrite(&mut self, index: usize, goes: impl Fn(&Slot) -> bool) -> io::Result<u64> {
        if index + 1 == self.segments.len() {
            self.writer = None;
            self.is_synced = true;
        }
        self.reader = None;
        let segment = &self.segments[index];
        let path = self.path(segment.number);
        let old = fs::read(&path)?;
        let mut new = MAGIC.to_vec();
        let mut slots = VecDeque::new();
        for slot in segment.slots.iter().filter(|slot| !goes(slot)) {
            let end = slot.at as usize + HEAD_OCTETS + slot.body_octets as usize;
            let record = old.get(slot.at as usize..end).ok_or(ErrorKind::UnexpectedEof)?;
            slots.push_back(Slot { at: new.len() as u32, ..*slot });
            new.extend_from_slice(record);
        }
        let dropped = (segment.slots.len() - slots.len()) as u64;
        if slots.is_empty() {
            fs::remove_file(&path)?;
            self.segments.remove(index);
            return Ok(dropped);
        }
        let aside = path.with_extension("tmp");
        write_aside(&aside, &new, true)?;
        fs::rename(&aside, &path)?;
        let segment = &mut self.segments[index];
        (segment.octets, segment.slots) = (new.len() as u64, slots);
        Ok(dropped)
    }

    /// The first record behind `seq`, and its segment.
    fn after(&self, seq: u64) -> Option<(u64, Slot)> {
        self.segments.iter().find_map(|segment| {
            let behind = segment.slots.partition_point(|slot| slot.seq <= seq);
            Some((segment.number, *segment.slots.get(behind)?))
        })
    }

    fn read_one(&mut self, number: u64, slot: Slot) -> Option<Item> {
        if self.reader.as_ref().is_none_or(|(open, _)| *open != number) {
            self.reader = Some((number, File::open(self.path(number)).ok()?));
        }
        let (_, file) = self.reader.as_ref()?;
        let mut record = vec![0; HEAD_OCTETS + slot.body_octets as usize];
        file.read_exact_at(&mut record, u64::from(slot.at)).ok()?;
        let (seq, body) = unseal(&record)?;
        (seq == slot.seq).then(|| Item::decode(seq, body)).flatten()
    }

    fn forget(&mut self, seq: u64) {
        for segment in &mut self.segments {
            segment.slots.retain(|slot| slot.seq != seq);
        }
    }

    /// Removes segments of which the receiver has all. The last stays while it is small, so that
    /// not every record makes and removes a file.
    fn remove_empty(&mut self) {
        while let Some(first) = self.segments.front() {
            let is_written = self.segments.len() == 1 && self.writer.is_some();
            if !first.slots.is_empty() || (is_written && first.octets < WORTH_REMOVING_OCTETS) {
                break;
            }
            if is_written {
                self.writer = None;
                self.is_synced = true;
            }
            // What cannot be removed is behind the cursor, and removed by the next start.
            let _ = fs::remove_file(self.path(first.number));
            self.reader = self.reader.take().filter(|(open, _)| *open != first.number);
            self.segments.pop_front();
        }
    }

    /// Not synced: after a loss of power an older cursor may be found, or none.
    fn save_cursor(&self) -> io::Result<()> {
        let path = self.folder.join(CURSOR);
        let aside = path.with_extension("tmp");
        write_aside(&aside, cursor_text(self.cursor).as_bytes(), false)?;
        fs::rename(&aside, &path)
    }
}

/// The records of a segment, and how many octets of it are none. Sequence numbers rise.
fn scan(bytes: &[u8], cursor: u64, next_seq: u64) -> (Vec<Slot>, u64) {
    let mut slots: Vec<Slot> = Vec::new();
    let mut damaged_octets = 0;
    let mut at = MAGIC.len().min(bytes.len());
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        damaged_octets += at as u64;
    }
    while at < bytes.len() {
        // A segment may hold what the cursor has passed, but no number far from all that is known.
        let least = slots.last().map_or(0, |slot| slot.seq);
        let most = next_seq.max(cursor).max(least).saturating_add(GAP_MAX);
        // The number first: looking for the next record must not sum up everything every time.
        let sound = head(&bytes[at..])
            .filter(|(_, _, seq)| *seq > least && *seq <= most)
            .and_then(|_| unseal(&bytes[at..]))
            .and_then(|(seq, body)| Some((Item::decode(seq, body)?, body.len())));
        let Some((item, body_octets)) = sound else {
            damaged_octets += 1;
            at += 1;
            continue;
        };
        slots.push(Slot {
            seq: item.seq,
            accepted_ms: item.accepted_ms,
            at: at as u32,
            body_octets: body_octets as u32,
            is_update: item.is_update,
        });
        at += HEAD_OCTETS + body_octets;
    }
    (slots, damaged_octets)
}

/// Fills in the head of a record whose body stands behind it.
fn seal(record: &mut [u8], seq: u64) {
    let length = (record.len() - HEAD_OCTETS) as u32;
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[8..16].copy_from_slice(&seq.to_le_bytes());
    let sum = checksum(length, &record[8..]);
    record[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// Number and body of the record that `bytes` begin with, if they do.
fn unseal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (length, sum, seq) = head(bytes)?;
    let end = HEAD_OCTETS + length as usize;
    let body = bytes.get(HEAD_OCTETS..end)?;
    (sum == checksum(length, &bytes[8..end])).then_some((seq, body))
}

/// Length, checksum and number, if the length can be that of a body.
fn head(bytes: &[u8]) -> Option<(u32, u32, u64)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let (seq, _) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    let is_length = length as usize <= BODY_OCTETS_MAX;
    is_length.then(|| (length, u32::from_le_bytes(*sum), u64::from_le_bytes(*seq)))
}

fn checksum(length: u32, bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&length.to_le_bytes());
    crc.update(bytes);
    crc.sum()
}

/// `1234 CHECKSUM`.
fn cursor_text(seq: u64) -> String {
    format!("{seq} {:08x}\n", checksum(0, &seq.to_le_bytes()))
}

/// The cursor, or 0 if there is none or it is damaged.
fn read_cursor(path: &Path) -> io::Result<u64> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let seq = text.split(' ').next().and_then(|seq| seq.parse::<u64>().ok());
            Ok(seq.filter(|seq| cursor_text(*seq) == text).unwrap_or(0))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(0),
        Err(error) => Err(error),
    }
}

/// Makes a folder that only the sensor's user and group look into.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn write_aside(path: &Path, bytes: &[u8], is_synced: bool) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    let written = file.write_all_at(bytes, 0);
    let written = written.and_then(|()| if is_synced { file.sync_data() } else { Ok(()) });
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests;
