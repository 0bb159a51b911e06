//! A sensor that goes on with what was written down tells what it would have told anyway, and bytes
//! that are not what was written are refused.

mod teller;

use fluxtap_alert::Action;
use fluxtap_engine::checkpoint::{Checkpoint, FIRST_LINE, Fault};
use std::path::PathBuf;
use teller::{Story, Told, access};

const MEMORY: usize = 64 << 20;

fn window(pool: &[String], from: usize, n: usize) -> Vec<&str> {
    (0..n).map(|i| pool[(from + i) % pool.len()].as_str()).collect()
}

/// Some hours: domains in flux from the first minutes on, others that begin later, quiet ones of
/// both families, name servers, and one that is over early and so ends a day later.
fn chapter(story: &mut Story, pool: &[String], minutes: std::ops::Range<usize>) {
    for minute in minutes {
        let at = minute as u64 * 60;
        for number in 0..6 {
            let begins = number * 45;
            let is_over = number == 1 && minute > 120;
            if minute >= begins && !is_over && minute % 2 == number % 2 {
                let name = format!("www.evil{number}.example");
                let set = window(pool, minute / 2 * 3 + number * 31, 5);
                story.seen(at + number as u64, &name, "9.9.9.9", 100, &set);
            }
        }
        for (number, address) in pool.iter().enumerate().take(40) {
            let name = format!("w.quiet{number}.example");
            let at = at + 10 + number as u64 / 8;
            story.seen(at, &name, "9.9.9.9", 300, &[address]);
            if number % 4 == 0 {
                story.seen(at, &name, "9.9.9.9", 300, &["2600:1::8"]);
            }
        }
    }
}

fn told_with_restarts(restarts: &[(usize, usize)]) -> Vec<Told> {
    let pool = access(300);
    let mut story = Story::in_parts(1, MEMORY);
    let mut from = 0;
    for &(minute, parts) in restarts {
        chapter(&mut story, &pool, from..minute);
        let written = story.written();
        story.resume(&written, parts, MEMORY).expect("what was just written");
        from = minute;
    }
    chapter(&mut story, &pool, from..400);
    // A day on, what is over is told to be.
    story.keep_time(400 * 60, 400 * 60 + 90_000);
    story.end()
}

#[test]
fn a_restart_changes_nothing_of_what_is_told() {
    let told = told_with_restarts(&[]);
    assert!(told.len() > 12, "{}", told.len());
    // In the middle of an opening, after all have opened, and several times.
    for restarts in [&[(7, 1)][..], &[(200, 3)], &[(31, 2), (32, 8), (150, 1), (399, 64)]] {
        assert_eq!(told_with_restarts(restarts), told, "{restarts:?}");
    }
}

/// The memory that a slab may have is full under the first budget, and more than all under the last.
#[test]
fn a_smaller_memory_is_kept_after_a_restart() {
    const WROTE: usize = 8 << 20;
    for memory in [WROTE, WROTE / 2, WROTE / 4] {
        let pool = access(300);
        let mut story = Story::in_parts(1, WROTE);
        for number in 0..60_000_u64 {
            let name = format!("w.q{number}.example");
            story.seen(number / 100, &name, "9.9.9.9", 300, &[&pool[number as usize % 300]]);
        }
        let (written, before) = (story.written(), story.tracked() as usize);
        assert!(story.bytes() as usize > WROTE / 5 * 2, "{}", story.bytes());
        story.resume(&written, 2, memory).expect("what was just written");
        assert!(story.bytes() as usize <= memory, "{memory}: {}", story.bytes());
        let tracked = story.tracked() as usize;
        assert!(tracked > memory / 400, "{memory}: {tracked}");
        assert_eq!(tracked + story.evicted() as usize, before, "{memory}");
        // What begins to flux now has room.
        chapter(&mut story, &pool, 20..60);
        let told = story.end();
        assert!(told.iter().any(|told| told.domain == "evil0.example"), "{memory}: {told:?}");
        assert!(!told.iter().any(|told| matches!(told.action, Action::Ended(_))), "{told:?}");
    }
}

fn short_story() -> (Story, Vec<String>) {
    let pool = access(300);
    let mut story = Story::in_parts(2, MEMORY);
    chapter(&mut story, &pool, 0..60);
    (story, pool)
}

