//! HTTP receivers that fail in every way they can: nothing is lost, and nobody else waits.

mod support;

use fluxtap_sink::{
    Auth, DEAD_LETTERS, Delivery, Dialect, FileOptions, Form, Keep, OpenError, Sync, Target,
    TlsOptions,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::{
    Authority, Fake, PATIENCE, Reply, Request, check_law, http, ids, now, ok, open, padded, record,
    sink, spool, tls_fake, wait,
};

const DRAIN: Duration = Duration::from_secs(5);

fn elastic() -> Dialect {
    Dialect::Elasticsearch { index: "alerts".to_owned() }
}

fn splunk() -> Dialect {
    Dialect::SplunkHec { index: Some("main".to_owned()), sourcetype: "fluxtap:alert".to_owned() }
}

/// A yes as the receiver says it.
fn yes(dialect: &Dialect, request: &Request) -> Reply {
    match dialect {
        Dialect::Webhook => ok(),
        Dialect::Elasticsearch { .. } => bulk(request, |_| (201, Value::Null)),
        Dialect::SplunkHec { .. } => {
            Reply::Answer(200, "", r#"{"text":"Success","code":0}"#.to_owned())
        }
    }
}

/// The ids of the documents of a bulk, from the lines in front of them.
fn documents(request: &Request) -> Vec<String> {
    let action = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let mut ids = Vec::new();
    for pair in request.body.lines().collect::<Vec<_>>().chunks(2) {
        let id = action(pair[0])["create"]["_id"].as_str().expect("an id").to_owned();
        assert_eq!(action(pair[1])["id"], id.as_str());
        ids.push(id);
    }
    ids
}

fn bulk(request: &Request, status: impl Fn(&str) -> (u16, Value)) -> Reply {
    let mut has_errors = false;
    let items: Vec<Value> = documents(request)
        .iter()
        .map(|id| {
            let (code, error) = status(id);
            has_errors |= code >= 400;
            json!({ "create": { "_id": id, "status": code, "error": error } })
        })
        .collect();
    Reply::Answer(200, "", json!({ "errors": has_errors, "items": items }).to_string())
}

/// Sends ten records to a receiver that fails once in some way, and then says yes. They wait for
/// the second try in one order, and arrive once each.
fn fails_once(name: &str, dialect: &Dialect, fail: impl Fn(&Request) -> Reply + Send + 'static) {
    let folder = tempfile::tempdir().expect("a folder");
    let of = dialect.clone();
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&taken);
    let fake = Fake::new(move |n, request| {
        if n == 0 {
            return fail(request);
        }
        let lines = match &of {
            Dialect::Webhook => ids(&request.body),
            Dialect::Elasticsearch { .. } => documents(request),
            Dialect::SplunkHec { .. } => events(request),
        };
        keep.lock().expect("not poisoned").extend(lines);
        yes(&of, request)
    });
    let sinks = [sink("s", Target::Http(http(&fake.url, dialect.clone())))];
    let (delivery, said) = open(&sinks, &spool(folder.path()));
    let delivery = delivery.expect("opens");
    let sent: Vec<String> = (0..10).map(|n| format!("e{n}")).collect();
    sent.iter().for_each(|id| delivery.push(record(id, Keep::Always)));
    let counts = wait(&delivery, name, |counts| counts.delivered == 10 && counts.waiting == 0);
    check_law(&counts);
    assert_eq!((counts.faults, counts.down_since_ms), (1, None), "{name}");
    assert!(counts.retried >= 1, "{name}");
    assert_eq!(*taken.lock().expect("not poisoned"), sent, "{name}");
    let said = said.lock().expect("not poisoned").clone();
    assert_eq!(said.len(), 2, "{name}: {said:?}");
    assert!(said[0].is_warning && said[0].text.ends_with("lines wait until it takes them"));
    assert!(said[1].text.starts_with("delivers again after"), "{name}: {said:?}");
    assert_eq!(delivery.drain(DRAIN).left, []);
}

/// The ids of Splunk's events, which stand one behind the other.
fn events(request: &Request) -> Vec<String> {
    let events = serde_json::Deserializer::from_str(&request.body).into_iter::<Value>();
    let id = |event: Result<Value, _>| {
        let event: Value = event.expect("JSON");
        assert_eq!(event["time"], json!(1_700_000_000.123));
        assert_eq!((event["index"].as_str(), event["host"].as_str()), (Some("main"), Some("tap")));
        assert_eq!(event["sourcetype"], "fluxtap:alert");
        event["event"]["id"].as_str().expect("an id").to_owned()
    };
    events.map(id).collect()
}

#[test]
fn every_failure_is_outlived() {
    let answer = |code, headers, body: &'static str| {
        move |_: &Request| Reply::Answer(code, headers, body.to_owned())
    };
    let (webhook, elastic, splunk) = (&Dialect::Webhook, &elastic(), &splunk());
    thread::scope(|scope| {
        scope.spawn(|| fails_once("close", webhook, |_| Reply::Close));
        scope.spawn(|| fails_once("half", webhook, |_| Reply::Half));
        scope.spawn(|| fails_once("hang", webhook, |_| Reply::Hang));
        scope.spawn(|| fails_once("drip", webhook, |_| Reply::Drip));
        for code in [301, 401, 403, 404, 408, 429, 500, 502, 503] {
            scope.spawn(move || {
                let headers = "Location: http://127.0.0.1:9/\r\n";
                fails_once(&code.to_string(), webhook, answer(code, headers, "no"));
            });
        }
        scope.spawn(move || {
            fails_once("busy documents", elastic, |request| {
                bulk(request, |_| (429, json!({ "type": "es_rejected_execution_exception" })))
            });
        });
        for (name, body) in [
            ("a page", "<html>please log in</html>"),
            ("no items", r#"{"took":1,"errors":false}"#),
            // Of a first batch of one record, too.
            ("too few items", r#"{"errors":false,"items":[]}"#),
            ("nothing", ""),
        ] {
            scope.spawn(move || fails_once(name, elastic, answer(200, "", body)));
        }
        for (code, body) in [
            (200, r#"{"text":"Server is busy","code":9}"#),
            (200, "<html>"),
            (400, r#"{"text":"Incorrect index","code":7}"#),
            (403, r#"{"text":"Invalid token","code":4}"#),
            (503, r#"{"text":"Server is busy","code":9}"#),
        ] {
            scope.spawn(move || fails_once(body, splunk, answer(code, "", body)));
        }
    });
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    // As a date it is told by the receiver's clock, which here is years from ours.
    let dated =
        "Date: Sun, 06 Nov 1994 08:49:59 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:01 GMT\r\n";
    for head in ["Retry-After: 2\r\n", dated] {
        let folder = tempfile::tempdir().expect("a folder");
        let fake = Fake::new(move |n, _| match n {
            0 => Reply::Answer(429, head, String::new()),
            _ => ok(),
        });
        let sinks = [sink("s", Target::Http(http(&fake.url, Dialect::Webhook)))];
        let delivery = open(&sinks, &spool(folder.path())).0.expect("opens");
        delivery.push(record("a", Keep::Always));
        wait(&delivery, "delivery", |counts| counts.delivered == 1);
        let seen = fake.seen();
        assert!(seen[1].at - seen[0].at >= Duration::from_secs(2), "{head}");
    }
}

#[test]
fn nobody_at_home_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let url = format!("http://{address}/in");
    let sinks = [sink("s", Target::Http(http(&url, Dialect::Webhook)))];
    let delivery = open(&sinks, &spool(folder.path())).0.expect("starts anyway");
    delivery.push(record("a", Keep::Always));
    let counts = wait(&delivery, "a fault", |counts| counts.faults > 0);
    assert!(counts.last_fault.contains("Connection refused"), "{}", counts.last_fault);
    assert!(counts.down_since_ms.is_some() && counts.waiting == 1);
    let fake = Fake::on(TcpListener::bind(address).expect("the port again"), |_, _| ok());
    // A reload does not wait for the next try.
    delivery.reopen();
    wait(&delivery, "delivery", |counts| counts.delivered == 1);
    assert_eq!(ids(&fake.seen()[0].body), ["a"]);
}

#[test]
fn what_is_too_much_is_sent_in_parts_and_what_is_too_long_buried() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::new(|_, request| match request.body.len() {
        0..1_000 => ok(),
        _ => Reply::Answer(413, "", "too large".to_owned()),
    });
    let options = http(&fake.url, Dialect::Webhook);
    let sinks = [sink("s", Target::Http(options))];
    let delivery = open(&sinks, &spool(folder.path())).0.expect("opens");
    for n in 0..20 {
        let octets = if n == 7 { 2_000 } else { 200 };
        delivery.push(padded(&format!("e{n}"), Keep::Always, octets));
    }
    let counts =
        wait(&delivery, "all ends", |c| c.delivered + c.dead_lettered == 20 && c.waiting == 0);
    assert_eq!((counts.delivered, counts.dead_lettered, counts.faults), (19, 1, 0));
    check_law(&counts);
    let taken: Vec<String> = fake
        .seen()
        .iter()
        .filter(|request| request.body.len() < 1_000)
        .flat_map(|request| ids(&request.body))
        .collect();
    let expect: Vec<String> = (0..20).filter(|n| *n != 7).map(|n| format!("e{n}")).collect();
    assert_eq!(taken, expect, "each once, in order");
    let letters = letters(folder.path());
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["id"], &letters[0]["line"]["id"]), (&json!("e7"), &json!("e7")));
    assert_eq!(letters[0]["reason"], "answered 413: too large");
}

fn letters(folder: &Path) -> Vec<Value> {
    let path = folder.join("spool/s").join(DEAD_LETTERS);
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn one_bad_document_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let store = Arc::clone(&taken);
    let fake = Fake::new(move |_, request| {
        let store = Arc::clone(&store);
        bulk(request, move |id| match id {
            "e3" => (400, json!({ "type": "mapper_parsing_exception", "reason": "no ip" })),
            // Full at the first try.
            "e5" if store.lock().expect("not poisoned").insert("e5?".into(), 1).is_none() => {
                (503, json!({ "type": "unavailable" }))
            }
            // There already.
            "e6" => (409, json!({ "type": "version_conflict_engine_exception" })),
            id => {
                *store.lock().expect("not poisoned").entry(id.to_owned()).or_default() += 1;
                (201, Value::Null)
            }
        })
    });
    let mut options = http(fake.url.trim_end_matches("/in"), elastic());
    options.is_gzip = true;
    options.batch_wait = Duration::from_millis(300);
    let sinks = [sink("s", Target::Http(options))];
    let delivery = open(&sinks, &spool(folder.path())).0.expect("opens");
    (0..8).for_each(|n| delivery.push(record(&format!("e{n}"), Keep::Always)));
    let counts =
        wait(&delivery, "all ends", |c| c.delivered + c.dead_lettered == 8 && c.waiting == 0);
    check_law(&counts);
    assert_eq!((counts.dead_lettered, counts.faults, counts.retried), (1, 1, 1));
    let taken = taken.lock().expect("not poisoned");
    for id in ["e0", "e1", "e2", "e4", "e5", "e7"] {
        assert_eq!(taken.get(id), Some(&1), "{id} once");
    }
    let letters = letters(folder.path());
    let reason = letters[0]["reason"].as_str().expect("text");
    assert!(reason.contains("400") && reason.contains("mapper_parsing_exception"), "{reason}");
    let seen = fake.seen();
    assert_eq!(seen[0].path, "/alerts/_bulk");
    assert!(seen[0].was_gzip && documents(&seen[0]).len() == 8, "one batch, compressed");
}

#[test]
fn a_poisoned_line_is_found_by_halving() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::new(|_, request| match ids(&request.body).contains(&"e5".to_owned()) {
        true => Reply::Answer(400, "", "bad".to_owned()),
        false => ok(),
    });
    let sinks = [sink("s", Target::Http(http(&fake.url, Dialect::Webhook)))];
    let delivery = open(&sinks, &spool(folder.path())).0.expect("opens");
    (0..30).for_each(|n| delivery.push(record(&format!("e{n}"), Keep::Always)));
    let counts = wait(&delivery, "all ends", |c| c.delivered + c.dead_lettered == 30);
    assert_eq!((counts.delivered, counts.dead_lettered, counts.faults), (29, 1, 0));
    assert_eq!(letters(folder.path())[0]["id"], "e5");
}

/// The dead-letter file cannot be written: the line is not lost, and the sink says why it stands.
#[test]
fn a_refused_line_that_cannot_be_buried_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = spool(folder.path());
    fs::create_dir_all(spool.folder.join("s").join(DEAD_LETTERS)).expect("a folder in its place");
    let fake = Fake::new(|_, _| Reply::Answer(422, "", String::new()));
    let sinks = [sink("s", Target::Http(http(&fake.url, Dialect::Webhook)))];
    let delivery = open(&sinks, &spool).0.expect("opens");
    delivery.push(record("a", Keep::Always));
    let counts = wait(&delivery, "a fault", |counts| counts.faults > 0);
    assert!(counts.last_fault.contains("cannot be kept in"), "{}", counts.last_fault);
    assert_eq!((counts.waiting, counts.dead_lettered), (1, 0));
}

