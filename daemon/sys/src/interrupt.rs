//! Owns: putting a bound on a system call that has none.
//!
//! Suspending a device-mapper device waits for all I/O in flight on it. That wait is
//! interruptible (`dm_wait_for_completion` in `drivers/md/dm.c`): a signal ends it with `EINTR`
//! and the kernel undoes what it had begun. So a timer of our own, armed around the call, bounds
//! it.
//!
//! Invariants: the handler does nothing and is installed without `SA_RESTART`; the timer repeats
//! until it is disarmed, so that a first signal which comes before the call is entered is not the
//! last; the signal goes to the arming thread alone.

use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, zeroed};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

/// Between the deadline's first signal and each of those that follow.
const REPEAT: Duration = Duration::from_millis(10);

/// A timer that, while armed, makes blocking calls of its thread return `EINTR` once its deadline
/// has passed. It belongs to the thread that made it.
#[derive(Debug)]
pub struct Deadline {
    timer: libc::timer_t,
    /// The kernel aims the signal at the thread that made the timer.
    not_send: PhantomData<*const ()>,
}

/// While it lives, the deadline runs; dropped, it is disarmed.
#[derive(Debug)]
pub struct Armed<'deadline> {
    deadline: &'deadline Deadline,
}

impl Deadline {
    /// Makes a timer for the calling thread, and lets its signal through to this thread. Do this
    /// before the call that is to be bounded; arming takes one system call and no memory.
    pub fn for_this_thread() -> io::Result<Self> {
        let signal = install_handler()?;
        unblock(signal)?;
        // SAFETY: sigevent is a plain C struct for which all zeros is a value.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        // SAFETY: gettid has no preconditions.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = MaybeUninit::uninit();
        // SAFETY: both pointers are to live locals of the types that timer_create wants.
        let made = unsafe {
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, timer.as_mut_ptr())
        };
        if made != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: timer_create returned 0, so it has written the timer's id.
        let timer = unsafe { timer.assume_init() };
        Ok(Self {
            timer,
            not_send: PhantomData,
        })
    }

    /// Starts the clock: after `limit`, and every 10 ms from then on, blocking calls of this
    /// thread are interrupted until the returned guard is dropped.
    pub fn arm(&self, limit: Duration) -> io::Result<Armed<'_>> {
        // A first expiry of zero would disarm the timer (timer_settime(2)).
        self.set(limit.max(Duration::from_nanos(1)), REPEAT)?;
        Ok(Armed { deadline: self })
    }

    fn set(&self, first: Duration, repeat: Duration) -> io::Result<()> {
        let setting = libc::itimerspec {
            it_interval: timespec(repeat),
            it_value: timespec(first),
        };
        // SAFETY: the timer lives as long as self; the pointers are to a live local and null,
        // which timer_settime takes for "the old setting is not wanted".
        let result =
            unsafe { libc::timer_settime(self.timer, 0, &raw const setting, ptr::null_mut()) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // SAFETY: the timer was made by timer_create and is deleted only here.
        unsafe { libc::timer_delete(self.timer) };
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        // Disarming a timer that exists cannot fail (timer_settime(2) fails for bad arguments
        // alone), and there is nobody to tell here.
        let _ = self.deadline.set(Duration::ZERO, Duration::ZERO);
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    }
}

extern "C" fn do_nothing(_: libc::c_int) {}

/// Installs the handler once per process and gives the signal's number: one below the last
/// real-time signal, away from those that the C library and systemd use (the first ones).
fn install_handler() -> io::Result<libc::c_int> {
    static OUTCOME: OnceLock<Result<(), i32>> = OnceLock::new();
    let signal = libc::SIGRTMAX() - 1;
    let outcome = OUTCOME.get_or_init(|| {
        // SAFETY: sigaction is a plain C struct for which all zeros is a value (no flags, so no
        // SA_RESTART, and an empty mask).
        let mut action: libc::sigaction = unsafe { zeroed() };
        let handler: extern "C" fn(libc::c_int) = do_nothing;
        action.sa_sigaction = handler as libc::sighandler_t;
        // SAFETY: the handler is async-signal-safe, as it does nothing, and lives for ever.
        let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EINVAL))
        }
    });
    outcome
        .map(|()| signal)
        .map_err(io::Error::from_raw_os_error)
}

