//! What a live sensor knows, on disk: taken up again when it starts, written anew while it runs.
//!
//! A checkpoint is written a partition at a time, one after each batch of packets, by a thread that
//! nobody waits for; it goes into a file aside, is made safe from a loss of power and then takes the
//! place of the one before. So at any moment a whole checkpoint is there, whatever ends the program,
//! and capturing never stops for it.

use crate::console::{self, Exit, warning};
use crate::inputs::Inputs;
use crate::replay::instant;
use crate::sensor::{self, Sensor, Stopped};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use fluxtap_config::Settings;
use fluxtap_engine::checkpoint::{self, Behind, Checkpoint, Fault, Standing};
use fluxtap_engine::{Campaigns, Cap, OpenAlert, Shard};
use fluxtap_window::limits::PARTITIONS;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pieces of a checkpoint that wait to be written; while there are so many, none is made.
const PIECES_MAX: usize = 4;

/// What a sensor begins with.
pub(crate) struct Start {
    /// The key of all hashes.
    pub(crate) hash_key: u64,
    /// Where it goes on, if it does.
    pub(crate) standing: Option<Standing>,
    /// What is known of campaigns.
    pub(crate) campaigns: Campaigns,
    /// What was held back.
    pub(crate) cap: Cap,
    /// They share the domains out.
    pub(crate) shards: Vec<Shard>,
}

impl Start {
    /// Takes the checkpoint of the settings up, if there is one. What cannot be used is set aside,
    /// and the sensor begins with nothing.
    pub(crate) fn new(settings: &Settings, inputs: &Inputs, fresh_key: u64) -> Result<Self, Exit> {
        let fresh = || Self {
            hash_key: fresh_key,
            standing: None,
            campaigns: Campaigns::default(),
            cap: Cap::default(),
            shards: sensor::shards(settings, inputs, fresh_key),
        };
        let Some(path) = &settings.checkpoint_file else { return Ok(fresh()) };
        match Self::read(path, settings, inputs) {
            Ok(Some(start)) => Ok(start),
            Ok(None) => Ok(fresh()),
            // It may be as good as any, and only not be for us to read.
            Err(Fault::Io(error)) => {
                console::error(&format!(
                    "checkpoint {}: cannot read: {error}; let the user of the sensor read and write \
                     it, or name another file with --checkpoint",
                    path.display()
                ));
                Err(Exit::Failed)
            }
            Err(fault) => set_aside(path, &fault).map(|()| fresh()),
        }
    }

    fn read(path: &Path, settings: &Settings, inputs: &Inputs) -> Result<Option<Self>, Fault> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::Io(error)),
        };
        let len = file.metadata().map_err(Fault::Io)?.len();
        let checkpoint = Checkpoint::open(BufReader::new(file), len)?;
        let hash_key = checkpoint.hash_key();
        let mut shards = sensor::shards(settings, inputs, hash_key);
        let Behind { standing, mut campaigns, mut cap } =
            checkpoint.load(&mut shards, &inputs.intel)?;
        let open: Vec<OpenAlert> = shards.iter().flat_map(Shard::open_alerts).collect();
        cap.keep_open(&open.iter().map(|alert| alert.id.clone()).collect());
        campaigns.keep_open(&open.into_iter().map(|alert| (alert.domain, alert.opened)).collect());
        Ok(Some(Self { hash_key, standing: Some(standing), campaigns, cap, shards }))
    }
}

