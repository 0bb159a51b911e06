//! What explains answers: client subnets, address hints, DNS64.

use super::*;
use std::net::IpAddr;

/// Data of an OPT record with a client subnet of 198.51.100.0/24.
fn subnet(scope_len: u8) -> Vec<u8> {
    vec![0, 8, 0, 7, 0, 1, 24, scope_len, 198, 51, 100]
}

fn with_options(response: Response, options: &[u8]) -> Response {
    response.raw(2, "", (41, 1_232), 0, options)
}

/// The context of the first observation: subnet, hints, synthesised addresses.
fn context(batch: &Batch) -> Option<(Option<String>, Vec<String>, u16)> {
    let context = batch.context(batch.observations().first()?)?;
    let scope = context.client_subnet.and_then(|subnet| subnet.scope());
    let hints = batch.hints(context).iter().map(IpAddr::to_string).collect();
    Some((scope.map(|(ip, len)| format!("{ip}/{len}")), hints, context.synthesised))
}

fn observe(response: &Response) -> (MessageEnd, Batch, ObserveCounts) {
    let (mut observer, mut batch) = (Observer::new(1), Batch::default());
    let end = tell(&mut observer, 0, "9.9.9.9", &response.octets(), &mut batch);
    (end, batch, observer.counts())
}

#[test]
fn client_subnets_are_kept_and_bad_ones_cost_nothing() {
    let answer = || Response::new("evil.example", 1).with(0, "evil.example A 60 5.6.7.8");
    let rows: [(&str, &[u8], Option<&str>, u64); 6] = [
        ("no option", &[], None, 0),
        ("a part of the clients", &subnet(20), Some("198.51.96.0/20"), 0),
        ("all clients", &subnet(0), None, 0),
        (
            "behind a cookie",
            &[&[0, 10, 0, 1, 7], &subnet(24)[..]].concat(),
            Some("198.51.100.0/24"),
            0,
        ),
        ("a lie about its length", &subnet(24)[..10], None, 1),
        ("a scope of 33 bits", &subnet(33), None, 1),
    ];
    for (what, options, expect, malformed) in rows {
        let (end, batch, counts) = observe(&with_options(answer(), options));
        assert_eq!(end, MessageEnd::Used, "{what}");
        assert_eq!(summary(&batch), "evil.example evil.example 5.6.7.8/60", "{what}");
        let scope = context(&batch).and_then(|(scope, ..)| scope);
        assert_eq!(scope.as_deref(), expect, "{what}");
        assert_eq!(counts.edns_options_malformed, malformed, "{what}");
        assert_eq!(counts.responses_by_client_subnet, u64::from(expect.is_some()), "{what}");
    }
    // The first record counts; a subnet alone is nothing.
    let two = with_options(with_options(answer(), &subnet(20)), &subnet(8));
    assert_eq!(context(&observe(&two).1).unwrap().0.as_deref(), Some("198.51.96.0/20"));
    let alone = with_options(Response::new("evil.example", 1), &subnet(20));
    assert_eq!(observe(&alone).0, MessageEnd::NoAddressEvidence);
}

/// Data of a service record: `.` as the target, and hints.
fn service(hints: &[[u8; 4]]) -> Vec<u8> {
    let value = hints.concat();
    [&[0, 1, 0, 0, 4][..], &(value.len() as u16).to_be_bytes(), &value].concat()
}

#[test]
fn address_hints_are_of_their_own_kind() {
    let hints = service(&[[5, 6, 7, 8], [10, 0, 0, 1], [5, 6, 7, 9]]);
    let new = || Response::new("www.evil.example", 65);
    let (end, batch, counts) = observe(&new().raw(0, "www.evil.example", (65, 1), 60, &hints));
    // They are no addresses: what is in the summary can become evidence.
    assert_eq!(
        (end, summary(&batch).as_str()),
        (MessageEnd::Used, "evil.example www.evil.example")
    );
    assert_eq!(context(&batch).unwrap().1, ["5.6.7.8", "5.6.7.9"]);
    assert_eq!((counts.address_hints, counts.addresses_special_use), (2, 1));

    let beside = new()
        .with(0, "www.evil.example CNAME 60 a.evil.example")
        .with(0, "a.evil.example A 60 5.6.6.6")
        .raw(0, "a.evil.example", (64, 1), 60, &hints);
    let (_, batch, _) = observe(&beside);
    assert_eq!(summary(&batch), "evil.example a.evil.example 5.6.6.6/60");
    assert_eq!(context(&batch).unwrap().1.len(), 2);

    let nothing: Vec<(&str, Response, [u64; 3])> = vec![
        ("of somebody else", new().raw(0, "www.bank.test", (65, 1), 60, &hints), [2, 0, 0]),
        ("in another section", new().raw(2, "www.evil.example", (65, 1), 60, &hints), [0, 0, 0]),
        ("in another class", new().raw(0, "www.evil.example", (65, 3), 60, &hints), [0, 0, 0]),
        ("malformed", new().raw(0, "www.evil.example", (65, 1), 60, &hints[..9]), [0, 1, 0]),
    ];
    for (what, response, expect) in nothing {
        let (end, batch, counts) = observe(&response);
        assert_eq!(
            (end, summary(&batch).as_str()),
            (MessageEnd::NoAddressEvidence, "nothing"),
            "{what}"
        );
        let got =
            [counts.addresses_out_of_bailiwick, counts.services_malformed, counts.address_hints];
        assert_eq!(got, expect, "{what}");
    }
    let many: Vec<[u8; 4]> = (0..60).map(|i| [5, 6, 7, i]).collect();
    let (_, batch, counts) =
        observe(&new().raw(0, "www.evil.example", (65, 1), 60, &service(&many)));
    assert_eq!(context(&batch).unwrap().1.len(), HINTS_PER_RESPONSE_MAX);
    assert_eq!(counts.records_over_limit, 1);
}

