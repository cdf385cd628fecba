//! The stream's events: however the bytes are cut, and however many there are.
//!
//! The first byte says how the rest is cut; with its five top bits set, the rest is repeated until it passes every
//! bound of the reader, which takes a hundred times as long.

use annul_core::feed::sse::{SseError, SseEvent, SseParser};

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    if how >= 0xf8 && !rest.is_empty() {
        let times = (SseParser::MAX_EVENT + SseParser::MAX_LINE) / rest.len() + 1;
        // Beyond the largest event by a line: once in a while, for it is slow.
        return compare(&rest.repeat(times.min(200_000)), usize::from(how & 7) * 20_000 + 1);
    }
    compare(rest, usize::from(how).max(1));
    if let Ok(data) = std::str::from_utf8(rest) {
        comes_back(data);
    }
}

fn compare(bytes: &[u8], chunk: usize) {
    let whole = read([bytes].into_iter());
    assert_eq!(read(bytes.chunks(chunk)), whole, "cut every {chunk} bytes");
    if bytes.len() < 10_000 {
        assert_eq!(read(bytes.chunks(1)), whole, "byte by byte");
        let middle = bytes.len() / 2;
        assert_eq!(read([&bytes[..middle], &[], &bytes[middle..]].into_iter()), whole, "cut in the middle");
    }
    let (events, error) = whole;
    for event in &events {
        assert!(event.data.len() <= SseParser::MAX_EVENT, "an event has {} bytes", event.data.len());
        assert!(event.event.len() <= SseParser::MAX_LINE);
        assert!(event.id.as_ref().is_none_or(|id| id.len() <= SseParser::MAX_ID));
    }
    if error.is_none() && bytes.len() < 10_000 {
        assert_eq!(
            events,
            by_the_standard(std::str::from_utf8(bytes).map_or_else(
                |error| {
                    // What is not yet complete may break off inside a character.
                    std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("valid up to there")
                },
                |text| text
            ))
        );
    }
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Option<SseError>) {
    let mut parser = SseParser::new();
    let mut events = Vec::new();
    for chunk in chunks {
        match parser.push(chunk) {
            Ok(more) => events.extend(more),
            Err(error) => {
                assert_eq!(parser.push(b"data: more\n\n"), Err(error), "a broken reader stays broken");
                return (Vec::new(), Some(error));
            }
        }
    }
    (events, None)
}

/// The events of a whole text, by the rules of the HTML standard, section 9.2.6.
fn by_the_standard(text: &str) -> Vec<SseEvent> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut kind, mut data, mut id) = (String::new(), None::<String>, None);
    let Some((complete, _)) = text.rsplit_once('\n') else { return events };
    for line in complete.split('\n') {
        if line.is_empty() {
            let event = std::mem::take(&mut kind);
            events.extend(data.take().map(|data| SseEvent { event, data, id: id.clone() }));
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = value.to_owned(),
            "data" => data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}"))),
            "id" if !value.contains('\0') => id = Some(value.to_owned()),
            _ => {}
        }
    }
    events
}

/// What the writer writes, the reader reads.
fn comes_back(data: &str) {
    if data.contains('\r') {
        return;
    }
    let mut event = SseEvent::new("records", data);
    event.id = Some("1:7".to_owned());
    let read = SseParser::new().push(&event.to_bytes()).expect("what is written can be read");
    assert_eq!(read, [event]);
}
