//! The spool against a plain queue, and against crashes at every byte.

use super::*;
use crate::record::Keep;
use crate::record::tests::item;
use std::collections::BTreeSet;

/// Numbers that are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // D. Knuth's multiplier and increment, MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// In memory where that can be: thousands of syncs take their time on a disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn open(folder: &Path, octets_max: u64) -> (Spool, Found) {
    Spool::open(folder, octets_max).expect("opens")
}

fn append(spool: &mut Spool, octets: usize, keep: Keep) -> u64 {
    let seq = spool.next_seq();
    let dropped = spool.append(&item(seq, keep, octets), 0).expect("room");
    assert_eq!(dropped, 0);
    seq
}

fn seqs(spool: &mut Spool) -> Vec<u64> {
    let (items, damaged) = spool.read(0, usize::MAX, usize::MAX);
    assert_eq!(damaged, 0);
    assert_eq!(items.len() as u64, spool.waiting());
    for item in &items {
        assert_eq!(item.id, format!("e{}", item.seq), "the record is the one of its number");
    }
    items.into_iter().map(|item| item.seq).collect()
}

/// Random work on a spool and on a list that does the same in the plainest way, with a start in
/// between now and then.
#[test]
fn it_is_a_queue_that_drops_the_oldest_updates() {
    for seed in 1..=12 {
        let place = folder();
        let mut dice = Dice(seed);
        let octets_max = 40_000 + dice.below(200_000);
        let (mut spool, _) = open(place.path(), octets_max);
        // Number, whether it is an update.
        let mut queue: Vec<(u64, bool)> = Vec::new();
        let (mut lent_to, mut dropped, mut refused) = (0, 0, 0);
        for _ in 0..3_000 {
            match dice.below(100) {
                0..70 => {
                    let is_update = dice.below(3) > 0;
                    let keep = if is_update { Keep::WhileThereIsRoom } else { Keep::Always };
                    let seq = spool.next_seq();
                    let octets = dice.below(2_000) as usize;
                    match spool.append(&item(seq, keep, octets), lent_to) {
                        Ok(number) => {
                            dropped += forget_oldest(&mut queue, &mut spool, number, lent_to);
                            queue.push((seq, is_update));
                        }
                        Err((number, Refused::Full)) => {
                            dropped += forget_oldest(&mut queue, &mut spool, number, lent_to);
                            let may_go = queue.iter().any(|(seq, is)| *is && *seq > lent_to);
                            assert!(!may_go, "refused although updates could have gone");
                            refused += 1;
                        }
                        Err((_, Refused::Disk(error))) => panic!("{error}"),
                    }
                }
                70..85 => {
                    let (items, _) = spool.read(lent_to, dice.below(40) as usize, usize::MAX);
                    lent_to = items.last().map_or(lent_to, |item| item.seq);
                }
                85..97 if dice.below(9) == 0 => {
                    let behind: Vec<u64> =
                        queue.iter().map(|(seq, _)| *seq).filter(|seq| *seq <= lent_to).collect();
                    if let Some(seq) = behind.get(dice.below(behind.len().max(1) as u64) as usize) {
                        spool.ack(*seq).expect("saved");
                        queue.retain(|(of, _)| of > seq);
                    }
                }
                85..97 => {}
                _ => {
                    (spool, _) = open(place.path(), octets_max);
                    lent_to = spool.cursor();
                }
            }
            assert!(spool.octets() <= octets_max, "{} of {octets_max}", spool.octets());
            let expect: Vec<u64> = queue.iter().map(|(seq, _)| *seq).collect();
            assert_eq!(spool.waiting(), expect.len() as u64, "seed {seed}");
            assert_eq!(spool.oldest_ms().is_some(), !expect.is_empty());
            if dice.below(20) == 0 {
                assert_eq!(seqs(&mut spool), expect, "seed {seed}");
            }
        }
        assert!(dropped > 0 && refused + dropped > 10, "seed {seed}: the limit was never met");
    }
}