fn unblock(signal: libc::c_int) -> io::Result<()> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised just above, and the signal's number is valid.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: the set is initialised; null says that the old mask is not wanted.
    let error = unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut()) };
    if error == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

/// All signals that can be kept away, kept away from this thread while it lives.
///
/// For the one wait that must not be interrupted: see `backend::dm` on suspending a mirror.
pub struct SignalsHeldBack {
    before: libc::sigset_t,
    not_send: PhantomData<*const ()>,
}

impl SignalsHeldBack {
    /// Blocks every signal in this thread. `SIGKILL` and `SIGSTOP` cannot be blocked.
    pub fn in_this_thread() -> io::Result<Self> {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        let mut before = MaybeUninit::uninit();
        // SAFETY: the first set is initialised, the second is written by the call.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: pthread_sigmask returned 0, so it has written the old mask.
        let before = unsafe { before.assume_init() };
        Ok(Self {
            before,
            not_send: PhantomData,
        })
    }
}

impl Drop for SignalsHeldBack {
    fn drop(&mut self) {
        // SAFETY: the set came from pthread_sigmask; null says the present mask is not wanted.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    use std::time::Instant;

    use super::*;

    /// read(2) itself: `std::io::Read` on a pipe hands `EINTR` on as well, but says so nowhere.
    fn read_once(pipe: &impl std::os::fd::AsRawFd) -> io::Result<isize> {
        let mut byte = 0_u8;
        // SAFETY: the buffer is one live byte.
        let count = unsafe { libc::read(pipe.as_raw_fd(), (&raw mut byte).cast(), 1) };
        if count < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(count)
        }
    }

    #[test]
    fn a_call_that_blocks_is_interrupted_after_its_deadline() {
        let (reader, _writer) = io::pipe().unwrap();
        let deadline = Deadline::for_this_thread().unwrap();
        for _ in 0..3 {
            let start = Instant::now();
            let armed = deadline.arm(Duration::from_millis(20)).unwrap();
            let error = read_once(&reader).unwrap_err();
            drop(armed);
            assert_eq!(error.raw_os_error(), Some(libc::EINTR));
            assert!(start.elapsed() >= Duration::from_millis(20));
        }
    }

    #[test]
    fn a_deadline_that_passed_before_the_call_still_interrupts_it() {
        let (reader, _writer) = io::pipe().unwrap();
        let deadline = Deadline::for_this_thread().unwrap();
        let _armed = deadline.arm(Duration::ZERO).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        assert_eq!(
            read_once(&reader).unwrap_err().raw_os_error(),
            Some(libc::EINTR)
        );
    }

    #[test]
    fn a_disarmed_deadline_interrupts_nothing() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let deadline = Deadline::for_this_thread().unwrap();
        drop(deadline.arm(Duration::from_millis(5)).unwrap());
        let answer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            io::Write::write_all(&mut writer, b"x")
        });
        assert!(reader.as_raw_fd() >= 0);
        assert_eq!(read_once(&reader).unwrap(), 1);
        answer.join().unwrap().unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn held_back_signals_do_not_interrupt() {
        let (reader, mut writer) = io::pipe().unwrap();
        let deadline = Deadline::for_this_thread().unwrap();
        let held_back = SignalsHeldBack::in_this_thread().unwrap();
        let _armed = deadline.arm(Duration::from_millis(5)).unwrap();
        let answer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            io::Write::write_all(&mut writer, b"x")
        });
        assert_eq!(read_once(&reader).unwrap(), 1);
        drop(held_back);
        answer.join().unwrap().unwrap();
    }
}