#[test]
fn a_dead_sink_delays_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::new(|_, _| Reply::Hang);
    let path = folder.path().join("alerts.jsonl");
    let file =
        FileOptions { path: path.clone(), rotate_octets: None, rotate_age: None, rotate_keep: 0 };
    let mut dead = sink("dead", Target::Http(http(&fake.url, Dialect::Webhook)));
    dead.timeout = Duration::from_secs(30);
    let (delivery, _) = open(&[sink("good", Target::File(file)), dead], &spool(folder.path()));
    let delivery = delivery.expect("opens");
    let started = now();
    for n in 0..2_000 {
        delivery.push(record(&format!("e{n}"), Keep::Always));
    }
    let pushed = now() - started;
    wait(&delivery, "the file", |counts| counts.delivered == 2_000);
    assert!(now() - started < PATIENCE / 2);
    assert!(pushed < Duration::from_secs(5), "pushing took {pushed:?}");
    assert_eq!(ids(&fs::read_to_string(&path).expect("there")).len(), 2_000);
    let dead = delivery.counts().swap_remove(1);
    assert_eq!((dead.waiting, dead.delivered), (2_000, 0));
    assert!(dead.lag_ms > 0);
    // A stop does not wait for it longer than it may, and keeps what it did not take.
    let started = now();
    let left = delivery.drain(Duration::from_secs(1)).left;
    assert!(now() - started < Duration::from_secs(10));
    assert_eq!((left.len(), left[0].sink.as_str(), left[0].spooled), (1, "dead", 2_000));
}

