//! The shards of a sensor: one beside the decoder, or several in threads of their own.
//!
//! ```text
//! decoder --batch (shared)--> worker 0: partitions 0, n, 2n, …  --told--> in order --> output
//!                        \--> worker 1: partitions 1, n+1, …    --told--/
//! ```
//!
//! Every worker takes every batch and picks the domains of its partitions out of it, so nothing is
//! copied and all of them pass the same steps of event time. What they tell of a batch is put in
//! order when the last of them has answered; so the lines are the same for any number of workers.
//! Batches and the channels are bounded: when workers fall behind, the decoder waits, and on a
//! mirror port the kernel counts what its ring cannot hold meanwhile.

use crate::inputs::Inputs;
use crate::profile::{Shown, Waits};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use fluxtap_alert::Alert;
use fluxtap_engine::{AllowUse, Explained, Moment, OpenAlert, Shard, ShardCounts, Told, in_order};
use fluxtap_observe::{Batch, Marker, Stage};
use fluxtap_window::{Renumber, Share, TableCounts};
use fluxtap_wire::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// Batches, and other jobs, that workers may be behind.
const JOBS_MAX: usize = 8;

/// See the module's head.
pub(crate) enum Shards {
    /// Shards in this thread: the only one, or those that workers gave back at the end.
    Here(Vec<Shard>),
    /// Shards in threads of their own.
    Away(Box<Workers>),
}

/// What shards have counted, all of them together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) shard: ShardCounts,
    pub(crate) table: TableCounts,
    pub(crate) explained: Explained,
    pub(crate) allow_uses: Vec<AllowUse>,
    /// Lines that told of a hit in a threat list, by its name.
    pub(crate) list_uses: BTreeMap<Box<str>, u64>,
    /// In order of the domains.
    pub(crate) open: Vec<OpenAlert>,
}

impl Tally {
    fn of(shard: &Shard) -> Self {
        Self {
            shard: shard.counts(),
            table: shard.table_counts(),
            explained: shard.explained().clone(),
            allow_uses: shard.allow_uses().to_vec(),
            list_uses: shard.list_uses().clone(),
            open: shard.open_alerts(),
        }
    }

    fn add(&mut self, other: Self) {
        self.shard.add(&other.shard);
        self.table.add(&other.table);
        self.explained.add(&other.explained);
        let len = self.allow_uses.len().max(other.allow_uses.len());
        self.allow_uses.resize(len, AllowUse::default());
        for (sum, uses) in self.allow_uses.iter_mut().zip(&other.allow_uses) {
            sum.add(uses);
        }
        for (list, lines) in other.list_uses {
            *self.list_uses.entry(list).or_default() += lines;
        }
        self.open.extend(other.open);
        self.open.sort_by(|a, b| a.domain.cmp(&b.domain));
    }
}

impl Shards {
    /// A worker for each shard; one alone stays in this thread. They show what they do in `shown`.
    ///
    /// # Errors
    /// That of the system if it gives no thread.
    pub(crate) fn new(
        mut shards: Vec<Shard>,
        inputs: &Arc<Inputs>,
        shown: &mut Shown,
    ) -> io::Result<Self> {
        if shards.len() <= 1 {
            shards.iter_mut().for_each(|shard| shard.set_marker(&shown.reading));
            return Ok(Self::Here(shards));
        }
        Workers::start(shards, inputs, shown).map(|workers| Self::Away(Box::new(workers)))
    }

    /// The shard, where there is only one.
    pub(crate) fn single(&self) -> Option<&Shard> {
        match self {
            Self::Here(shards) if shards.len() == 1 => shards.first(),
            _ => None,
        }
    }

    /// Takes what is in the batch, which is another, empty one then; appends alerts that are
    /// complete to `out`, in order.
    pub(crate) fn apply(
        &mut self,
        batch: &mut Batch,
        inputs: &Inputs,
        out: &mut Vec<Alert>,
    ) -> io::Result<()> {
        match self {
            Self::Here(shards) => {
                shards.iter_mut().for_each(|shard| shard.apply(batch, &inputs.intel, out));
                batch.clear();
                Ok(())
            }
            Self::Away(workers) => workers.apply(batch, out),
        }
    }

