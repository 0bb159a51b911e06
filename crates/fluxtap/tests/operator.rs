//! What an operator says to the program, and what hostile names can do to the one who reads it.

mod support;

use fluxtap_intel::{AddressClass, Intel};
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::{RAW, number, text};

/// A capture in which each of these names fluxes over homes for three quarters of an hour.
fn flux_capture(names: &[&str]) -> Vec<u8> {
    let homes = homes(90);
    let mut packets = Vec::new();
    for step in 0..18_usize {
        for (n, name) in names.iter().enumerate() {
            let set: Vec<Ipv4Addr> = (0..5).map(|i| homes[(step * 5 + i) % 90]).collect();
            let message = support::response(step as u16, name, 150, &set);
            let at_s = 1_790_000_000 + step as u64 * 150 + n as u64;
            packets.push((at_s * 1_000_000, support::datagram(&message)));
        }
    }
    support::capture(RAW, &packets)
}

/// Addresses in access networks, each in another /16.
fn homes(count: usize) -> Vec<Ipv4Addr> {
    let intel = Intel::embedded();
    let mut networks = BTreeSet::new();
    let mut state = 1_u32;
    let mut found = Vec::new();
    while found.len() < count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let ip = Ipv4Addr::from(state ^ state >> 16);
        if intel.owner(IpAddr::V4(ip)).class == AddressClass::Access
            && networks.insert(u32::from(ip) >> 16)
        {
            found.push(ip);
        }
    }
    found
}

/// Names that would clear the screen, forge a line, turn the direction of writing, hide, or fill
/// the screen.
fn hostile_names() -> Vec<String> {
    let long = "\u{1b}".repeat(63);
    vec![
        "www.\u{1b}[2J\u{1b}]0;owned\u{7}.test".to_owned(),
        "a\r\n2026-01-01 00:00:00Z HIGH forged.test".to_owned(),
        "\u{202e}moc.elgoog\u{2066}x.test".replace("c.e", "c-e"),
        "pay\u{200b}pal\u{feff}\u{61c}\u{200f}.test".to_owned(),
        "\u{9b}31mred\u{85}.test".to_owned(),
        format!("{long}.{long}.test"),
    ]
}

/// Fails on what does more to a terminal than to show itself.
fn assert_harmless(what: &str, text: &str) {
    for line in text.split('\n') {
        assert_eq!(fluxtap_wire::shown::escaped(line), line, "{what}");
    }
}