/// Takes what the spool dropped out of the queue: the oldest updates, and nothing else.
fn forget_oldest(
    queue: &mut Vec<(u64, bool)>,
    spool: &mut Spool,
    number: u64,
    lent_to: u64,
) -> u64 {
    if number > 0 {
        let held: BTreeSet<u64> =
            spool.segments.iter().flat_map(|s| s.slots.iter().map(|slot| slot.seq)).collect();
        let gone: Vec<(u64, bool)> =
            queue.iter().copied().filter(|(seq, _)| !held.contains(seq)).collect();
        let updates: Vec<(u64, bool)> = queue
            .iter()
            .copied()
            .filter(|(seq, is_update)| *is_update && *seq > lent_to)
            .take(number as usize)
            .collect();
        assert_eq!(gone, updates, "what went are the oldest updates");
        queue.retain(|(seq, _)| held.contains(seq));
    }
    number
}

/// Power is lost, or the program killed, when only a part of the last bytes was written.
#[test]
fn a_crash_at_every_byte_loses_only_what_was_not_whole() {
    let place = folder();
    let (mut spool, _) = open(place.path(), 1 << 20);
    let mut ends = Vec::new();
    for n in 0..6 {
        append(&mut spool, n * 7, Keep::Always);
        ends.push(spool.octets());
    }
    spool.ack(1).expect("saved");
    let segment = spool.path(spool.segments[0].number);
    let name = segment.file_name().expect("a name").to_owned();
    let bytes = fs::read(&segment).expect("there");
    assert_eq!(bytes.len() as u64, ends[5]);
    for cut in 0..=bytes.len() {
        let torn = folder();
        fs::copy(place.path().join(CURSOR), torn.path().join(CURSOR)).expect("copied");
        fs::write(torn.path().join(&name), &bytes[..cut]).expect("written");
        let whole = ends.iter().filter(|end| **end <= cut as u64).count() as u64;
        let (mut spool, found) = open(torn.path(), 1 << 20);
        assert_eq!(seqs(&mut spool), (2..=whole).collect::<Vec<_>>(), "cut at {cut}");
        let last = ends.iter().rev().find(|end| **end <= cut as u64).copied();
        let begun = cut as u64 - last.unwrap_or(MAGIC.len() as u64).min(cut as u64);
        let magic = if cut < MAGIC.len() { cut as u64 } else { 0 };
        assert_eq!(found.damaged_octets, begun + magic, "cut at {cut}");
        // It goes on, and a further start finds both.
        let next = append(&mut spool, 3, Keep::Always);
        assert!(next > whole.max(1));
        drop(spool);
        let (mut spool, _) = open(torn.path(), 1 << 20);
        let expect: Vec<u64> = (2..=whole).chain([next]).collect();
        assert_eq!(seqs(&mut spool), expect, "cut at {cut}");
    }
}

/// One byte of the disk is not what it was: the records around it are found again.
#[test]
fn a_damaged_byte_costs_one_record() {
    let place = folder();
    let (mut spool, _) = open(place.path(), 1 << 20);
    let mut ends = vec![MAGIC.len() as u64];
    for n in 0..5 {
        append(&mut spool, n, Keep::WhileThereIsRoom);
        ends.push(spool.octets());
    }
    let segment = spool.path(spool.segments[0].number);
    let bytes = fs::read(&segment).expect("there");
    drop(spool);
    for at in MAGIC.len()..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x41;
        fs::write(&segment, &wrong).expect("written");
        let (mut spool, found) = open(place.path(), 1 << 20);
        let hit = ends.iter().filter(|end| **end <= at as u64).count() as u64;
        let expect: Vec<u64> = (1..=5).filter(|seq| *seq != hit).collect();
        assert_eq!(seqs(&mut spool), expect, "byte {at}");
        assert!(found.damaged_octets > 0, "byte {at}");
    }
    // Damage that comes while it is open is found when it is read.
    fs::write(&segment, &bytes).expect("written");
    let (mut spool, _) = open(place.path(), 1 << 20);
    let mut wrong = bytes.clone();
    wrong[ends[2] as usize + 20] ^= 1;
    fs::write(&segment, &wrong).expect("written");
    let (items, damaged) = spool.read(0, 9, usize::MAX);
    let left: Vec<u64> = items.iter().map(|item| item.seq).collect();
    assert_eq!((left, damaged, spool.waiting()), (vec![1, 2, 4, 5], 1, 4));
}