    /// Moves event time on, and waits for what all of it up to there told.
    pub(crate) fn tick(
        &mut self,
        now: Timestamp,
        inputs: &Inputs,
        out: &mut Vec<Alert>,
    ) -> io::Result<()> {
        match self {
            Self::Here(shards) => {
                shards.iter_mut().for_each(|shard| shard.tick(now, &inputs.intel, out));
                Ok(())
            }
            Self::Away(workers) => {
                workers.send(Job::Tick(now), out)?;
                workers.settle(out)
            }
        }
    }

    /// The end of input: what waits is judged, and the shards come back into this thread.
    pub(crate) fn finish(&mut self, inputs: &Inputs, out: &mut Vec<Alert>) -> io::Result<()> {
        match self {
            Self::Here(shards) => {
                shards.iter_mut().for_each(|shard| shard.finish(&inputs.intel, out));
                Ok(())
            }
            Self::Away(workers) => {
                workers.send(Job::Finish, out)?;
                workers.settle(out)?;
                self.come_back()
            }
        }
    }

    /// Event time that all of them have reached: what was due until then was told.
    pub(crate) fn reached(&self) -> Timestamp {
        match self {
            Self::Here(shards) => {
                shards.first().map_or_else(Timestamp::default, |shard| shard.moment().now())
            }
            Self::Away(workers) => workers.reached,
        }
    }

    /// What was counted. Where there are workers, the alerts of all that was sent to them are
    /// waited for and appended to `out`.
    pub(crate) fn tally(&mut self, out: &mut Vec<Alert>) -> io::Result<Tally> {
        match self {
            Self::Here(_) => Ok(self.last_tally()),
            Self::Away(workers) => {
                workers.send(Job::Tally, out)?;
                workers.settle(out)?;
                Ok(workers.tally.clone())
            }
        }
    }

    /// What was counted when that was asked last; where there are no workers, up to now.
    pub(crate) fn last_tally(&self) -> Tally {
        match self {
            Self::Here(shards) => {
                let mut tallies = shards.iter().map(Tally::of);
                let mut sum = tallies.next().unwrap_or_default();
                tallies.for_each(|tally| sum.add(tally));
                sum
            }
            Self::Away(workers) => workers.tally.clone(),
        }
    }

    /// A partition written down, with all that was taken in.
    pub(crate) fn save(&mut self, partition: u8, out: &mut Vec<Alert>) -> io::Result<Vec<u8>> {
        match self {
            Self::Here(shards) => {
                Ok(shards[Share::owner(usize::from(partition), shards.len())].save(partition))
            }
            Self::Away(workers) => {
                workers.send(Job::Save(partition), out)?;
                workers.settle(out)?;
                workers.saved.take().ok_or_else(gone)
            }
        }
    }

    /// All of them go on with other lists, tables and thresholds, in which what they refer to has
    /// these numbers.
    pub(crate) fn reload(
        &mut self,
        inputs: &Arc<Inputs>,
        numbers: &Arc<Renumber>,
        out: &mut Vec<Alert>,
    ) -> io::Result<()> {
        match self {
            Self::Here(shards) => {
                shards.iter_mut().for_each(|shard| renew(shard, inputs, numbers));
                Ok(())
            }
            Self::Away(workers) => {
                workers.send(Job::Reload(Arc::clone(inputs), Arc::clone(numbers)), out)
            }
        }
    }

    /// Where all of them stand in event time.
    pub(crate) fn moment(&mut self, out: &mut Vec<Alert>) -> io::Result<Moment> {
        match self {
            Self::Here(shards) => Ok(shards[0].moment()),
            Self::Away(workers) => {
                workers.send(Job::Moment, out)?;
                workers.settle(out)?;
                workers.moment.take().ok_or_else(gone)
            }
        }
    }

    /// Takes the shards of the workers back into this thread.
    fn come_back(&mut self) -> io::Result<()> {
        if let Self::Away(workers) = mem::replace(self, Self::Here(Vec::new())) {
            *self = Self::Here(workers.end()?);
        }
        Ok(())
    }
}