#[test]
fn hostile_names_reach_nobody_unescaped() {
    let folder = support::folder();
    let names = hostile_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let path = support::write(&folder, "flux.pcap", &flux_capture(&names));
    let run = support::run(["replay", "--format", "text", path.to_str().expect("a path")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let stdout = String::from_utf8(run.stdout).expect("text");
    assert_harmless("text", &stdout);
    assert_harmless("summary", &run.stderr);
    let headlines: Vec<&str> = stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    let opened = headlines.iter().filter(|line| line.contains(" flux-new ")).count();
    assert_eq!(opened, names.len(), "each of them alerts: {stdout}");
    assert!(stdout.contains("\\027\\0912j"), "{stdout}");
    assert!(headlines.iter().any(|line| line.ends_with("...")), "the long one is cut: {stdout}");
    for line in stdout.lines().chain(run.stderr.lines().filter(|line| line.contains(" since "))) {
        assert!(line.chars().count() <= 130, "{line}");
    }
    let (run, _) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
    assert!(run.stdout.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\n')), "plain ASCII");
    assert!(run.alerts().len() >= opened);
}

#[test]
fn hostile_file_names_reach_nobody_unescaped() {
    let folder = support::folder();
    let name = "\u{202e}\u{1b}[2J\u{200b}.pcap";
    let path = support::write(&folder, name, &support::quiet_capture(1_000, 3));
    let path = path.to_str().expect("a path");
    let run = support::run(["replay", "--stats", "-", path]);
    assert_harmless("counters", &run.stderr);
    assert!(run.stderr.contains("\\u202e\\u001b[2J\\u200b.pcap"), "{}", run.stderr);
    let run = support::run(["replay", "--allow", path, path]);
    assert_harmless("mistakes of a list", &run.stderr);
    assert_eq!(run.status, 78, "{}", run.stderr);
}

#[test]
fn an_allow_list_keeps_back_and_the_summary_says_by_which_entry() {
    let folder = support::folder();
    let capture = flux_capture(&["www.ours.test", "www.evil.test"]);
    let capture = support::write(&folder, "flux.pcap", &capture);
    let list = support::write(
        &folder,
        "allow.txt",
        b"# ours\n\
          domain ours.test our own \xe2\x80\xaenetwork\n\
          domain idle.test nothing yet\n\
          asn AS64500 expires=2020-12-31 over\n",
    );
    let args = ["--allow".as_ref(), list.as_os_str(), capture.as_os_str()];
    let (run, stats) = support::replay(args);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let domains: BTreeSet<String> = run.findings().into_keys().collect();
    assert_eq!(domains, BTreeSet::from(["evil.test".to_owned()]));
    run.assert_said(&[
        "allow list  1 alert kept back",
        "1 kept back and 0 reduced by domain ours.test (line 2: our own \\u{202e}network)",
        "did nothing yet: domain idle.test",
        "expired: asn AS64500 (until 2020-12-31)",
    ]);
    assert_eq!(number(&stats["allow"]["suppressed"]), 1);
    let entry = &stats["allow"]["by_entry"][0];
    assert_eq!(
        (text(&entry["entry"]), number(&entry["suppressed"])),
        ("domain ours.test".into(), 1)
    );
    // Without the list both alert: it is the list that keeps one back.
    let (run, _) = support::replay([capture.as_os_str()]);
    assert_eq!(run.findings().len(), 2);
    assert!(!run.stderr.contains("allow list"), "{}", run.stderr);
}

#[test]
fn a_list_with_mistakes_starts_nothing_and_names_them_all() {
    let folder = support::folder();
    let list = |name: &str, content: &[u8]| support::write(&folder, name, content);
    let rows: [(&str, i32, &[&str]); 5] = [
        (
            "bad.txt",
            78,
            &[
                "bad.txt:2: domain: got 'com', a public suffix",
                "bad.txt:3: reason: got none",
                "bad.txt:4: network: got '10.1.2.3/8'",
                "write 'network 10.0.0.0/8'",
                "bad.txt:5: network: got '0.0.0.0/0', wider than /8",
                "bad.txt:6: kinds: got 'flux'",
            ],
        ),
        ("latin1.txt", 78, &["latin1.txt:2: got bytes that are no UTF-8", "save it as UTF-8"]),
        ("long.txt", 78, &["long.txt: got more than 4194304 bytes"]),
        ("missing.txt", 66, &["--allow: cannot read", "missing.txt", "name a file that exists"]),
        ("secret.txt", 66, &["--allow: cannot read", "secret.txt"]),
    ];
    list(
        "bad.txt",
        b"# a list\ndomain com x\ndomain a.test\nnetwork 10.1.2.3/8 x\nnetwork 0.0.0.0/0 x\n\
          domain b.test kinds=flux x\n",
    );
    list("latin1.txt", b"domain a.test x\ndomain b.test gr\xf6\xdfer\n");
    list("long.txt", &vec![b'#'; (4 << 20) + 1]);
    let secret = list("secret.txt", b"domain a.test x\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).expect("a mode");
    let is_root = fs::File::open(&secret).is_ok();
    for (name, status, expect) in rows {
        if name == "secret.txt" && is_root {
            continue;
        }
        let path = folder.path().join(name);
        let demo = support::demo();
        let args = ["replay", "--allow", path.to_str().expect("a path")];
        let run = support::run(args.map(Path::new).into_iter().chain([demo.as_path()]));
        assert_eq!((run.status, run.stdout.len()), (status, 0), "{name}: {}", run.stderr);
        run.assert_said(expect);
        let is_mistake = |line: &str| line.starts_with("fluxtap: error: ");
        assert!(run.stderr.lines().all(is_mistake), "{name}: nothing was started: {}", run.stderr);
    }
}