#[test]
fn what_a_stop_left_is_delivered_by_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = spool(folder.path());
    let nobody = sink("s", Target::Http(http("http://127.0.0.1:9/in", Dialect::Webhook)));
    let delivery = open(&[nobody], &spool).0.expect("opens");
    (0..50).for_each(|n| delivery.push(record(&format!("e{n}"), Keep::Always)));
    assert_eq!(delivery.drain(Duration::from_millis(300)).left[0].spooled, 50);
    let fake = Fake::new(|_, _| ok());
    let sinks = [sink("s", Target::Http(http(&fake.url, Dialect::Webhook)))];
    let (delivery, said) = open(&sinks, &spool);
    let delivery = delivery.expect("opens");
    delivery.push(record("e50", Keep::Always));
    let counts = wait(&delivery, "delivery", |counts| counts.delivered == 51);
    assert_eq!((counts.resumed, counts.accepted), (50, 1));
    let taken: Vec<String> = fake.seen().iter().flat_map(|r| ids(&r.body)).collect();
    assert_eq!(taken, (0..51).map(|n| format!("e{n}")).collect::<Vec<_>>(), "oldest first");
    assert!(said.lock().expect("sound")[0].text.starts_with("50 lines of an earlier run wait"));
    assert_eq!(delivery.drain(DRAIN).left, []);
    // A sink that is not there any more is not forgotten without a word.
    let nobody = sink("s", Target::Http(http("http://127.0.0.1:9/in", Dialect::Webhook)));
    let delivery = open(&[nobody], &spool).0.expect("opens");
    delivery.push(record("e51", Keep::Always));
    assert_eq!(delivery.drain(Duration::from_millis(300)).left.len(), 1);
    let other = sink("other", Target::Http(http(&fake.url, Dialect::Webhook)));
    let (_delivery, said) = open(&[other], &spool);
    let said = said.lock().expect("sound").clone();
    assert!(said[0].sink == "s" && said[0].text.contains("not in the settings"), "{said:?}");
}

