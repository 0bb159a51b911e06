//! A threat list of somebody else's, in any of the formats or one that has to be found out.
//!
//! A list is read whole or refused in words; what was taken is in the draft and nothing else is; and
//! who names the format that was found out gets the same.

use fluxtap_intel::{ThreatDraft, ThreatList};
use fluxtap_lists::{Content, Format, read};

/// The first byte chooses format and column, the rest is the file.
pub fn run(bytes: &[u8]) {
    let Some((&choice, file)) = bytes.split_first() else { return };
    let format = Format::ALL.get(usize::from(choice & 7)).copied();
    let column = (choice & 8 != 0).then_some("indicator");
    let Some((content, draft)) = read_by(file, format, column) else { return };
    assert_eq!(draft.len(), content.entries, "entries are in the draft");
    if format.is_none() {
        let (again, draft) = read_by(file, Some(content.format), column).expect("as before");
        assert_eq!((again.entries, again.made_s), (content.entries, content.made_s));
        assert_eq!(draft.len(), content.entries);
    }
    look_up(draft, &content, file);
}

fn read_by(
    file: &[u8],
    format: Option<Format>,
    column: Option<&str>,
) -> Option<(Content, ThreatDraft)> {
    let mut draft = ThreatDraft::default();
    match read(file, format, column, &mut draft) {
        Ok(content) => Some((content, draft)),
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a reason in words");
            None
        }
    }
}

/// Any name and address can be asked for, and what is found is of the list.
fn look_up(mut draft: ThreatDraft, content: &Content, file: &[u8]) {
    draft.add(ThreatList {
        name: "fuzz".into(),
        source: "fuzz".into(),
        category: "fuzz".into(),
        format: content.format.as_str(),
        made_s: content.made_s,
        until_s: None,
        is_alerting: true,
        entries: content.entries,
    });
    let lists = draft.finish();
    let name = fluxtap_wire::Name::from_wire(file);
    let name = name.unwrap_or_else(fluxtap_wire::Name::root);
    let address = file.first_chunk::<4>().copied().unwrap_or_default().into();
    for hit in lists.name(name.as_wire(), 0).into_iter().chain(lists.address(address, 0, 0)) {
        assert_eq!(&*hit.list.name, "fuzz");
    }
    assert!(content.entries > 0 || lists.name(&[0], 0).is_empty());
}
