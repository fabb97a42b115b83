//! Lines of a file or of standard input, each of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line that is read, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Reads lines one after the other, with their numbers.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
}

/// A line that cannot be taken as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    TooLong,
    NotUtf8,
}

// ===== impl Lines =====

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// The next line and its number, counted from 1; `None` at the end. The line has no line break.
    ///
    /// Not safe to cancel: what was read of a line is lost with the future.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(u64, Result<String, Unreadable>)>> {
        let mut line = Vec::new();
        let mut too_long = false;
        let mut anything = false;
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                if !anything {
                    return Ok(None);
                }
                break;
            }
            anything = true;
            let end = read.iter().position(|&byte| byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            too_long |= line.len() + part.len() > LONGEST;
            if !too_long {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        let line = if too_long { Err(Unreadable::TooLong) } else { text(line, self.number == 1) };
        Ok(Some((self.number, line)))
    }
}

fn text(line: Vec<u8>, first: bool) -> Result<String, Unreadable> {
    let mut line = String::from_utf8(line).map_err(|_| Unreadable::NotUtf8)?;
    if first && line.starts_with('\u{feff}') {
        line.drain(..'\u{feff}'.len_utf8());
    }
    if line.ends_with('\r') {
        line.pop();
    }
    Ok(line)
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {LONGEST} bytes"),
            Self::NotUtf8 => f.write_str("not valid UTF-8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Lines, Unreadable};

    async fn all(bytes: &[u8]) -> Vec<(u64, Result<String, Unreadable>)> {
        // A small buffer, so that lines span several reads.
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(7, bytes));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_numbered_and_lose_their_breaks() {
        let lines = all("\u{feff}http://a\r\n\n  b \nlast".as_bytes()).await;
        let texts: Vec<_> = lines.iter().map(|(n, line)| (*n, line.as_deref().unwrap())).collect();
        assert_eq!(texts, [(1, "http://a"), (2, ""), (3, "  b "), (4, "last")]);
        assert!(all(b"").await.is_empty());
        assert_eq!(all(b"a\n").await.len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_is_no_text_or_too_long_ends_nothing() {
        let mut bytes = b"\xff\xfe\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', LONGEST + 1));
        bytes.extend(b"\nafter\n");
        bytes.extend(std::iter::repeat_n(b'y', LONGEST));
        let lines = all(&bytes).await;
        assert_eq!(lines[0], (1, Err(Unreadable::NotUtf8)));
        assert_eq!(lines[1], (2, Err(Unreadable::TooLong)));
        assert_eq!(lines[2], (3, Ok("after".into())));
        assert_eq!(lines[3].1.as_ref().unwrap().len(), LONGEST);
    }
}