#[test]
fn a_full_spool_keeps_beginnings_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = spool(folder.path());
    spool.octets_max = 1 << 20;
    spool.sync = Sync::Never;
    let nobody = sink("s", Target::Http(http("http://127.0.0.1:9/in", Dialect::Webhook)));
    let delivery = open(&[nobody], &spool).0.expect("opens");
    for n in 0..1_500 {
        let keep = if n % 10 == 0 { Keep::Always } else { Keep::WhileThereIsRoom };
        delivery.push(padded(&format!("e{n}"), keep, 4_000));
    }
    let counts = wait(&delivery, "the spool", |counts| counts.accepted == 1_500);
    check_law(&counts);
    assert!(counts.dropped.updates_for_room > 1_000, "{counts:?}");
    assert_eq!(counts.dropped.sum(), counts.dropped.updates_for_room);
    assert!(counts.spool_octets <= 1 << 20);
    drop(delivery.drain(Duration::from_millis(100)).left);
    let fake = Fake::new(|_, _| ok());
    let sinks = [sink("s", Target::Http(http(&fake.url, Dialect::Webhook)))];
    let delivery = open(&sinks, &spool).0.expect("opens");
    wait(&delivery, "delivery", |counts| counts.resumed > 0 && counts.waiting == 0);
    let taken: Vec<String> = fake.seen().iter().flat_map(|r| ids(&r.body)).collect();
    for n in (0..1_500).step_by(10) {
        assert!(taken.contains(&format!("e{n}")), "e{n} is a beginning or an end");
    }
    assert!(taken.contains(&"e1499".to_owned()), "of updates the youngest stay");
}