#[test]
fn every_beginning_of_a_checkpoint_is_refused() {
    let (mut story, _) = short_story();
    let written = story.written();
    for len in (0..written.len()).step_by(37).chain([1, 20, 21, 22, 29, written.len() - 1]) {
        let fault = story.resume(&written[..len], 1, MEMORY).expect_err("a beginning");
        let is_foreign = len < FIRST_LINE.len() && len > 0 && matches!(fault, Fault::Foreign);
        assert!(is_foreign || matches!(fault, Fault::Torn(_)), "{len} bytes: {fault}");
    }
    let longer = [&written[..], b"more"].concat();
    assert!(matches!(story.resume(&longer, 1, MEMORY), Err(Fault::Unsound(_))));
    story.resume(&written, 1, MEMORY).expect("the whole");
}

#[test]
fn every_changed_byte_is_noticed() {
    let (mut story, _) = short_story();
    let written = story.written();
    for at in (0..written.len()).step_by(101).chain(0..64) {
        let mut changed = written.clone();
        changed[at] ^= 0x10;
        assert!(story.resume(&changed, 1, MEMORY).is_err(), "byte {at}");
    }
}

/// Whoever can write the file can make its sums right. Whatever it says then is refused, or what
/// goes on with it neither panics nor hangs.
#[test]
fn what_is_changed_with_right_sums_does_no_harm() {
    let (mut story, pool) = short_story();
    let written = story.written();
    let mut frames = Vec::new();
    let mut at = FIRST_LINE.len();
    while at < written.len() {
        let len = u32::from_le_bytes(written[at..at + 4].try_into().unwrap()) as usize;
        frames.push((at, len));
        at += 8 + len;
    }
    assert_eq!(frames.len(), 66);
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (state >> 33) as usize % bound
    };
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let mut changed = written.clone();
        let (frame, len) = frames[1 + below(65)];
        let payload = frame + 8..frame + 8 + len;
        for _ in 0..1 + below(3) {
            changed[payload.start + below(len)] = [0, 1, 0x7f, 0xff, below(256) as u8][below(5)];
        }
        let sum = crc32fast::hash(&changed[payload]);
        changed[frame + 4..frame + 8].copy_from_slice(&sum.to_le_bytes());
        if story.resume(&changed, 1, MEMORY).is_err() {
            refused += 1;
            continue;
        }
        taken += 1;
        if taken % 40 == 0 {
            chapter(&mut story, &pool, 60..75);
            story.written();
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}

#[test]
fn what_is_no_checkpoint_is_called_that() {
    let open = |bytes: &[u8]| Checkpoint::open(bytes, bytes.len() as u64).map(|_| ()).unwrap_err();
    assert!(matches!(open(b""), Fault::Torn(0)));
    assert!(matches!(open(&[0; 64]), Fault::Foreign));
    assert!(matches!(open(b"fluxtap checkpoint 5\n"), Fault::Torn(_)));
    assert!(matches!(open(b"fluxtap checkpoint 7\nxxxx"), Fault::Version(v) if v == "7"));
    let mut long = b"fluxtap checkpoint 5\n".to_vec();
    long.extend([0xff; 8]);
    assert!(matches!(open(&long), Fault::Torn(_)), "a length beyond the file asks for no memory");
}

/// A checkpoint of before is read, or refused by its version: whoever changes what is written down
/// must raise the number in the first line, and then write this one anew with `GOLDEN_UPDATE=1`.
#[test]
fn the_checkpoint_that_is_checked_in_is_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint-5.bin");
    let pool = access(300);
    let tell = |story: &mut Story| chapter(story, &pool, 60..90);
    let (mut whole, _) = short_story();
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        std::fs::write(&path, whole.written()).expect("a place to write");
    }
    let written = std::fs::read(&path).expect("the checkpoint");
    let mut resumed = Story::in_parts(1, MEMORY);
    chapter(&mut resumed, &pool, 0..1);
    resumed.resume(&written, 1, MEMORY).expect("a checkpoint that is read");
    tell(&mut resumed);
    tell(&mut whole);
    // Not only what is told is the same but all that is known: a type whose old values can be read
    // but mean something else, such as a longer hash, shows here alone.
    let known = (resumed.tracked(), resumed.bytes(), whole.tracked(), whole.bytes());
    assert!(resumed.written() == whole.written(), "it goes on otherwise: {known:?}");
    let (resumed, whole) = (resumed.end(), whole.end());
    let later = |told: &[Told]| -> Vec<Told> {
        told.iter().filter(|told| told.at_s > 60 * 60).cloned().collect()
    };
    assert!(!later(&whole).is_empty());
    assert_eq!(later(&resumed), later(&whole));
}
