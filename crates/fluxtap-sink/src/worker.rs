//! The thread of one sink: takes records from its lane, sends them, and remembers what to send
//! again.

use crate::backoff::Backoff;
use crate::clock;
use crate::counts::add;
use crate::dead_letter::DeadLetters;
use crate::lane::{Lane, Next};
use crate::notice::Teller;
use crate::record::Item;
use crate::transport::stdout::PIPE_CLOSED;
use crate::transport::{Answer, Fault, Transport, Verdict};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most records that were sent and are not confirmed; beyond it confirmation is waited for.
const UNCONFIRMED_MAX: usize = 65_536;

/// How often confirmation is asked for.
const CONFIRM_EVERY: Duration = Duration::from_millis(250);

/// How much is sent at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) records: usize,
    pub(crate) octets: usize,
    pub(crate) wait: Duration,
}

/// Why standard output takes nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its reader has closed it, and wants no more.
    Closed,
    /// Writing failed, for this reason.
    Failed(String),
}

/// Filled in by the worker of standard output.
pub(crate) type GoneCell = Arc<Mutex<Option<Gone>>>;

pub(crate) struct Worker {
    lane: Arc<Lane>,
    transport: Box<dyn Transport>,
    dead: Option<DeadLetters>,
    teller: Teller,
    batch: Batch,
    gone: GoneCell,
    /// Whether there is no other sink, so that the program says what became of it.
    is_alone: bool,
    backoff: Backoff,
    /// The last record taken from the lane.
    position: u64,
    /// The last record that the receiver has, and all before it.
    acked: u64,
    /// The last record that was sent, ever: what is sent below it is sent again.
    tried: u64,
    /// Records taken from the lane that are to be sent.
    pending: Vec<Item>,
    /// Numbers of records sent and not confirmed.
    unconfirmed: VecDeque<u64>,
    /// How many records may be sent at one time just now.
    allowed: usize,
}

impl Worker {
    pub(crate) fn new(
        lane: Arc<Lane>,
        transport: Box<dyn Transport>,
        dead: Option<DeadLetters>,
        teller: Teller,
        batch: Batch,
        (gone, is_alone): (GoneCell, bool),
    ) -> Self {
        let acked = lane.cursor();
        Self {
            lane,
            transport,
            dead,
            teller,
            batch,
            gone,
            is_alone,
            backoff: Backoff::default(),
            position: acked,
            acked,
            tried: acked,
            pending: Vec::new(),
            unconfirmed: VecDeque::new(),
            allowed: batch.records,
        }
    }

    /// Runs until it is told to stop, or until the receiver has gone for good.
    pub(crate) fn run(mut self) {
        loop {
            let orders = self.lane.orders();
            if orders.reopen {
                self.reopen();
            }
            if orders.stop_by.is_some_and(|by| by <= clock::instant()) || self.lane.is_closed() {
                return;
            }
            if self.pending.is_empty() && !self.fetch() {
                self.finish();
                return;
            }
            if !self.pending.is_empty() {
                self.send();
            }
        }
    }

    /// Waits for records; `false` at the end.
    fn fetch(&mut self) -> bool {
        let is_waited_for = !self.unconfirmed.is_empty();
        if self.unconfirmed.len() >= UNCONFIRMED_MAX {
            self.lane.pause(CONFIRM_EVERY);
            self.confirm();
            return true;
        }
        let until = is_waited_for.then(|| clock::instant() + CONFIRM_EVERY);
        let Batch { records, octets, wait } = self.batch;
        match self.lane.next(self.position, records, octets, until) {
            Next::Items(items) => {
                self.pending = items;
                if !wait.is_zero() && self.pending.len() < records {
                    self.lane.await_more(clock::instant() + wait, records as u64);
                    if let Next::Items(more) =
                        self.lane.next(self.position, records, octets, Some(clock::instant()))
                    {
                        self.pending = more;
                    }
                }
                self.position = self.pending.last().map_or(self.position, |item| item.seq);
            }
            Next::Nothing => {}
            Next::End => return false,
        }
        if is_waited_for {
            self.confirm();
        }
        true
    }

    fn send(&mut self) {
        let count = self.allowed.clamp(1, self.pending.len());
        let again = self.pending[..count].iter().filter(|item| item.seq <= self.tried).count();
        add(&self.lane.counters.retried, again as u64);
        self.tried = self.tried.max(self.pending[count - 1].seq);
        let answer = self.transport.send(&self.pending[..count]);
        let fault = self.settle(answer, count);
        self.ack();
        if let Some(fault) = fault {
            self.failed(fault);
        }
    }

