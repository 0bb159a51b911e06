//! All sinks together: what the program holds.

use crate::clock;
use crate::counts::{Counters, SinkCounts, add};
use crate::dead_letter::DeadLetters;
use crate::lane::Lane;
use crate::notice::{Tell, Teller};
use crate::options::{SinkOptions, SpoolOptions, Sync, Target};
use crate::record::{Form, Item, Keep, LINE_OCTETS_MAX, Record};
use crate::spool::{Spool, make_folder};
use crate::transport;
use crate::worker::{Batch, Gone, GoneCell, Worker};
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most octets of records that wait to be written to the spools.
const INBOX_OCTETS_MAX: usize = 32 << 20;

/// How often spools that could not be written are tried again, and synced under [`Sync::Second`].
const TURN: Duration = Duration::from_secs(1);

/// How much of a stop is kept back for threads to end in, after they were told to.
const ENDING: Duration = Duration::from_millis(500);

/// The sinks. Dropping it ends nothing in order: call [`Delivery::drain`] before.
///
/// [`Delivery::push`] neither waits for a disk nor for a receiver. A thread writes what was pushed
/// to the spool of each sink, and each sink has a thread that empties its own.
pub struct Delivery {
    sinks: Vec<Arc<Sink>>,
    wanted: [bool; 3],
    inbox: Arc<Inbox>,
    threads: Vec<JoinHandle<()>>,
    gone: GoneCell,
    /// Keeps other processes out of the spool.
    _lock: Option<File>,
}

struct Sink {
    options: SinkOptions,
    lane: Arc<Lane>,
    counters: Arc<Counters>,
}

/// Why no delivery could be opened.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Files that settings name cannot be used, or the spool; every mistake, each for one line.
    Unusable(Vec<String>),
    /// Receivers of required sinks cannot be reached.
    Unreachable(Vec<String>),
}

impl Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unusable(said) | Self::Unreachable(said)) = self;
        f.write_str(&said.join("\n"))
    }
}

/// How delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// What is left of sinks that did not get it all out.
    pub left: Vec<Left>,
    /// What each sink did, in the order of the settings.
    pub counts: Vec<SinkCounts>,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The sink.
    pub sink: String,
    /// Lines that wait in its spool for the next start.
    pub spooled: u64,
    /// Lines that waited in memory and are lost.
    pub lost: u64,
}

impl Delivery {
    /// Opens the sinks and starts their threads.
    ///
    /// What an earlier run left in the spool is delivered first. A receiver that cannot be reached
    /// is no error unless its sink is required.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; nothing runs then.
    pub fn open(
        sinks: &[SinkOptions],
        spool: &SpoolOptions,
        tell: &Tell,
    ) -> Result<Self, OpenError> {
        let needs_spool = sinks.iter().any(|sink| sink.target != Target::Stdout);
        let lock = if needs_spool { Some(lock(&spool.folder)?) } else { None };
        let mut parts = Vec::new();
        let mut said = Vec::new();
        for options in sinks {
            match part(options, spool, tell) {
                Ok(part) => parts.push(part),
                Err(error) => said.push(error),
            }
        }
        if !said.is_empty() {
            return Err(OpenError::Unusable(said));
        }
        for (sink, worker_parts) in parts.iter_mut().filter(|(sink, _)| sink.options.is_required) {
            if let Err(fault) = worker_parts.transport.probe() {
                let name = &sink.options.name;
                said.push(format!("the required sink {name} cannot be reached: {}", fault.said));
            }
        }
        if !said.is_empty() {
            return Err(OpenError::Unreachable(said));
        }
        if needs_spool {
            tell_of_strangers(sinks, &spool.folder, tell);
        }
        Self::start(parts, spool.sync, lock).map_err(|error| {
            OpenError::Unusable(vec![format!("cannot start a thread for delivery: {error}")])
        })
    }

    /// Reads the files that sinks name, as [`Delivery::open`] does, but reaches for nobody and
    /// writes nothing. Returns every mistake.
    #[must_use]
    pub fn check(sinks: &[SinkOptions]) -> Vec<String> {
        let check = |sink: &SinkOptions| transport::open(sink).err().map(|e| named(sink, &e));
        sinks.iter().filter_map(check).collect()
    }