/// What a worker is to do.
#[derive(Clone)]
enum Job {
    Batch(Arc<Batch>),
    Tick(Timestamp),
    Finish,
    Tally,
    Save(u8),
    Moment,
    Reload(Arc<Inputs>, Arc<Renumber>),
}

/// A job on its way to a worker.
struct Order {
    number: u64,
    job: Job,
    sent: Instant,
}

/// Gives a shard another policy, and what is in its windows the numbers of other lists.
fn renew(shard: &mut Shard, inputs: &Inputs, numbers: &Renumber) {
    shard.renumber(numbers);
    shard.reload(inputs.policy);
}

/// What a worker says when it has done the job with a number.
struct Answer {
    job: u64,
    told: Vec<Told>,
    /// Event time behind the job, which is the same for all.
    reached: Timestamp,
    said: Option<Said>,
}

/// What was asked for.
enum Said {
    Tally(Box<Tally>),
    Saved(Vec<u8>),
    Moment(Moment),
}

/// A job that not all workers have done.
struct Pending {
    answers_due: usize,
    told: Vec<Told>,
    reached: Timestamp,
    tally: Option<Tally>,
    batch: Option<Arc<Batch>>,
}

/// Threads with a shard each.
pub(crate) struct Workers {
    jobs: Vec<Sender<Order>>,
    answers: Receiver<Answer>,
    /// What the thread that sends jobs is busy with.
    marker: Marker,
    threads: Vec<JoinHandle<Shard>>,
    /// Number of the first job that is not done by all.
    done: u64,
    pending: VecDeque<Pending>,
    spare: Vec<Arc<Batch>>,
    tally: Tally,
    /// Event time behind the last job that is done by all.
    reached: Timestamp,
    saved: Option<Vec<u8>>,
    moment: Option<Moment>,
}

impl Workers {
    fn start(shards: Vec<Shard>, inputs: &Arc<Inputs>, shown: &mut Shown) -> io::Result<Self> {
        let workers = shards.len();
        let (said, answers) = bounded(workers * JOBS_MAX);
        let mut jobs = Vec::new();
        let mut threads = Vec::new();
        for (number, mut shard) in shards.into_iter().enumerate() {
            let marker = Marker::default();
            marker.enter(Stage::Wait);
            shard.set_marker(&marker);
            shown.workers.push(marker.clone());
            let (sender, receiver) = bounded(JOBS_MAX);
            let worker = Worker {
                shard,
                share: Share::new(number, workers),
                number,
                of: workers,
                inputs: Arc::clone(inputs),
                jobs: receiver,
                answers: said.clone(),
                marker,
                waits: shown.waits.clone(),
            };
            let name = format!("worker {number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || worker.run())?);
            jobs.push(sender);
        }
        Ok(Self {
            jobs,
            answers,
            marker: shown.reading.clone(),
            threads,
            done: 0,
            pending: VecDeque::new(),
            spare: Vec::new(),
            tally: Tally::default(),
            reached: Timestamp::default(),
            saved: None,
            moment: None,
        })
    }

    fn apply(&mut self, batch: &mut Batch, out: &mut Vec<Alert>) -> io::Result<()> {
        let mut shared = self.spare.pop().unwrap_or_default();
        match Arc::get_mut(&mut shared) {
            Some(empty) => mem::swap(empty, batch),
            None => shared = Arc::new(mem::take(batch)),
        }
        self.send(Job::Batch(shared), out)
    }

    /// Gives a job to all workers, once there is room, and takes the answers that are there.
    fn send(&mut self, job: Job, out: &mut Vec<Alert>) -> io::Result<()> {
        while self.pending.len() >= JOBS_MAX {
            self.marker.enter(Stage::Wait);
            let answer = self.answers.recv().map_err(|_| gone())?;
            self.take(answer, out);
        }
        let number = self.done + self.pending.len() as u64;
        for sender in &self.jobs {
            let order = Order { number, job: job.clone(), sent: now() };
            sender.try_send(order).map_err(|error| match error {
                TrySendError::Full(_) => unreachable!("as many jobs fit as may be pending"),
                TrySendError::Disconnected(_) => gone(),
            })?;
        }
        let batch = if let Job::Batch(batch) = job { Some(batch) } else { None };
        let answers_due = self.jobs.len();
        let reached = Timestamp::default();
        let told = Vec::new();
        self.pending.push_back(Pending { answers_due, told, reached, tally: None, batch });
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer, out);
        }
        Ok(())
    }

    /// Waits until everything is done.
    fn settle(&mut self, out: &mut Vec<Alert>) -> io::Result<()> {
        while !self.pending.is_empty() {
            self.marker.enter(Stage::Wait);
            let answer = self.answers.recv().map_err(|_| gone())?;
            self.take(answer, out);
        }
        Ok(())
    }

    /// Takes an answer, and hands out what the jobs told that are done by then.
    fn take(&mut self, answer: Answer, out: &mut Vec<Alert>) {
        let Some(pending) = self.pending.get_mut((answer.job - self.done) as usize) else { return };
        pending.told.extend(answer.told);
        pending.answers_due -= 1;
        pending.reached = answer.reached;
        match answer.said {
            Some(Said::Tally(tally)) => pending.tally.get_or_insert_default().add(*tally),
            Some(Said::Saved(saved)) => self.saved = Some(saved),
            Some(Said::Moment(moment)) => self.moment = Some(moment),
            None => {}
        }
        while let Some(mut first) = self.pending.pop_front_if(|first| first.answers_due == 0) {
            self.done += 1;
            self.reached = first.reached;
            in_order(&mut first.told, out);
            if let Some(tally) = first.tally {
                self.tally = tally;
            }
            if let Some(mut batch) = first.batch
                && let Some(used) = Arc::get_mut(&mut batch)
            {
                used.clear();
                self.spare.push(batch);
            }
        }
    }

    /// Ends the threads, which have nothing to do any more; their shards.
    fn end(self) -> io::Result<Vec<Shard>> {
        drop(self.jobs);
        self.threads.into_iter().map(|thread| thread.join().map_err(|_| gone())).collect()
    }
}

