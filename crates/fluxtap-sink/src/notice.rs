//! What a sink has to say to the people who run the sensor. It says it when something changes, or
//! once a minute, never a line a record.

use crate::clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Least time between two notices of something that goes on.
const EVERY: Duration = Duration::from_secs(60);

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sink it is about.
    pub sink: String,
    /// Whether something is wrong; otherwise it is good news.
    pub is_warning: bool,
    /// What happened and how to go on.
    pub text: String,
}

/// Who is told. It is called by the threads of the sinks.
pub type Tell = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Tells about one sink.
#[derive(Clone)]
pub(crate) struct Teller {
    sink: String,
    tell: Tell,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Teller {
    pub(crate) fn new(sink: &str, tell: Tell) -> Self {
        Self { sink: sink.to_owned(), tell, last: Arc::default() }
    }

    /// Something went wrong, which does not happen often.
    pub(crate) fn warn(&self, text: &str) {
        self.say(true, text);
    }

    /// Something goes wrong with every record.
    pub(crate) fn warn_at_times(&self, text: &str) {
        let now = clock::instant();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last) >= EVERY) {
            *last = Some(now);
            drop(last);
            self.say(true, text);
        }
    }

    /// Good news.
    pub(crate) fn note(&self, text: &str) {
        self.say(false, text);
    }

    fn say(&self, is_warning: bool, text: &str) {
        (self.tell)(&Notice { sink: self.sink.clone(), is_warning, text: text.to_owned() });
    }
}