/// Batches are joined when the time of packets is confirmed; what belongs together stays so.
#[test]
fn context_moves_with_its_observation() {
    let mut whole = Batch::default();
    let hints = |n| service(&[[5, 6, 7, n]]);
    for n in 0..4 {
        let (mut observer, mut batch) = (Observer::new(1), Batch::default());
        let plain = Response::new("evil.example", 1).with(0, "evil.example A 60 5.6.7.8");
        tell(&mut observer, 0, "9.9.9.9", &plain.octets(), &mut batch);
        let rich = Response::new("evil.example", 65).raw(0, "evil.example", (65, 1), 9, &hints(n));
        tell(&mut observer, 0, "9.9.9.9", &rich.octets(), &mut batch);
        whole.append(&mut batch);
    }
    let told = whole.observations().iter().map(|o| {
        whole.context(o).map(|c| whole.hints(c).iter().map(IpAddr::to_string).collect::<Vec<_>>())
    });
    let expect = (0..4).flat_map(|n| [None, Some(vec![format!("5.6.7.{n}")])]);
    assert_eq!(told.collect::<Vec<_>>(), expect.collect::<Vec<_>>());
}

#[test]
fn what_a_dns64_made_counts_as_what_it_was_made_of() {
    const PREFIX: &str = "2a01:4f8:64";
    let teach = |last: u8, flags| {
        let line = format!("ipv4only.arpa AAAA 60 {PREFIX}::192.0.0.{last}");
        Response::new("ipv4only.arpa", 28).flags(flags).with(0, &line)
    };
    let asked = |resolver: &str, address: &str, observer: &mut Observer| {
        let line = format!("evil.example AAAA 60 {address}");
        let response = Response::new("evil.example", 28).with(0, &line);
        let mut batch = Batch::default();
        tell(observer, 10, resolver, &response.octets(), &mut batch);
        let synthesised = context(&batch).map_or(0, |(.., synthesised)| synthesised);
        let line = summary(&batch);
        (line.strip_prefix("evil.example evil.example ").unwrap_or(&line).to_owned(), synthesised)
    };
    let learnt = &format!("{PREFIX}::5.6.7.8")[..];
    let private = &format!("{PREFIX}::10.6.7.8")[..];
    let as_it_is = |address: &str| {
        let ip: std::net::Ipv6Addr = address.parse().unwrap();
        (format!("{ip}/60"), 0)
    };
    let mapped = ("5.6.7.8/60".to_owned(), 1);
    let nothing = ("nothing".to_owned(), 0);
    let mut observer = Observer::new(1);
    // The well-known prefix needs no teacher; what is private behind it is nobody's.
    assert_eq!(asked("9.9.9.9", "64:ff9b::5.6.7.8", &mut observer), mapped);
    assert_eq!(asked("9.9.9.9", "64:ff9b:1::5.6.7.8", &mut observer), mapped);
    assert_eq!(asked("9.9.9.9", "64:ff9b::10.6.7.8", &mut observer), nothing);
    assert_eq!(asked("9.9.9.9", learnt, &mut observer), as_it_is(learnt));

    // Nobody learns from an authority, from messages out of time, or from another address.
    let mut batch = Batch::default();
    let mut hear = |observer: &mut Observer, response: Response| {
        let end = tell(observer, 0, "9.9.9.9", &response.octets(), &mut batch);
        assert_eq!(end, MessageEnd::NoAddressEvidence);
        assert!(batch.observations().is_empty());
    };
    hear(&mut observer, teach(170, AUTHORITY));
    hear(&mut observer, teach(172, 0x8180));
    observer.set_learning(false);
    hear(&mut observer, teach(170, 0x8180));
    observer.set_learning(true);
    assert_eq!(asked("9.9.9.9", learnt, &mut observer), as_it_is(learnt));

    // What was learnt holds for the one who taught it, and makes nothing vanish.
    hear(&mut observer, teach(171, 0x8180));
    assert_eq!(asked("9.9.9.9", learnt, &mut observer), mapped);
    assert_eq!(asked("8.8.8.8", learnt, &mut observer), as_it_is(learnt));
    assert_eq!(asked("9.9.9.9", private, &mut observer), as_it_is(private));
    let counts = observer.counts();
    assert_eq!((counts.dns64_prefixes_learnt, counts.addresses_from_dns64), (1, 3));

    // A prefix for local use may be shorter, once it was learnt.
    let short = "64:ff9b:1:506:7:800::";
    assert_eq!(asked("9.9.9.9", short, &mut observer), nothing);
    let line = "ipv4only.arpa AAAA 60 64:ff9b:1:c000:0:aa00::";
    hear(&mut observer, Response::new("ipv4only.arpa", 28).with(0, line));
    assert_eq!(asked("9.9.9.9", short, &mut observer), mapped);
}