#[test]
fn a_cursor_that_is_lost_or_torn_costs_second_copies_alone() {
    let place = folder();
    let cursor = place.path().join(CURSOR);
    for text in [None, Some(""), Some("3"), Some("3 00000000\n"), Some("\u{fffd}"), Some("9e9 x")] {
        let _ = fs::remove_dir_all(place.path());
        let (mut spool, _) = open(place.path(), 1 << 20);
        for _ in 0..5 {
            append(&mut spool, 1, Keep::Always);
        }
        spool.ack(3).expect("saved");
        drop(spool);
        match text {
            Some(text) => fs::write(&cursor, text).expect("written"),
            None => fs::remove_file(&cursor).expect("removed"),
        }
        let (mut spool, found) = open(place.path(), 1 << 20);
        assert_eq!((seqs(&mut spool), found.records), (vec![1, 2, 3, 4, 5], 5), "{text:?}");
    }
    let (mut spool, _) = open(place.path(), 1 << 20);
    spool.ack(5).expect("saved");
    drop(spool);
    let (spool, found) = open(place.path(), 1 << 20);
    assert_eq!((found, spool.next_seq()), (Found::default(), 6), "numbers go on");
}

#[test]
fn what_is_no_segment_is_left_alone_or_set_aside() {
    let place = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).expect(name);
    write("seg-1.tmp", b"half");
    write("notes.txt", b"mine");
    write(&format!("seg-{:020}.spool", 7), b"no segment at all");
    let huge = File::create(place.path().join(format!("seg-{:020}.spool", 8))).expect("made");
    huge.set_len(SEGMENT_OCTETS_MAX + 1).expect("sparse");
    let (spool, found) = open(place.path(), 1 << 20);
    assert_eq!(found, Found { records: 0, damaged_octets: 17 + SEGMENT_OCTETS_MAX + 1 });
    assert_eq!(spool.waiting(), 0);
    let mut names: Vec<String> = fs::read_dir(place.path())
        .expect("listed")
        .map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, [CURSOR, "notes.txt", &format!("seg-{:020}.foreign", 8)]);
}

#[test]
fn segments_go_when_they_are_delivered() {
    let place = folder();
    let (mut spool, _) = open(place.path(), 1 << 20);
    for _ in 0..200 {
        append(&mut spool, 4_000, Keep::Always);
    }
    assert!(spool.segments.len() > 4, "{}", spool.segments.len());
    spool.ack(100).expect("saved");
    assert!(spool.octets() < 600_000, "{}", spool.octets());
    spool.ack(200).expect("saved");
    // While little was written to the last file it stays.
    assert!(spool.octets() < WORTH_REMOVING_OCTETS && spool.segments.len() == 1);
    assert_eq!(append(&mut spool, WORTH_REMOVING_OCTETS as usize, Keep::Always), 201);
    spool.ack(201).expect("saved");
    assert_eq!((spool.octets(), spool.segments.len()), (0, 0));
    assert_eq!(append(&mut spool, 1, Keep::Always), 202);
}

/// The limit of file sizes stands in for a full disk, in a process of its own.
#[test]
fn a_full_disk_is_refused_and_nothing_is_torn() {
    const CHILD: &str = "FLUXTAP_SPOOL_CHILD";
    let Some(path) = std::env::var_os(CHILD) else {
        let place = folder();
        // With the signal ignored, writing fails in its stead.
        let status = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().expect("a path"))
            .args(["--exact", "spool::tests::a_full_disk_is_refused_and_nothing_is_torn"])
            .env(CHILD, place.path())
            .status()
            .expect("runs");
        assert!(status.success(), "{status}");
        let (mut spool, found) = open(place.path(), 1 << 20);
        assert_eq!(found.damaged_octets, 0, "no half record was left");
        assert_eq!(seqs(&mut spool).len() as u64, found.records);
        return;
    };
    let limit = rustix::process::Rlimit { current: Some(30_000), maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).expect("set");
    let (mut spool, _) = open(Path::new(&path), 1 << 20);
    for _ in 0..20 {
        let item = item(spool.next_seq(), Keep::Always, 4_000);
        if let Err((0, Refused::Disk(error))) = spool.append(&item, 0) {
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
            assert_eq!(spool.waiting(), 7);
            return;
        }
    }
    panic!("the limit was never met");
}
