//! Owns: what the kernel is told about this thread.

use std::io;

/// `PR_SET_IO_FLUSHER` of include/uapi/linux/prctl.h, which libc does not name.
const PR_SET_IO_FLUSHER: libc::c_int = 57;

/// Tells the kernel that this thread serves block I/O (prctl(2), `PR_SET_IO_FLUSHER`): its
/// allocations then never wait for writeback, which may have to pass through the device it holds.
/// Threads that it starts afterwards inherit it. Fails with `EPERM` without `CAP_SYS_RESOURCE`,
/// and with `EINVAL` before Linux 5.6.
pub fn set_io_flusher() -> io::Result<()> {
    const SET: libc::c_ulong = 1;
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: PR_SET_IO_FLUSHER takes a flag and three zeros, and touches no memory of ours.
    let result = unsafe { libc::prctl(PR_SET_IO_FLUSHER, SET, UNUSED, UNUSED, UNUSED) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts this thread before all others of ordinary scheduling (setpriority(2), nice value -20; on
/// Linux it belongs to the thread, `pthreads(7)`). Threads that it starts afterwards inherit it.
/// Fails with `EACCES` without `CAP_SYS_NICE` and a limit `RLIMIT_NICE` that allows it.
pub fn run_before_others() -> io::Result<()> {
    const THIS_THREAD: libc::id_t = 0;
    const FIRST: libc::c_int = -20;
    // SAFETY: setpriority takes three numbers, and touches no memory of ours.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD, FIRST) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets this thread run only when no other wants to (sched(7), `SCHED_IDLE`), or else, where that is
/// forbidden, after all others of ordinary scheduling (nice value 19). Threads and processes that it
/// starts afterwards inherit it.
pub fn run_when_idle() -> io::Result<()> {
    const THIS_THREAD: libc::pid_t = 0;
    const LAST: libc::c_int = 19;
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler reads the parameter, which lives until it has returned.
    let result =
        unsafe { libc::sched_setscheduler(THIS_THREAD, libc::SCHED_IDLE, &raw const param) };
    if result == 0 {
        return Ok(());
    }
    // SAFETY: setpriority takes three numbers, and touches no memory of ours.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LAST) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 19 of a thread's `stat`, its nice value (proc(5)); the name may hold anything but a
    /// closing bracket followed by a space.
    fn nice_of_this_thread() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_name, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(16).unwrap().parse().unwrap()
    }

    /// Field 41: 5 is `SCHED_IDLE`.
    fn policy_of_this_thread() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_name, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(38).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_thread_that_asks_runs_when_idle() {
        let asked = std::thread::spawn(|| {
            run_when_idle().unwrap();
            (policy_of_this_thread(), nice_of_this_thread())
        });
        let (policy, nice) = asked.join().unwrap();
        assert!(policy == 5 || nice == 19, "policy {policy}, nice {nice}");
        assert_ne!(policy_of_this_thread(), 5);
    }

    #[test]
    fn only_the_thread_that_asks_runs_before_others() {
        let asked = std::thread::spawn(|| run_before_others().map(|()| nice_of_this_thread()));
        match asked.join().unwrap() {
            Ok(nice) => assert_eq!(nice, -20),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_ne!(nice_of_this_thread(), -20);
    }
}
