//! Waiting in tokio until a descriptor of the kernel's is readable.
//!
//! Owns: [`Readable`], which makes the contract of tokio's `AsyncFd` (the descriptor stays open and
//! the same) hold by owning the descriptor and showing it to nobody.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that can be waited for. It is owned; what it stands for is read through another.
#[derive(Debug)]
pub struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers the descriptor with the running tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned by the `AsyncFd` alone, which closes it when it is
        // dropped, and `OwnedFd::as_raw_fd` gives the same number every time.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self(fd?))
    }

    /// Waits until the descriptor is readable, and takes note that this was seen: the next call
    /// waits for the next time. So what can be read has to be read, to its end, after this.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_arrival_is_told_once() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let ready = Readable::new(near.try_clone().unwrap().into()).unwrap();
            let short = Duration::from_millis(50);
            assert!(tokio::time::timeout(short, ready.wait()).await.is_err());
            far.write_all(b"x").unwrap();
            ready.wait().await.unwrap();
            near.read_exact(&mut [0]).unwrap();
            assert!(tokio::time::timeout(short, ready.wait()).await.is_err());
        });
    }
}
