//! Tests of the merge.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::thread;

use fluxtap_wire::LinkType;
use tempfile::TempDir;

use super::*;
use crate::testing::*;
use crate::{Compression, Damage, Ending, FileClass};

/// One descriptor and next to no memory.
fn tight() -> ReplayOptions {
    ReplayOptions { open_files_max: Some(1), buffers_bytes_max: Some(1), ..Default::default() }
}

/// Files in a folder that goes away.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("a writable folder");
        path
    }
}

/// Reads to the end and checks what must hold after every batch.
fn drain(replay: &mut Replay) -> Vec<Owned> {
    let mut packets = Vec::new();
    let mut done = (0, 0);
    loop {
        let before = packets.len();
        let batch = replay.next_batch(&mut |packet| packets.push(packet.into())).unwrap();
        assert!(packets.len() - before <= BATCH_PACKETS_MAX);
        let open = replay.slots.iter().filter(|slot| slot.file.is_some()).count();
        let streams = replay.descriptors.streams;
        assert!(open <= replay.descriptors.files_max.max(streams + 1), "{open} files open");
        let held = |slot: &Slot| slot.parser.buffer.memory_bytes();
        assert_eq!(replay.slots.iter().map(held).sum::<usize>(), replay.memory.bytes);
        for slot in replay.slots.iter().filter(|slot| slot.input == Input::Stream) {
            let read = slot.stage != Stage::New && slot.status == FileStatus::Unfinished;
            assert!(!read || slot.file.is_some(), "a stream was closed");
        }
        assert!(replay.descriptors.open.iter().all(|index| replay.slots[*index].is_regular()));
        // What is compressed keeps its buffer.
        let packed = replay.slots.iter().filter(|slot| !slot.can_park() && slot.is_regular());
        let memory_max = replay.memory.bytes_max + READ_BYTES * (1 + packed.count());
        assert!(replay.memory.bytes <= memory_max, "{} bytes held", replay.memory.bytes);
        let unpackers = |slot: &Slot| slot.parser.unpacker_bytes();
        let unpackers_bytes = replay.slots.iter().map(unpackers).sum::<usize>();
        assert_eq!(unpackers_bytes, replay.memory.unpackers_bytes);
        let reached = replay.slots.iter().filter(|slot| slot.stage == Stage::Reached);
        let unfinished = reached.filter(|slot| slot.status == FileStatus::Unfinished);
        assert_eq!(unfinished.count(), replay.memory.sharers);
        let progress = replay.progress();
        assert!(done <= (progress.bytes_done, progress.files_done), "progress goes back");
        done = (progress.bytes_done, progress.files_done);
        if batch == Batch::End {
            assert_eq!(progress.files_done, progress.files_total);
            assert!(progress.bytes_total.is_none_or(|total| total == progress.bytes_done));
            assert_eq!((replay.memory.bytes, open), (0, 0));
            return packets;
        }
    }
}

fn replay(paths: &[PathBuf], options: ReplayOptions) -> (Vec<Owned>, Vec<FileReport>) {
    let mut replay = Replay::open(paths.iter().cloned(), options);
    let packets = drain(&mut replay);
    (packets, replay.report())
}

fn packet(tag: u8, second: u64) -> Owned {
    owned(second * 1_000_000_000, 1, &[tag, second as u8], 2)
}

