//! What a receiver will never take, kept for people: one JSON object a line, with the reason.

use crate::record::Item;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the file in the sink's folder of the spool.
pub const DEAD_LETTERS: &str = "dead-letter.jsonl";

/// When the file has grown to this, in octets, it takes the place of the one before it.
const OCTETS_MAX: u64 = 64 << 20;

/// Appends to the file of one sink.
pub(crate) struct DeadLetters {
    path: PathBuf,
    sink: String,
}

impl DeadLetters {
    pub(crate) fn new(folder: &Path, sink: &str) -> Self {
        Self { path: folder.join(DEAD_LETTERS), sink: sink.to_owned() }
    }

    /// Keeps a line, for good when this returns.
    pub(crate) fn keep(&self, item: &Item, reason: &str) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() >= OCTETS_MAX) {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        let text = String::from_utf8_lossy(item.text());
        // A line of JSON stays what it is; a text becomes a string.
        let line = serde_json::from_str(&text).unwrap_or(Value::String(text.into_owned()));
        let letter = json!({ "sink": self.sink, "id": item.id, "reason": reason, "line": line });
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
        let before = file.metadata()?.len();
        let kept = file.write_all(format!("{letter}\n").as_bytes()).and_then(|()| file.sync_data());
        if kept.is_err() {
            // No half line stays where the disk is full.
            let _ = file.set_len(before);
        }
        kept
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