    fn start(parts: Vec<(Sink, Parts)>, sync: Sync, lock: Option<File>) -> io::Result<Self> {
        let gone = GoneCell::default();
        let inbox = Arc::new(Inbox::default());
        let mut threads = Vec::new();
        let mut sinks = Vec::new();
        let is_alone = parts.len() == 1;
        for (sink, Parts { transport, dead, teller }) in parts {
            let name = format!("sink-{}", sink.options.name);
            let batch = batch(&sink.options.target);
            let (lane, gone) = (Arc::clone(&sink.lane), (Arc::clone(&gone), is_alone));
            let worker = Worker::new(lane, transport, dead, teller, batch, gone);
            threads.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
            sinks.push(Arc::new(sink));
        }
        let (from, to) = (Arc::clone(&inbox), sinks.clone());
        let spooler = thread::Builder::new().name("spool".to_owned());
        threads.push(spooler.spawn(move || fill(&from, &to, sync))?);
        let is_wanted = |form| sinks.iter().any(|sink| sink.options.form == form);
        let wanted = [Form::Json, Form::Text, Form::Terminal].map(is_wanted);
        Ok(Self { sinks, wanted, inbox, threads, gone, _lock: lock })
    }

    /// Whether some sink delivers this form; lines need the others not.
    #[must_use]
    pub const fn wants(&self, form: Form) -> bool {
        self.wanted[form as usize]
    }

    /// Hands a record to every sink whose filter lets it pass. Never waits for long: when the disk
    /// does not keep up, updates go first, and what cannot be kept is counted.
    pub fn push(&self, record: Record) {
        self.inbox.push(record, &self.sinks);
    }

    /// What each sink did, in the order of the settings. Waits for nobody.
    #[must_use]
    pub fn counts(&self) -> Vec<SinkCounts> {
        let read =
            |sink: &Arc<Sink>| sink.counters.read(&sink.options.name, sink.options.target.kind());
        self.sinks.iter().map(read).collect()
    }

    /// Opens files, certificates and tokens anew, as after a rotation, and ends waits between
    /// tries. What cannot be read anew stays as it was, and is told.
    pub fn reopen(&self) {
        for sink in &self.sinks {
            sink.lane.order(|orders| orders.reopen = true);
        }
    }

    /// Whether standard output takes nothing any more, and why. Other sinks come back.
    #[must_use]
    pub fn stdout_gone(&self) -> Option<Gone> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Delivers what waits, for as long as `limit`, and ends.
    #[must_use]
    pub fn drain(mut self, limit: Duration) -> Drained {
        let by = clock::instant() + limit;
        self.inbox.close();
        // The spool comes first: what is there is safe.
        if let Some(spooler) = self.threads.pop() {
            wait_for(&spooler, by + ENDING);
        }
        for sink in &self.sinks {
            sink.lane.order(|orders| orders.stop_by = Some(by));
        }
        for thread in &self.threads {
            wait_for(thread, by + ENDING);
        }
        let counts = self.counts();
        let left = counts.iter().filter(|counts| counts.waiting > 0).map(|counts| Left {
            sink: counts.name.clone(),
            spooled: counts.waiting.saturating_sub(counts.unspooled),
            lost: counts.unspooled,
        });
        Drained { left: left.collect(), counts }
    }
}

/// What a worker is made of.
struct Parts {
    transport: Box<dyn transport::Transport>,
    dead: Option<DeadLetters>,
    teller: Teller,
}

fn part(options: &SinkOptions, spool: &SpoolOptions, tell: &Tell) -> Result<(Sink, Parts), String> {
    let transport = transport::open(options).map_err(|error| named(options, &error))?;
    let teller = Teller::new(&options.name, Arc::clone(tell));
    let counters = Arc::new(Counters::default());
    let folder = spool.folder.join(&options.name);
    let queue = if options.target == Target::Stdout {
        None
    } else {
        let (queue, found) = Spool::open(&folder, spool.octets_max).map_err(|error| {
            let place = folder.display();
            named(options, &format!("cannot use the spool {place}: {error}; permit it, make room, or name another as spool.folder"))
        })?;
        add(&counters.resumed, found.records);
        add(&counters.damaged_octets, found.damaged_octets);
        if found.damaged_octets > 0 {
            teller.warn(&format!(
                "{} octets of the spool are no whole lines, as a crash leaves them, and were \
                 passed over",
                found.damaged_octets
            ));
        }
        if found.records > 0 {
            teller.note(&format!("{} lines of an earlier run wait in the spool", found.records));
        }
        Some(queue)
    };
    let dead = queue.is_some().then(|| DeadLetters::new(&folder, &options.name));
    let lane = Lane::new(queue, Arc::clone(&counters), teller.clone());
    let sink = Sink { options: options.clone(), lane: Arc::new(lane), counters };
    Ok((sink, Parts { transport, dead, teller }))
}

fn named(sink: &SinkOptions, said: &str) -> String {
    format!("sink {}: {said}", sink.name)
}