#[test]
fn merges_by_time_then_by_argument() {
    let folder = Folder::new();
    let a = folder.write("a", &classic_file(b'a', &[1, 4, 4, 9]));
    let b = folder.write("b", &classic_file(b'b', &[2, 4, 3, 8]));
    let c = folder.write("c", &classic_file(b'c', &[0, 4]));
    let sequence = |paths: &[PathBuf]| {
        let (packets, reports) = replay(paths, ReplayOptions::default());
        assert!(reports.iter().all(|report| report.class() == FileClass::Sound));
        assert_eq!(reports.iter().map(|report| report.packets).sum::<u64>(), 10);
        let text = |packet: &Owned| format!("{}{}", char::from(packet.bytes[0]), packet.bytes[1]);
        packets.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let [a, b, c] = [a, b, c];
    let abc = sequence(&[a.clone(), b.clone(), c.clone()]);
    assert_eq!(abc, "c0 a1 b2 a4 a4 b4 b3 c4 b8 a9", "b's step back stays where b has it");
    assert_eq!(sequence(&[c, b, a]), "c0 a1 b2 c4 b4 b3 a4 a4 b8 a9");
}

/// A capture, and the same capture cut in two after any packet: the same packets. Named the
/// other way round too, unless the cut goes through packets of the same time.
#[test]
fn a_capture_cut_in_two_is_the_same() {
    let folder = Folder::new();
    let order = Order::Little;
    let capture = |numbers: Range<u32>| {
        let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 0, 1);
        for n in numbers {
            bytes.extend(classic_record(order, [n / 3, 0, 1, 1], &[n as u8]));
        }
        bytes
    };
    let whole = folder.write("whole", &capture(0..60));
    let (expected, _) = replay(&[whole], ReplayOptions::default());
    assert_eq!(expected.len(), 60);
    for at in 0..=60 {
        let first = folder.write("first", &capture(0..at));
        let second = folder.write("second", &capture(at..60));
        let in_order = replay(&[first.clone(), second.clone()], ReplayOptions::default()).0;
        assert_eq!(in_order, expected, "cut after {at}");
        let turned = replay(&[second, first], ReplayOptions::default()).0;
        assert_eq!(turned == expected, at % 3 == 0, "cut after {at}, turned round");
    }
}

/// Files that all overlap, so that every packet is in another file than the one before.
fn interleaved(folder: &Folder, files: u32, rounds: u32) -> (Vec<PathBuf>, Vec<Owned>) {
    let paths = (0..files)
        .map(|file| {
            let seconds: Vec<u32> = (0..rounds).map(|round| round * files + file).collect();
            folder.write(&format!("{file:05}"), &classic_file(file as u8, &seconds))
        })
        .collect();
    let expected = (0..files * rounds).map(|n| packet((n % files) as u8, u64::from(n))).collect();
    (paths, expected)
}

#[test]
fn few_descriptors_suffice_for_many_files() {
    let folder = Folder::new();
    let (paths, expected) = interleaved(&folder, 50, 400);
    for open_files_max in [0, 1, 2, 49, 50] {
        let options = ReplayOptions { open_files_max: Some(open_files_max), ..Default::default() };
        let (packets, reports) = replay(&paths, options);
        assert_eq!(packets, expected, "{open_files_max} descriptors");
        assert!(reports.iter().all(|report| report.packets == 400));
    }
}

#[test]
fn little_memory_suffices_for_many_files() {
    let folder = Folder::new();
    let order = Order::Little;
    let record_bytes = 20_000;
    let paths: Vec<_> = (0..40_u32)
        .map(|file| {
            let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 0, 1);
            for round in 0..4 {
                let data = vec![file as u8; record_bytes];
                let words = [round * 40 + file, 0, record_bytes as u32, 0];
                bytes.extend(classic_record(order, words, &data));
            }
            folder.write(&file.to_string(), &bytes)
        })
        .collect();
    let bytes_max = 100_000;
    let options = ReplayOptions {
        open_files_max: Some(3),
        buffers_bytes_max: Some(bytes_max),
        ..Default::default()
    };
    let mut replay = Replay::open(paths, options);
    let packets = drain(&mut replay);
    let files: Vec<u8> = packets.iter().map(|packet| packet.bytes[0]).collect();
    assert_eq!(files, (0..160).map(|n| (n % 40) as u8).collect::<Vec<_>>());
    assert!(packets.iter().all(|packet| packet.bytes.len() == record_bytes));
}

#[test]
fn thousands_of_files_in_sequence() {
    let folder = Folder::new();
    let paths: Vec<_> = (0..3_000_u32)
        .map(|file| folder.write(&file.to_string(), &classic_file(0, &[file, file])))
        .collect();
    let shuffled: Vec<_> = (0..3_000).map(|n| paths[n * 1_013 % 3_000].clone()).collect();
    let options = ReplayOptions { open_files_max: Some(2), ..Default::default() };
    let (packets, _) = replay(&shuffled, options);
    let expected: Vec<_> = (0..6_000).map(|n| packet(0, n / 2)).collect();
    assert_eq!(packets, expected);
}