#[test]
fn certificates_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "ca");
    let stranger = Authority::new(folder.path(), "stranger");
    let ca_file = Some(folder.path().join("ca.pem"));
    let client = authority.sign("client", "sensor", false);
    let good = authority.sign("good", "localhost", false);
    let rows = [
        ("expired", authority.sign("expired", "localhost", true), "expired"),
        ("other", authority.sign("other", "siem.example", false), "not valid for name"),
        ("unknown", stranger.sign("unknown", "localhost", false), "UnknownIssuer"),
    ];
    for (name, certificate, expect) in rows {
        let (url, requests) = tls_fake(&certificate, None);
        let mut options = http(&url, Dialect::Webhook);
        options.tls = TlsOptions { ca_file: ca_file.clone(), identity: None };
        let mut required = sink(name, Target::Http(options));
        let delivery = open(&[required.clone()], &spool(folder.path())).0.expect("starts anyway");
        delivery.push(record("a", Keep::Always));
        let fault = wait(&delivery, name, |counts| counts.faults > 0).last_fault;
        assert!(fault.contains(expect), "{name}: {fault}");
        assert_eq!(delivery.drain(Duration::ZERO).left[0].spooled, 1);
        required.is_required = true;
        match open(&[required], &spool(folder.path())).0 {
            Err(OpenError::Unreachable(said)) => {
                assert!(said[0].contains(name) && said[0].contains(expect), "{said:?}");
            }
            _ => panic!("{name}: opened"),
        }
        assert!(requests.lock().expect("sound").is_empty(), "{name}: nothing was told");
    }
    // Of both sides the right ones.
    let (url, requests) = tls_fake(&good, Some(&folder.path().join("ca.pem")));
    let mut options = http(&url, Dialect::Webhook);
    options.tls = TlsOptions { ca_file, identity: Some(client) };
    let mut required = sink("good", Target::Http(options));
    required.is_required = true;
    let delivery = open(&[required], &spool(folder.path())).0.expect("opens");
    delivery.push(record("a", Keep::Always));
    wait(&delivery, "delivery", |counts| counts.delivered == 1);
    assert_eq!(ids(&requests.lock().expect("sound")[0].body), ["a"]);
}

#[test]
fn secrets_are_sent_and_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let fake = Fake::new(|_, request| match request.header("Authorization") {
        Some("Bearer new") => ok(),
        _ => Reply::Answer(401, "", String::new()),
    });
    fs::write(&token, "old\n").expect("written");
    let mut options = http(&fake.url, Dialect::Webhook);
    options.token_file = Some(token.clone());
    let sinks = [sink("s", Target::Http(options.clone()))];
    let delivery = open(&sinks, &spool(folder.path())).0.expect("opens");
    delivery.push(record("a", Keep::Always));
    wait(&delivery, "a fault", |counts| counts.faults > 0);
    fs::write(&token, "new\nfurther lines are not read\n").expect("written");
    wait(&delivery, "delivery", |counts| counts.delivered == 1);
    let first = fake.seen();
    assert_eq!(first[0].header("Authorization"), Some("Bearer old"));
    assert_eq!(first[0].header("Content-Type"), Some("application/x-ndjson"));
    drop(delivery);
    for (auth, expect) in
        [(Auth::Basic, "Basic bmV3"), (Auth::ApiKey, "ApiKey new"), (Auth::Splunk, "Splunk new")]
    {
        let fake = Fake::new(|_, _| ok());
        let folder = tempfile::tempdir().expect("a folder");
        let options = fluxtap_sink::HttpOptions { auth, url: fake.url.clone(), ..options.clone() };
        let delivery = open(&[sink("s", Target::Http(options))], &spool(folder.path())).0;
        let delivery = delivery.expect("opens");
        delivery.push(record("a", Keep::Always));
        wait(&delivery, "delivery", |counts| counts.delivered == 1);
        assert_eq!(fake.seen()[0].header("Authorization"), Some(expect));
    }
}