/// A thread's own.
struct Worker {
    shard: Shard,
    share: Share,
    number: usize,
    of: usize,
    inputs: Arc<Inputs>,
    jobs: Receiver<Order>,
    answers: Sender<Answer>,
    marker: Marker,
    waits: Waits,
}

impl Worker {
    /// Works until there are no jobs to come, or nobody who waits for answers.
    fn run(mut self) -> Shard {
        while let Ok(Order { number: job, job: what, sent }) = self.jobs.recv() {
            self.waits.note(sent.elapsed());
            self.marker.enter(Stage::Window);
            let mut told = Vec::new();
            let mut said = None;
            match what {
                Job::Batch(batch) => {
                    self.shard.apply_part(self.share, &batch, &self.inputs.intel, &mut told);
                }
                Job::Tick(now) => self.shard.tick_part(now, &self.inputs.intel, &mut told),
                Job::Finish => self.shard.finish_part(&self.inputs.intel, &mut told),
                Job::Tally => said = Some(Said::Tally(Box::new(Tally::of(&self.shard)))),
                Job::Save(partition) => {
                    let is_mine = Share::owner(usize::from(partition), self.of) == self.number;
                    said = is_mine.then(|| Said::Saved(self.shard.save(partition)));
                }
                Job::Moment => said = Some(Said::Moment(self.shard.moment())),
                Job::Reload(inputs, numbers) => {
                    renew(&mut self.shard, &inputs, &numbers);
                    self.inputs = inputs;
                }
            }
            // The batch is let go of by now, so that whoever takes the last answer can use it again.
            self.marker.enter(Stage::Wait);
            let reached = self.shard.moment().now();
            if self.answers.send(Answer { job, told, reached, said }).is_err() {
                break;
            }
        }
        self.shard
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a job waited is no matter of event time")]
fn now() -> Instant {
    Instant::now()
}

/// A worker ended before its time: what it said last stands on standard error.
fn gone() -> io::Error {
    io::Error::other("a worker thread ended; this is a fault of fluxtap, please report it")
}