#[test]
fn a_bad_file_ends_alone() {
    let folder = Folder::new();
    let good = classic_file(b'g', &[1, 5]);
    let mut damaged = classic_file(b'd', &[2, 3]);
    damaged[24 + 18 + 8..][..4].copy_from_slice(&[0xff; 4]);
    let first = folder.write("good", &good);
    let linked = folder.0.path().join("linked");
    std::os::unix::fs::symlink(&first, &linked).expect("a folder for links");
    let empty_directory = folder.0.path().join("directory");
    fs::create_dir(&empty_directory).expect("a writable folder");
    let paths = [
        first.clone(),
        folder.0.path().join("missing"),
        empty_directory.clone(),
        folder.write("empty", b""),
        folder.write("header", &good[..24]),
        folder.write("gzip", b"\x1f\x8b\x08\x00 and so on"),
        folder.write("cut", &good[..50]),
        folder.write("damaged", &damaged),
        linked,
        first.clone(),
    ];
    let (packets, reports) = replay(&paths, ReplayOptions::default());
    let expected = [packet(b'g', 1), packet(b'g', 1), packet(b'd', 2), packet(b'g', 5)];
    assert_eq!(packets, expected);
    let what = Damage::RecordTooLong { caplen: u32::MAX };
    let gzip = Ending::Packed { compression: Compression::Gzip, offset: 11, fault: Fault::Corrupt };
    let error = io::Error::from(Errno::NOENT).to_string();
    let duplicate = FileStatus::DuplicateOf(first);
    let expected = [
        FileStatus::Read(Ending::Complete),
        FileStatus::Unreadable { kind: io::ErrorKind::NotFound, error },
        FileStatus::Read(Ending::Empty),
        FileStatus::Read(Ending::HeaderOnly),
        FileStatus::Read(gzip),
        FileStatus::Read(Ending::Cut { offset: 42, expected_bytes: 16, present_bytes: 8 }),
        FileStatus::Read(Ending::Damaged { offset: 42, what }),
        duplicate.clone(),
        duplicate,
        FileStatus::NoCaptures { files: 0 },
    ];
    let statuses: Vec<_> = reports.iter().map(|report| report.status.clone()).collect();
    assert_eq!(statuses, expected);
    let counts: Vec<_> = reports.iter().map(|report| report.packets).collect();
    assert_eq!(counts, [2, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(reports[0].bytes_read, good.len() as u64);
    assert_eq!(reports[0].links, BTreeSet::from([LinkType::ETHERNET]));
    assert_eq!(reports.iter().map(FileReport::class).max(), Some(FileClass::NoInput));
}

#[test]
fn what_cannot_be_read_is_known_at_once() {
    let folder = Folder::new();
    let paths = [folder.0.path().join("missing"), folder.write("good", b"")];
    let replay = Replay::open(paths, ReplayOptions::default());
    let reports = replay.report();
    assert!(matches!(reports[0].status, FileStatus::Unreadable { .. }));
    assert_eq!(reports[1].status, FileStatus::Unfinished);
    assert_eq!(replay.progress().files_done, 1);
}

#[test]
fn no_files_end_at_once() {
    let (packets, reports) = replay(&[], ReplayOptions::default());
    assert_eq!((packets.len(), reports.len()), (0, 0));
}

/// Two files and a pipe take turns, with one descriptor and next to no memory.
#[test]
fn pipes_are_merged_and_never_closed() {
    let folder = Folder::new();
    let turn = |first: u32| -> Vec<u32> { (0..4_000).map(|n| 3 * n + first).collect() };
    let a = folder.write("a", &classic_file(0, &turn(0)));
    let b = folder.write("b", &classic_file(2, &turn(2)));
    let (from, mut to) = io::pipe().expect("a pipe");
    let pipe = PathBuf::from(format!("/proc/self/fd/{}", from.as_raw_fd()));
    let options = tight();
    let mut replay = Replay::open([a, pipe.clone(), b, pipe], options);
    assert_eq!(replay.progress().bytes_total, None);
    let writer = thread::spawn(move || {
        let bytes = classic_file(1, &turn(1));
        bytes.chunks(7).for_each(|chunk| to.write_all(chunk).expect("a reader"));
    });
    let packets = drain(&mut replay);
    // The replay opens the pipe by its descriptor, so this end must live until it has.
    drop(from);
    writer.join().expect("the writer has written");
    assert_eq!(packets, (0..12_000).map(|n| packet((n % 3) as u8, n)).collect::<Vec<_>>());
    let reports = replay.report();
    assert!(reports[..3].iter().all(|report| report.packets == 4_000));
    assert!(matches!(reports[3].status, FileStatus::DuplicateOf(_)));
}

#[test]
fn a_file_replaced_while_read_is_not_mixed_up() {
    let folder = Folder::new();
    let seconds: Vec<u32> = (0..3_000).collect();
    let path = folder.write("a", &classic_file(b'a', &seconds));
    let other = folder.write("b", &classic_file(b'b', &seconds));
    let options = tight();
    let mut replay = Replay::open([path.clone(), other.clone()], options);
    assert_eq!(replay.next_batch(&mut |_| {}).unwrap(), Batch::More);
    let new = folder.write("new", &classic_file(b'n', &seconds));
    fs::rename(new, path).expect("a writable folder");
    drain(&mut replay);
    let reports = replay.report();
    let FileStatus::Unreadable { error, .. } = &reports[0].status else {
        panic!("{:?}", reports[0].status);
    };
    assert!(error.contains("another file"), "{error}");
    assert_eq!(reports[1].status, FileStatus::Read(Ending::Complete));
    assert_eq!(reports[1].packets, 3_000);
}

/// A batch comes back even from a file that has megabytes without a packet.
#[test]
fn a_batch_is_bounded_in_bytes() {
    let folder = Folder::new();
    let order = Order::Little;
    let start = [section(order), interface(order, 1, 0, &[])].concat();
    let long = block(order, 77, &vec![0; 5 << 20]);
    let one = enhanced(order, 0, 0, b"x", 1);
    let path = folder.write("a", &[&start[..], &one, &long, &one].concat());
    let mut replay = Replay::open([path], ReplayOptions::default());
    let mut counts = Vec::new();
    loop {
        let mut count = 0;
        let before = replay.progress().bytes_done;
        let batch = replay.next_batch(&mut |_| count += 1).unwrap();
        let bytes = replay.progress().bytes_done - before;
        assert!(bytes <= BATCH_BYTES_MAX + READ_BYTES as u64, "{bytes} bytes in a batch");
        counts.push(count);
        if batch == Batch::End {
            break;
        }
    }
    assert_eq!(counts.iter().sum::<u32>(), 2);
    assert!(counts.len() > 4, "{counts:?}");
}

#[test]
fn compressed_files_are_merged_like_others() {
    let folder = Folder::new();
    let (plain, expected) = interleaved(&folder, 12, 300);
    let packed: Vec<PathBuf> = plain
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let bytes = fs::read(path).expect("a readable file");
            let compression = Compression::ALL[n % 4];
            folder.write(&format!("{n}.packed"), &pack(compression, &bytes))
        })
        .collect();
    for options in [ReplayOptions::default(), tight()] {
        let (packets, reports) = replay(&packed, options);
        assert_eq!(packets, expected);
        for (n, report) in reports.iter().enumerate() {
            assert_eq!(report.class(), FileClass::Sound, "{report}");
            assert_eq!(report.compression, Some(Compression::ALL[n % 4]));
            let sizes =
                [&packed[n], &plain[n]].map(|path| fs::metadata(path).expect("a file").len());
            assert_eq!([report.bytes_read, report.bytes_unpacked], sizes);
        }
    }
}

