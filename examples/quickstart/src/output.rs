//! Writes results as they come, on a thread of its own: a reader that is slow holds nobody up but itself.

use std::{
    io::{self, Write},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;

/// How many lines may wait to be written.
const WAITING: usize = 256;

/// Where result lines go.
#[derive(Debug)]
pub(crate) struct Output {
    lines: mpsc::Sender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
}

impl Output {
    /// Writes to `out`, with a line break after each line.
    pub(crate) fn start(mut out: impl Write + Send + 'static) -> Self {
        let (lines, mut written) = mpsc::channel::<Vec<u8>>(WAITING);
        let writer = thread::spawn(move || {
            while let Some(mut line) = written.blocking_recv() {
                line.push(b'\n');
                out.write_all(&line)?;
                if written.is_empty() {
                    out.flush()?;
                }
            }
            out.flush()
        });
        Self { lines, writer }
    }

    /// Writes one line; false if it can no longer be written. [`finish`](Self::finish) says why.
    pub(crate) async fn line(&self, line: Vec<u8>) -> bool {
        self.lines.send(line).await.is_ok()
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) -> io::Result<()> {
        drop(self.lines);
        self.writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer failed")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::Output;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_closed_pipe_is_noticed_and_named() {
        let output = Output::start(Closed);
        while output.line(b"{}".to_vec()).await {}
        assert_eq!(output.finish().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