/// Keeps a checkpoint that cannot be used under another name, and says so.
fn set_aside(path: &Path, fault: &Fault) -> Result<(), Exit> {
    let aside = beside(path, "bad");
    let said = format!("checkpoint {}: {fault}", path.display());
    match fs::rename(path, &aside) {
        Ok(()) => {
            warning(&format!(
                "{said}; it is kept as {}, and the sensor begins without what it knew",
                aside.display()
            ));
            Ok(())
        }
        Err(error) => {
            console::error(&format!(
                "{said}; it cannot be kept as {}: {error}; move it away, or name another file with \
                 --checkpoint",
                aside.display()
            ));
            Err(Exit::Failed)
        }
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// What became of checkpoints.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CheckpointCounts {
    /// Written whole.
    pub(crate) written: u64,
    /// Given up, because they could not be written.
    pub(crate) failed: u64,
    /// Bytes of the last one.
    pub(crate) bytes: u64,
    /// How long the longest stop for a piece of it was, in this run.
    pub(crate) longest_pause: Duration,
    /// When the last one was complete.
    pub(crate) last: Option<Instant>,
}

/// Writes checkpoints at an interval.
pub(crate) struct Checkpoints {
    path: PathBuf,
    hash_key: u64,
    interval: Duration,
    begun: Instant,
    /// What of the checkpoint that is being written comes next.
    next: Option<Next>,
    pieces: Sender<Piece>,
    outcomes: Receiver<io::Result<u64>>,
    writer: JoinHandle<()>,
    /// Whether the last one failed, so that it is said once.
    is_failing: bool,
    pub(crate) counts: CheckpointCounts,
}

#[derive(Clone, Copy)]
enum Next {
    Partition(u8),
    End,
    /// All is given to the writer, who has not said how it went.
    Outcome,
}

enum Piece {
    First(Vec<u8>),
    Further(Vec<u8>),
    Last(Vec<u8>),
}

impl Checkpoints {
    /// Gets ready to write; `None` if the settings want none.
    pub(crate) fn start(settings: &Settings, hash_key: u64) -> Result<Option<Self>, Exit> {
        let Some(path) = settings.checkpoint_file.clone() else { return Ok(None) };
        let failed = |what: &str, error: io::Error| {
            console::error(&format!(
                "checkpoint {}: cannot {what}: {error}; expected a file in a folder that the \
                 sensor may write to, named with --checkpoint",
                path.display()
            ));
            Exit::BadConfig
        };
        // Now, and not minutes later, is the time to hear that it cannot be written.
        let aside = beside(&path, "new");
        create(&aside).map_err(|error| failed("write beside it", error))?;
        let (pieces, to_write) = bounded(PIECES_MAX);
        let (said, outcomes) = bounded(1);
        let target = path.clone();
        let writer = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || write_all(&target, &to_write, &said))
            .map_err(|error| failed("start a thread to write it", error))?;
        let interval = Duration::from_secs(settings.checkpoint_interval_s);
        Ok(Some(Self {
            path,
            hash_key,
            interval,
            begun: instant(),
            next: None,
            pieces,
            outcomes,
            writer,
            is_failing: false,
            counts: CheckpointCounts::default(),
        }))
    }

    /// Goes a step on with the checkpoint that is being written, or begins one when it is time.
    pub(crate) fn step(&mut self, sensor: &mut Sensor) -> Result<(), Stopped> {
        match self.next {
            None if self.begun.elapsed() >= self.interval => self.begin(sensor),
            None => return Ok(()),
            Some(Next::Outcome) => {
                match self.outcomes.try_recv() {
                    Ok(outcome) => self.note(outcome),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
                }
                return Ok(());
            }
            Some(_) => {}
        }
        if self.pieces.is_full() {
            return Ok(());
        }
        let started = instant();
        self.make_next(sensor)?;
        self.counts.longest_pause = self.counts.longest_pause.max(started.elapsed());
        Ok(())
    }

    /// The end: writes a last checkpoint and waits for it.
    pub(crate) fn finish(mut self, sensor: &mut Sensor) -> Result<Exit, Stopped> {
        // One that is half written is older than what is known now.
        while let Some(next) = self.next {
            match next {
                Next::Outcome => match self.outcomes.recv() {
                    Ok(outcome) => self.note(outcome),
                    Err(_) => self.next = None,
                },
                _ => self.make_next(sensor)?,
            }
        }
        self.begin(sensor);
        while !matches!(self.next, Some(Next::Outcome)) {
            self.make_next(sensor)?;
        }
        let failed = self.counts.failed;
        if let Ok(outcome) = self.outcomes.recv() {
            self.note(outcome);
        }
        drop(self.pieces);
        let is_writer_well = self.writer.join().is_ok();
        let is_written = is_writer_well && self.counts.failed == failed;
        Ok(if is_written { Exit::Done } else { Exit::Failed })
    }

    fn begin(&mut self, sensor: &Sensor) {
        self.begun = instant();
        self.next = Some(Next::Partition(0));
        self.give(Piece::First(checkpoint::begin(self.hash_key, &sensor.inputs().intel)));
    }

    fn make_next(&mut self, sensor: &mut Sensor) -> Result<(), Stopped> {
        match self.next {
            Some(Next::Partition(number)) => {
                let saved = sensor.save(number)?;
                self.give(Piece::Further(checkpoint::partition(number, &saved)));
                let following = number + 1;
                let is_last = usize::from(following) == PARTITIONS;
                self.next = Some(if is_last { Next::End } else { Next::Partition(following) });
            }
            Some(Next::End) => {
                let standing = sensor.standing()?;
                let (campaigns, cap) = (sensor.campaigns.save(), sensor.follower.cap.save());
                self.give(Piece::Last(checkpoint::end(&standing, &campaigns, &cap)));
                self.next = Some(Next::Outcome);
            }
            Some(Next::Outcome) | None => {}
        }
        Ok(())
    }

    /// Hands a piece to the writer, who has room for it nearly always.
    fn give(&self, piece: Piece) {
        if let Err(TrySendError::Full(piece)) = self.pieces.try_send(piece) {
            // Only the last checkpoint of all is made without looking for room.
            let _ = self.pieces.send(piece);
        }
    }

    fn note(&mut self, outcome: io::Result<u64>) {
        self.next = None;
        match outcome {
            Ok(bytes) => {
                self.counts.written += 1;
                self.counts.bytes = bytes;
                self.counts.last = Some(instant());
                self.is_failing = false;
            }
            Err(error) => {
                self.counts.failed += 1;
                if !std::mem::replace(&mut self.is_failing, true) {
                    warning(&format!(
                        "checkpoint {}: cannot write it: {error}; the one before stays, and the \
                         next is tried after {} s",
                        self.path.display(),
                        self.interval.as_secs()
                    ));
                }
            }
        }
    }
}