/// However often a compressed file must give up its descriptor, it goes on where it was.
#[test]
fn compressed_files_are_not_unpacked_again_and_again() {
    let folder = Folder::new();
    let count = 40;
    let long = |file: u32| -> Vec<u8> {
        let order = Order::Little;
        let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 0, 1);
        for round in 0..2_000 {
            // Noise, so that the files are long when compressed, too.
            let noise = (round * count + file).wrapping_mul(2_654_435_761).to_le_bytes();
            bytes.extend(classic_record(order, [1 + round * count + file, 0, 4, 4], &noise));
        }
        bytes
    };
    let paths: Vec<PathBuf> = (0..count)
        .map(|file| folder.write(&file.to_string(), &pack(Compression::Gzip, &long(file))))
        .collect();
    let mut replay = Replay::open(paths, tight());
    let (mut seconds, mut batches) = (1, 0);
    let mut positions = vec![0; count as usize];
    while replay
        .next_batch(&mut |packet| {
            assert_eq!(packet.at.secs(), seconds);
            seconds += 1;
        })
        .unwrap()
        != Batch::End
    {
        batches += 1;
        for (slot, position) in replay.slots.iter().zip(&mut positions) {
            if slot.stage == Stage::Reached && slot.status == FileStatus::Unfinished {
                let now = slot.parser.file_position();
                assert!(now >= *position && now > 0, "from {position} back to {now}");
                *position = now;
            }
        }
    }
    assert_eq!(seconds, 1 + u64::from(2_000 * count));
    assert!(batches > 50, "{batches} batches");
}

