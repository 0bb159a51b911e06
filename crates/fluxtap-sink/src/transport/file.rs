//! A file of lines: whole lines appended, rotated by size and age, opened anew when it was moved.

use super::{Answer, Fault, Transport};
use crate::clock;
use crate::options::FileOptions;
use crate::record::Item;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) struct Appender {
    options: FileOptions,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and number of the file, by which a moved one is known.
    identity: (u64, u64),
    octets: u64,
    created_ms: u64,
    /// Whether the file ends within a line, which a crash or a full disk cut off.
    is_torn: bool,
}

impl Appender {
    pub(crate) fn new(options: FileOptions) -> Self {
        Self { options, open: None }
    }

    fn append(&mut self, items: &[Item]) -> io::Result<()> {
        let mut lines: Vec<u8> = Vec::new();
        for item in items {
            lines.extend_from_slice(item.text());
            lines.push(b'\n');
        }
        self.rotate_if_due(lines.len() as u64)?;
        let open = self.open()?;
        if open.is_torn {
            lines.insert(0, b'\n');
        }
        let written = open.file.write_all(&lines).and_then(|()| sync(&open.file));
        if written.is_ok() {
            open.octets += lines.len() as u64;
            open.is_torn = false;
        } else {
            // No half line stays, or the next write begins with the end of it.
            open.is_torn = open.file.set_len(open.octets).is_err() || open.is_torn;
            self.open = None;
        }
        written
    }

    /// The file, opened anew if another one stands in its place.
    fn open(&mut self) -> io::Result<&mut Open> {
        let is_in_place = self.open.as_ref().is_some_and(|open| {
            fs::metadata(&self.options.path).is_ok_and(|found| identity(&found) == open.identity)
        });
        if !is_in_place {
            self.open = None;
        }
        match &mut self.open {
            Some(_) => {}
            none => *none = Some(open(&self.options.path)?),
        }
        self.open.as_mut().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rotate_if_due(&mut self, octets: u64) -> io::Result<()> {
        let options = self.options.clone();
        let open = self.open()?;
        let is_large = options.rotate_octets.is_some_and(|most| open.octets + octets > most);
        let age_ms = clock::now_ms().saturating_sub(open.created_ms);
        let is_old = options.rotate_age.is_some_and(|most| u128::from(age_ms) >= most.as_millis());
        // A line that is longer than the limit has a file of its own.
        if open.octets > 0 && (is_large || is_old) {
            self.open = None;
            rotate(&options.path, options.rotate_keep)?;
        }
        Ok(())
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let path = self.options.path.display();
        let way = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "make room"
            }
            ErrorKind::PermissionDenied => "permit it to the sensor's user",
            ErrorKind::NotFound => "make its folder",
            _ => "see to it",
        };
        Fault::new(format!("cannot write {path}: {error}; {way}"))
    }
}

impl Transport for Appender {
    fn send(&mut self, items: &[Item]) -> Answer {
        match self.append(items) {
            Ok(()) => Answer::taken(items.len()),
            Err(error) => Answer::fault(self.fault(&error)),
        }
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.open = None;
        Ok(())
    }

    fn probe(&mut self) -> Result<(), Fault> {
        self.open().map(drop).map_err(|error| self.fault(&error))
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file());
    if is_other {
        // Opening a pipe that nobody reads would wait for ever.
        return Err(io::Error::other("got something that is no plain file, expected one"));
    }
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let found = file.metadata()?;
    let mut last = [b'\n'];
    if found.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let created = found.created().or_else(|_| found.modified());
    Ok(Open {
        identity: identity(&found),
        octets: found.len(),
        created_ms: created.map_or_else(|_| clock::now_ms(), since_1970_ms),
        is_torn: last != [b'\n'],
        file,
    })
}

/// Moves `path` to `path.1`, that to `path.2`, and so on; the last goes.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    let nth = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    for n in (1..keep).rev() {
        match fs::rename(nth(n), nth(n + 1)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, nth(1))
}

/// What is no file on a disk cannot be synced, and need not.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn since_1970_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keep;
    use crate::record::tests::item;
    use std::time::Duration;

    fn appender(path: &Path) -> Appender {
        Appender::new(FileOptions {
            path: path.to_owned(),
            rotate_octets: None,
            rotate_age: None,
            rotate_keep: 2,
        })
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let id = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).expect(line);
            value["id"].as_str().expect("an id").to_owned()
        };
        text.lines().map(id).collect()
    }

    fn send(to: &mut Appender, seqs: &[u64]) {
        let items: Vec<Item> = seqs.iter().map(|seq| item(*seq, Keep::Always, 50)).collect();
        let answer = to.send(&items);
        assert_eq!((answer.verdicts.len(), answer.fault), (items.len(), None));
    }

    #[test]
    fn lines_are_appended_also_behind_a_move() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("a.jsonl"), folder.path().join("moved"));
        let mut file = appender(&path);
        send(&mut file, &[1, 2]);
        fs::rename(&path, &moved).expect("moved");
        send(&mut file, &[3]);
        assert_eq!((ids(&moved), ids(&path)), (vec!["e1".into(), "e2".into()], vec!["e3".into()]));
        fs::remove_file(&path).expect("removed");
        send(&mut file, &[4]);
        assert_eq!(ids(&path), ["e4"]);
        file.reopen().expect("can be");
        send(&mut file, &[5]);
        assert_eq!(ids(&path), ["e4", "e5"]);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o640);
    }

    #[test]
    fn a_torn_line_is_ended_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{\"id\":\"e1\"}\n{\"id\":\"e2").expect("a file");
        send(&mut appender(&path), &[2]);
        let text = fs::read_to_string(&path).expect("there");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[1]), (3, "{\"id\":\"e2"));
        assert!(lines[2].starts_with("{\"id\":\"e2\""), "{}", lines[2]);
    }

    #[test]
    fn size_rotates() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        let mut file = appender(&path);
        file.options.rotate_octets = Some(150);
        for seq in 1..=8 {
            send(&mut file, &[seq]);
        }
        let nth = |n: &str| ids(&folder.path().join(format!("a.jsonl{n}")));
        let all = [nth(""), nth(".1"), nth(".2"), nth(".3")];
        assert_eq!(all, [vec!["e7", "e8"], vec!["e5", "e6"], vec!["e3", "e4"], Vec::new()]);
        file.options.rotate_octets = Some(10);
        file.options.rotate_keep = 0;
        send(&mut file, &[9]);
        assert_eq!((nth(""), nth(".1")), (vec!["e9".to_owned()], vec!["e5".into(), "e6".into()]));
    }

    #[test]
    fn age_rotates() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        let mut file = appender(&path);
        file.options.rotate_age = Some(Duration::from_secs(3_600));
        send(&mut file, &[1]);
        send(&mut file, &[2]);
        file.open.as_mut().expect("open").created_ms -= 3_600_000;
        send(&mut file, &[3]);
        assert_eq!(ids(&path), ["e3"]);
        assert_eq!(ids(&folder.path().join("a.jsonl.1")), ["e1", "e2"]);
    }

    #[test]
    fn what_cannot_be_written_is_a_fault_with_a_way_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |path: &Path| {
            let answer = appender(path).send(&[item(1, Keep::Always, 1)]);
            assert_eq!(answer.verdicts, []);
            answer.fault.expect("a fault").said
        };
        let missing = said(&folder.path().join("none/a.jsonl"));
        assert!(missing.contains("none/a.jsonl: No such file") && missing.contains("its folder"));
        assert!(said(Path::new("/dev/full")).contains("no plain file"));
        assert!(said(folder.path()).contains("no plain file"));
    }
}