/// Everything that a start can know to be wrong, each with its message, and all at once.
#[test]
fn mistakes_are_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("garbage"), "-----BEGIN CERTIFICATE-----\n%%%\n").expect("written");
    fs::write(path("empty"), "\n").expect("written");
    let authority = Authority::new(folder.path(), "ca");
    let (one, _) = authority.sign("one", "a", false);
    let (_, other_key) = authority.sign("other", "b", false);
    let https = |change: &dyn Fn(&mut fluxtap_sink::HttpOptions)| {
        let mut options = http("https://siem.example/in", Dialect::Webhook);
        options.tls.ca_file = Some(path("ca.pem"));
        change(&mut options);
        options
    };
    let rows = [
        (https(&|o| o.tls.ca_file = Some(path("none"))), "none: No such file"),
        (https(&|o| o.tls.ca_file = Some(path("garbage"))), "garbage: got no sound PEM"),
        (https(&|o| o.tls.ca_file = Some(path("empty"))), "empty: got no certificate, expected"),
        (https(&|o| o.tls.identity = Some((one.clone(), one.clone()))), "got no private key"),
        (https(&|o| o.tls.identity = Some((one.clone(), other_key.clone()))), "and its own key"),
        (https(&|o| o.token_file = Some(path("empty"))), "empty: got no secret, expected one"),
        (https(&|o| o.token_file = Some(path("none"))), "cannot read"),
    ];
    let sinks: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(n, (options, _))| sink(&format!("s{n}"), Target::Http(options.clone())))
        .collect();
    let said = Delivery::check(&sinks);
    let opened = open(&sinks, &spool(folder.path())).0;
    assert_eq!(opened.err(), Some(OpenError::Unusable(said.clone())));
    assert_eq!(said.len(), rows.len(), "{said:#?}");
    for (n, (said, (_, expect))) in said.iter().zip(&rows).enumerate() {
        assert!(said.starts_with(&format!("sink s{n}: ")) && said.contains(expect), "{said}");
    }
}

#[test]
fn a_spool_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "").expect("written");
    let sinks = [sink("s", Target::Http(http("http://127.0.0.1:9/", Dialect::Webhook)))];
    let mut wrong = spool(folder.path());
    wrong.folder = folder.path().join("file/spool");
    let Err(OpenError::Unusable(said)) = open(&sinks, &wrong).0 else { panic!("opened") };
    assert!(said[0].contains("cannot use the spool") && said[0].contains("spool.folder"));
    let good = spool(folder.path());
    let _first = open(&sinks, &good).0.expect("opens");
    let Err(OpenError::Unusable(said)) = open(&sinks, &good).0 else { panic!("opened twice") };
    assert!(said[0].contains("belongs to another sensor that runs"), "{said:?}");
}

#[test]
fn filters_hold_back_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::new(|_, _| ok());
    let mut options = sink("s", Target::Http(http(&fake.url, Dialect::Webhook)));
    options.filter.severity_min = 2;
    options.filter.kinds = vec!["single_flux".to_owned(), "sensor_health".to_owned()];
    options.form = Form::Json;
    let delivery = open(&[options], &spool(folder.path())).0.expect("opens");
    let push = |id: &str, kind: &str, severity| {
        let mut record = record(id, Keep::Always);
        (record.kind, record.severity) = (kind.to_owned(), severity);
        delivery.push(record);
    };
    push("low", "single_flux", Some(1));
    push("kind", "double_flux", Some(3));
    push("pass", "single_flux", Some(2));
    push("health", "sensor_health", None);
    let counts = wait(&delivery, "delivery", |counts| counts.delivered == 2);
    assert_eq!((counts.filtered, counts.accepted), (2, 2));
    let taken: Vec<String> = fake.seen().iter().flat_map(|r| ids(&r.body)).collect();
    assert_eq!(taken, ["pass", "health"]);
}