/// Writes what comes, until nothing can come any more. Of one that failed the rest is thrown away.
fn write_all(path: &Path, pieces: &Receiver<Piece>, said: &Sender<io::Result<u64>>) {
    let aside = beside(path, "new");
    let mut file: io::Result<(File, u64)> = Err(ErrorKind::NotFound.into());
    while let Ok(piece) = pieces.recv() {
        let (bytes, is_last) = match &piece {
            Piece::First(bytes) => {
                file = create(&aside).map(|file| (file, 0));
                (bytes, false)
            }
            Piece::Further(bytes) => (bytes, false),
            Piece::Last(bytes) => (bytes, true),
        };
        if let Ok((open, len)) = &mut file {
            *len += bytes.len() as u64;
            if let Err(error) = open.write_all(bytes) {
                file = Err(error);
            }
        }
        if is_last {
            let written = std::mem::replace(&mut file, Err(ErrorKind::NotFound.into()));
            let outcome = written.and_then(|(file, len)| put(&file, &aside, path).map(|()| len));
            if outcome.is_err() {
                let _ = fs::remove_file(&aside);
            }
            if said.send(outcome).is_err() {
                return;
            }
        }
    }
    // What is half written says nothing.
    let _ = fs::remove_file(&aside);
}

/// Makes a file safe and puts it in the place of the one before.
fn put(file: &File, aside: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(aside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A new, empty file that nobody else may read: names and addresses are in it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
