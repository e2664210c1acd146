//! Writing this project's own CSV.

use std::io::{self, Write};

use super::csv::OWN_HEADER;
use super::{Op, Request};

/// Writes a trace line by line, as [`super::Trace::read`] reads it.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Each line is a write of its own: give it something with a buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut to: W) -> io::Result<Self> {
        writeln!(to, "{OWN_HEADER}")?;
        Ok(Self { to })
    }

    /// Writes a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, request: &Request) -> io::Result<()> {
        let op = match request.op {
            Op::Read => 'R',
            Op::Write => 'W',
        };
        let (at, offset, length) = (request.at.0, request.offset.0, request.length.0);
        writeln!(self.to, "{at},{op},{offset},{length}")
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.to
    }
}
