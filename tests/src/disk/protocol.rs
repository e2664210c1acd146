//! The NBD protocol's transmission phase, as far as the kernel's driver speaks it.
//!
//! Owns: the bytes on the socket (`include/uapi/linux/nbd.h`; the protocol's own document is
//! `doc/proto.md` of the NBD project). May not: act on a request.

use std::io::{self, Read, Write};

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
const REQUEST_BYTES: usize = 28;
const FUA: u32 = 1 << 16;

/// Error number of a failed request: `EIO`. The kernel's driver makes every error an I/O error.
pub(super) const EIO: u32 = 5;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The kernel's own mark of it, sent back with the answer.
    pub(super) handle: [u8; 8],
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) action: Action,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Write { data: Vec<u8>, fua: bool },
    Flush,
    Discard,
    Disconnect,
}

/// What it was answered: data of a read, nothing, or an error number.
pub(super) type Answered = Result<Vec<u8>, u32>;

/// Reads the next request; `UnexpectedEof` when the kernel closed the socket.
pub(super) fn read_request(socket: &mut impl Read) -> io::Result<Request> {
    let mut header = [0; REQUEST_BYTES];
    socket.read_exact(&mut header)?;
    let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    if word(0) != REQUEST_MAGIC {
        return Err(io::Error::other("not an NBD request"));
    }
    let (kind, length) = (word(4), word(24));
    let action = match kind & 0xffff {
        0 => Action::Read,
        1 => {
            let mut data = vec![0; length as usize];
            socket.read_exact(&mut data)?;
            Action::Write {
                data,
                fua: kind & FUA != 0,
            }
        }
        2 => Action::Disconnect,
        3 => Action::Flush,
        4 => Action::Discard,
        other => {
            return Err(io::Error::other(format!(
                "NBD request {other} was not offered"
            )));
        }
    };
    Ok(Request {
        handle: header[8..16].try_into().expect("8 bytes"),
        offset: u64::from_be_bytes(header[16..24].try_into().expect("8 bytes")),
        length,
        action,
    })
}

/// Sends an answer.
pub(super) fn write_reply(
    socket: &mut impl Write,
    handle: [u8; 8],
    answered: &Answered,
) -> io::Result<()> {
    let (error, data) = match answered {
        Ok(data) => (0, data.as_slice()),
        Err(error) => (*error, &[][..]),
    };
    let mut reply = Vec::with_capacity(16 + data.len());
    reply.extend_from_slice(&REPLY_MAGIC.to_be_bytes());
    reply.extend_from_slice(&error.to_be_bytes());
    reply.extend_from_slice(&handle);
    reply.extend_from_slice(data);
    socket.write_all(&reply)
}