#[test]
fn memory_for_unpacking_is_limited_for_all_files_together() {
    let folder = Folder::new();
    let (plain, _) = interleaved(&folder, 6, 50);
    let packed: Vec<PathBuf> = plain
        .iter()
        .map(|path| {
            let bytes = fs::read(path).expect("a readable file");
            folder.write(&format!("{}.gz", path.display()), &pack(Compression::Gzip, &bytes))
        })
        .collect();
    let one = Replay::open([packed[0].clone()], ReplayOptions::default());
    let one_bytes = {
        let mut one = one;
        one.next_batch(&mut |_| {}).unwrap();
        CHUNK_BYTES + (80 << 10)
    };
    let options = ReplayOptions { unpackers_bytes_max: Some(3 * one_bytes), ..Default::default() };
    let (packets, reports) = replay(&packed, options);
    assert_eq!(packets.len(), 3 * 50);
    let refused = |report: &&FileReport| {
        matches!(
            report.status,
            FileStatus::Read(Ending::Packed { fault: Fault::Memory, .. }) if report.packets == 0
        )
    };
    let refused = reports.iter().filter(refused).count();
    let whole = FileStatus::Read(Ending::Complete);
    let whole = reports.iter().filter(|report| report.status == whole).count();
    assert_eq!((whole, refused), (3, 3), "{reports:?}");
    let no_memory = ReplayOptions { unpackers_bytes_max: Some(0), ..Default::default() };
    let (packets, _) = replay(&packed[..1], no_memory);
    assert_eq!(packets.len(), 50, "one file may always be unpacked");
}

#[test]
fn directories_stand_for_what_lies_in_them() {
    let folder = Folder::new();
    let root = folder.0.path().join("root");
    fs::create_dir_all(root.join("deep")).expect("a writable folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(root.join(name), bytes).expect("a writable folder");
    };
    write("b", &classic_file(b'b', &[2]));
    write("a.gz", &pack(Compression::Gzip, &classic_file(b'a', &[1, 3])));
    write("deep/c", &classic_file(b'c', &[2]));
    write("notes.txt", b"captured on the third floor");
    write("empty", b"");
    write(".hidden", &classic_file(b'h', &[4]));
    let (packets, reports) = replay(std::slice::from_ref(&root), ReplayOptions::default());
    let expected = [packet(b'a', 1), packet(b'b', 2), packet(b'c', 2), packet(b'a', 3)];
    assert_eq!(packets, expected);
    assert_eq!(reports.len(), 5);
    assert!(reports.iter().all(|report| report.class() == FileClass::Sound));
    let passed_over = reports.iter().filter(|report| report.is_passed_over());
    let names: Vec<_> = passed_over.map(|report| report.path.clone()).collect();
    assert_eq!(names, [root.join("empty"), root.join("notes.txt")]);
    // The same file by its name is no capture and nobody may be told otherwise.
    let (_, reports) = replay(&[root.join("notes.txt")], ReplayOptions::default());
    assert_eq!(reports[0].class(), FileClass::BadData);
    // A cut file is cut wherever it lies.
    write("cut", &classic_file(b'x', &[9, 9])[..50]);
    let (_, reports) = replay(std::slice::from_ref(&root), ReplayOptions::default());
    assert_eq!(reports.iter().map(FileReport::class).max(), Some(FileClass::BadData));
    // Nothing but notes is no input.
    let notes = folder.0.path().join("notes");
    fs::create_dir(&notes).expect("a writable folder");
    fs::write(notes.join("a.txt"), b"nothing to see").expect("a writable folder");
    let (_, reports) = replay(std::slice::from_ref(&notes), ReplayOptions::default());
    assert_eq!(reports[1].status, FileStatus::NoCaptures { files: 1 });
    assert_eq!((&reports[1].path, reports[1].class()), (&notes, FileClass::BadData));
}