/// How much a receiver gets at one time.
fn batch(target: &Target) -> Batch {
    match target {
        Target::Http(http) => {
            Batch { records: http.batch_records, octets: http.batch_octets, wait: http.batch_wait }
        }
        _ => Batch { records: 256, octets: 1 << 20, wait: Duration::ZERO },
    }
}

/// Nobody else may write to the spool.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let unusable = |said: String| OpenError::Unusable(vec![said]);
    let opened =
        make_folder(folder).and_then(|()| File::options().create(true).append(true).open(&path));
    let file = opened.map_err(|error| {
        unusable(format!(
            "cannot use the spool {}: {error}; permit it to the sensor's user, or name another as \
             spool.folder",
            folder.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(unusable(format!(
            "the spool {} belongs to another sensor that runs; name another as spool.folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(unusable(format!("cannot lock {}: {error}", path.display())))
        }
    }
}

/// Tells of lines that wait for sinks which are not there any more.
fn tell_of_strangers(sinks: &[SinkOptions], folder: &Path, tell: &Tell) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| sinks.iter().all(|sink| sink.name != *name)) {
        let segments = fs::read_dir(folder.join(&name)).into_iter().flatten().flatten();
        let is_segment = |entry: &fs::DirEntry| {
            entry.file_name().to_str().is_some_and(|name| name.ends_with(".spool"))
        };
        if segments.filter(is_segment).count() > 0 {
            Teller::new(&name, Arc::clone(tell)).warn(&format!(
                "lines wait in {} for a sink that is not in the settings; name one so, or remove \
                 the folder",
                folder.join(&name).display()
            ));
        }
    }
}

/// Waits for a thread, but not for long: one that hangs in a system call ends with the program.
fn wait_for(thread: &JoinHandle<()>, by: Instant) {
    while !thread.is_finished() && clock::instant() < by {
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was pushed and is not yet written to the spools.
#[derive(Default)]
struct Inbox {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<(u64, Arc<Record>)>,
    octets: usize,
    is_closed: bool,
}

impl Inbox {
    fn push(&self, record: Record, sinks: &[Arc<Sink>]) {
        let mut waiting = self.lock();
        let octets = record.octets();
        let is_longest = record.forms.iter().any(|form| form.len() > LINE_OCTETS_MAX);
        while is_longest || waiting.octets + octets > INBOX_OCTETS_MAX {
            let goes = |(_, record): &(u64, Arc<Record>)| record.keep == Keep::WhileThereIsRoom;
            let at = waiting.records.iter().position(goes).filter(|_| !is_longest);
            let Some((_, gone)) = at.and_then(|at| waiting.records.remove(at)) else {
                lost(&record, sinks);
                return;
            };
            waiting.octets -= gone.octets();
            lost(&gone, sinks);
        }
        waiting.octets += octets;
        waiting.records.push_back((clock::now_ms(), Arc::new(record)));
        drop(waiting);
        self.changed.notify_all();
    }

    /// Everything that waits, in order, and whether more can come; waits a turn for the first.
    fn take(&self) -> (Vec<(u64, Arc<Record>)>, bool) {
        let mut waiting = self.lock();
        if waiting.records.is_empty() && !waiting.is_closed {
            let waited = self.changed.wait_timeout(waiting, TURN);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.octets = 0;
        (waiting.records.drain(..).collect(), !waiting.is_closed)
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a record that no sink will see.
fn lost(record: &Record, sinks: &[Arc<Sink>]) {
    for sink in sinks.iter().filter(|sink| sink.options.filter.passes(record)) {
        add(&sink.counters.accepted, 1);
        add(&sink.counters.disk_too_slow, 1);
    }
}

/// The thread that writes to the spools, until the inbox is closed and empty.
fn fill(inbox: &Inbox, sinks: &[Arc<Sink>], sync: Sync) {
    let mut synced = clock::instant();
    let mut is_open = true;
    while is_open {
        let (records, more) = inbox.take();
        is_open = more;
        let is_turn = clock::instant().duration_since(synced) >= TURN;
        let is_synced = match sync {
            Sync::Each => !records.is_empty(),
            Sync::Second => is_turn || !is_open,
            Sync::Never => false,
        };
        if is_turn {
            synced = clock::instant();
        }
        for sink in sinks {
            let form = sink.options.form;
            let (passed, held): (Vec<_>, Vec<_>) = records.iter().partition(|(_, record)| {
                sink.options.filter.passes(record) && !record.form(form).is_empty()
            });
            add(&sink.counters.filtered, held.len() as u64);
            let item =
                |(at, record): &(u64, Arc<Record>)| Item::new(record, sink.options.form, *at);
            if !passed.is_empty() || is_turn || is_synced {
                sink.lane.fill(passed.into_iter().map(item).collect(), is_synced);
            }
        }
    }
}
