//! Input that a person names: a file or stdin, a token, lines of bytes that may be hostile.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use crate::failure::Failure;

/// The text of a file, or of stdin for `-`, at most `limit` bytes.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String, Failure> {
    let bytes = bytes(path, limit)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not UTF-8 text", shown(path))))
}

/// The bytes of a file, or of stdin for `-`, at most `limit` bytes.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", shown(path))))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::usage(format!("{} is larger than {limit} bytes", shown(path))));
    }
    Ok(bytes)
}

/// A token given as an argument, or the first line of stdin for `-`.
pub(crate) fn token(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut lines = Lines::new(io::stdin().lock());
    match lines.next_line().map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))? {
        Some(Line::Whole(bytes)) if !bytes.is_empty() => {
            String::from_utf8(bytes).map_err(|_| Failure::usage("stdin does not hold a token"))
        }
        _ => Err(Failure::usage("stdin does not hold a token")),
    }
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// One line of foreign bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The line without its end.
    Whole(Vec<u8>),
    /// The line was longer than [`MAX_LINE`]; what it held was dropped.
    TooLong,
}

/// Lines of a reader, none of which can take more memory than [`MAX_LINE`].
pub(crate) struct Lines<R> {
    reader: R,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next line, or nothing at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        self.reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some(Line::Whole(line)));
        }
        if line.len() <= MAX_LINE {
            return Ok(Some(Line::Whole(line)));
        }
        self.skip_rest()?;
        Ok(Some(Line::TooLong))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Eight times the longest token that is looked at, so that a refusal of a long one can still say
/// that it is too large rather than that it was cut.
pub(crate) const MAX_LINE: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    #[test]
    fn every_line_is_one_answer_also_an_empty_one() {
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\n\r\nb"), [whole("a"), whole(""), whole("b")]);
        assert_eq!(lines(b"\xff\0\n"), [Line::Whole(vec![0xff, 0])]);
    }

    #[test]
    fn an_endless_line_takes_bounded_memory_and_the_next_one_is_read() {
        let mut input = vec![b'a'; MAX_LINE];
        input.extend_from_slice(b"\n");
        input.extend(vec![b'b'; 3 * MAX_LINE]);
        input.extend_from_slice(b"\nc\n");
        let lines = lines(&input);
        assert_eq!(lines.len(), 3);
        assert!(matches!(&lines[0], Line::Whole(line) if line.len() == MAX_LINE));
        assert_eq!(lines[1], Line::TooLong);
        assert_eq!(lines[2], Line::Whole(b"c".to_vec()));
    }
}