    /// Takes the verdicts to heart; what is left over is a reason to wait.
    fn settle(&mut self, answer: Answer, count: usize) -> Option<Fault> {
        let mut fault = answer.fault;
        let counters = Arc::clone(&self.lane.counters);
        let mut left = Vec::new();
        let judged = answer.verdicts.len();
        for (item, verdict) in self.pending.drain(..judged.min(count)).zip(answer.verdicts) {
            match verdict {
                Verdict::Taken => add(&counters.delivered, 1),
                Verdict::Sent => self.unconfirmed.push_back(item.seq),
                Verdict::Later => left.push(item),
                Verdict::Refused(reason) => match bury(self.dead.as_ref(), &item, &reason) {
                    Ok(place) => {
                        add(&counters.dead_lettered, 1);
                        self.teller.warn_at_times(&format!(
                            "the receiver refused the line {}: {reason}; it is in {place}",
                            item.id
                        ));
                    }
                    Err(said) => {
                        left.push(item);
                        fault.get_or_insert_with(|| Fault::new(said));
                    }
                },
            }
        }
        left.append(&mut self.pending);
        self.pending = left;
        if answer.is_too_much && count > 1 {
            self.allowed = count / 2;
        } else if fault.is_none() {
            self.allowed = (self.allowed * 2).min(self.batch.records);
            self.succeeded();
        }
        fault
    }

    /// Asks what has arrived of what was sent.
    fn confirm(&mut self) {
        match self.transport.confirmed() {
            Ok(count) => {
                let count = count.min(self.unconfirmed.len());
                self.unconfirmed.drain(..count);
                add(&self.lane.counters.delivered, count as u64);
                self.ack();
            }
            Err(fault) => self.failed(fault),
        }
    }

    /// Everything before the first record that is on its way, or to be sent again, is done.
    fn ack(&mut self) {
        let pending = self.pending.first().map(|item| item.seq);
        let open = pending.into_iter().chain(self.unconfirmed.front().copied()).min();
        let done = open.map_or(self.position, |seq| seq - 1);
        if done > self.acked {
            self.acked = done;
            self.lane.ack(done);
        }
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        let since = self.lane.counters.down_since_ms.swap(0, Ordering::Relaxed);
        if since > 0 {
            let seconds = clock::now_ms().saturating_sub(since) / 1_000;
            let waiting = self.lane.counters.waiting.load(Ordering::Relaxed);
            self.teller.note(&format!("delivers again after {seconds} s; {waiting} lines wait"));
        }
    }

    fn failed(&mut self, fault: Fault) {
        let counters = &self.lane.counters;
        add(&counters.faults, 1);
        counters.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&fault.said);
        if fault.is_final {
            let is_pipe = fault.said == PIPE_CLOSED;
            if !self.is_alone {
                self.teller.warn(&format!(
                    "{}: its lines are dropped from now on; the other sinks go on",
                    fault.said
                ));
            }
            let gone = if is_pipe { Gone::Closed } else { Gone::Failed(fault.said) };
            *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(gone);
            self.lane.close();
            return;
        }
        if counters.down_since_ms.load(Ordering::Relaxed) == 0 {
            counters.down_since_ms.store(clock::now_ms(), Ordering::Relaxed);
            self.teller.warn(&format!("{}; lines wait until it takes them", fault.said));
        }
        if !self.unconfirmed.is_empty() {
            // Nobody knows which of them arrived.
            self.unconfirmed.clear();
            self.pending.clear();
            self.position = self.acked;
        }
        self.lane.pause(self.backoff.next(fault.wait, clock::chance()));
    }

    fn reopen(&mut self) {
        match self.transport.reopen() {
            Ok(()) => {}
            Err(said) => self.teller.warn(&format!("{said}; what was read before stays in force")),
        }
    }

    /// Everything was sent: finds out whether it arrived.
    fn finish(&mut self) {
        let by = self.lane.orders().stop_by;
        let limit = by.map_or(Duration::ZERO, |by| by.saturating_duration_since(clock::instant()));
        if !self.unconfirmed.is_empty() && self.transport.finish(limit) {
            add(&self.lane.counters.delivered, self.unconfirmed.len() as u64);
            self.unconfirmed.clear();
            self.ack();
        }
    }
}

/// Puts a line where people find it; says where.
fn bury(dead: Option<&DeadLetters>, item: &Item, reason: &str) -> Result<String, String> {
    let Some(dead) = dead else { return Ok("no file: the sink has no spool".to_owned()) };
    match dead.keep(item, reason) {
        Ok(()) => Ok(dead.path().display().to_string()),
        Err(error) => Err(format!(
            "the receiver refused the line {}: {reason}; and it cannot be kept in {}: {error}",
            item.id,
            dead.path().display()
        )),
    }
}