/// Reads what there is and gives the packets as tag and second.
fn read_idle(replay: &mut Replay) -> Vec<(char, u8)> {
    let mut packets = Vec::new();
    while replay
        .next_batch(&mut |packet| packets.push((char::from(packet.bytes[0]), packet.bytes[1])))
        .unwrap()
        != Batch::Idle
    {}
    packets
}

#[test]
fn a_growing_directory_is_read_file_by_file() {
    let folder = Folder::new();
    let root = folder.0.path().to_owned();
    let mut replay = Replay::follow([root.clone()], 30, ReplayOptions::default());
    // Far enough ahead of the files' own times.
    let at = |second: u64| Timestamp::from_secs(4_000_000_000 + second);
    replay.look(at(0));
    assert_eq!(read_idle(&mut replay), []);
    folder.write("b", &classic_file(b'b', &[5, 7]));
    folder.write("a.gz", &pack(Compression::Gzip, &classic_file(b'a', &[6, 9])));
    folder.write("notes", b"no capture");
    replay.look(at(1));
    assert_eq!(replay.quiet_until(at(1)), None, "there is something to read");
    assert_eq!(read_idle(&mut replay), [('b', 5), ('a', 6), ('b', 7), ('a', 9)]);
    assert!(replay.quiet_until(at(1)).is_some());
    let ended = replay.take_ended();
    assert_eq!(ended.len(), 3);
    assert_eq!(ended.iter().filter(|report| report.is_passed_over()).count(), 1);
    assert!(replay.report().is_empty(), "told already");
    // More of one, and a new one in its place.
    folder.write("b", &classic_file(b'b', &[5, 7, 8]));
    replay.look(at(2));
    assert_eq!(read_idle(&mut replay), []);
    replay.look(at(302));
    assert_eq!(read_idle(&mut replay), [('b', 8)], "what it grew by");
    let ended = replay.take_ended();
    assert_eq!(ended.iter().map(|report| report.packets).collect::<Vec<_>>(), [1]);
    folder.write("b", &classic_file(b'B', &[6, 7, 8, 9]));
    replay.look(at(303));
    replay.look(at(603));
    assert_eq!(read_idle(&mut replay).len(), 4, "the first packet has another time");
    assert_eq!(replay.slots.len(), 3, "places are used again");
    let progress = replay.progress();
    assert_eq!((progress.files_done, progress.files_total, progress.bytes_total), (5, 5, None));
}

/// Files come and go for long: what is held does not grow.
#[test]
fn following_for_long_costs_no_memory() {
    let folder = Folder::new();
    let mut replay = Replay::follow([folder.0.path().to_owned()], 1, ReplayOptions::default());
    let mut packets = 0;
    for round in 0..30_u32 {
        let path = folder.write(&format!("{round}"), &classic_file(0, &[round + 1]));
        replay.look(Timestamp::from_secs(4_000_000_000 + u64::from(round)));
        packets += read_idle(&mut replay).len();
        assert_eq!(replay.take_ended().len(), 1);
        fs::remove_file(path).expect("a writable folder");
    }
    assert_eq!((packets, replay.slots.len(), replay.unread()), (30, 1, (0, 0)));
}

/// What has come through a pipe is handed over while the pipe stays open.
#[test]
fn a_compressed_pipe_holds_nothing_back() {
    let seconds: Vec<u32> = (1..40_000).collect();
    for compression in Compression::ALL {
        let packed = pack(compression, &classic_file(0, &seconds));
        let (from, mut to) = io::pipe().expect("a pipe");
        let pipe = PathBuf::from(format!("/proc/self/fd/{}", from.as_raw_fd()));
        let mut replay = Replay::open([pipe], ReplayOptions::default());
        let writer = thread::spawn(move || {
            to.write_all(&packed).expect("a reader");
            to
        });
        let (mut packets, mut idle) = (0, 0);
        while idle < 3 {
            let batch = replay.next_batch(&mut |_| packets += 1).unwrap();
            assert_ne!(batch, Batch::End, "the pipe is open");
            idle = if batch == Batch::Idle && writer.is_finished() { idle + 1 } else { 0 };
        }
        assert_eq!(packets, seconds.len(), "{compression:?}");
        drop(writer.join().expect("the writer has written"));
        while replay.next_batch(&mut |_| {}).unwrap() != Batch::End {}
        assert_eq!(replay.report()[0].class(), FileClass::Sound);
    }
}
