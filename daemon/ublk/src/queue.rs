//! One queue of a device, and the thread that serves it.
//!
//! Owns: the ring of the thread, and its tasks, one for each request that the queue takes at a time.
//! Invariants: a task is polled when something that it awaits has come, and by this thread alone; what is
//! needed for that is made before the first request: an executor for any number of tasks would allocate
//! while it runs.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use io_uring::IoUring;
use io_uring::types::{SubmitArgs, Timespec};
use libublk::io::{BufDesc, UblkDev, UblkQueue, with_task_io_ring, with_task_io_ring_mut};
use libublk::uring_async::{ublk_reap_io_events_with_update_queue, ublk_wake_task};
use libublk::{UblkError, sys, ublk_init_task_ring};
use tier_sys::ring::register_buffers;

use crate::path::{Buffer, Data, Op, Request, Spare, serve};
use crate::volume::Volume;

/// Requests that a queue takes at a time.
pub(crate) const DEPTH: u16 = 64;
/// The largest request; the kernel splits what is larger.
pub(crate) const REQUEST_BYTES_MAX: u32 = 256 << 10;
/// Requests to members that one request has in flight at most, with the order that fetches the next.
pub(crate) const ORDERS_PER_REQUEST: u16 = 4;
/// Between two looks while the device goes.
const LOOK_NANOS: u32 = 10_000_000;
pub(crate) const SECTOR_BYTES_LOG: u8 = 9;

/// Serves one queue, on this thread, until the device goes.
pub(crate) fn serve_queue(id: u16, device: &UblkDev, volume: &Volume) -> Result<(), UblkError> {
    make_ring()?;
    let queue = UblkQueue::new(id, device)?;
    let bytes = usize::try_from(REQUEST_BYTES_MAX).unwrap_or(usize::MAX);
    let mut buffers: Vec<_> = queue.tags().map(|_| Buffer::new(bytes)).collect();
    let mut spare = Buffer::new(bytes);
    register(buffers.iter_mut().chain([&mut spare]));
    let spare = Spare::new(spare);
    let mut tasks = Tasks::default();
    for (tag, buffer) in queue.tags().zip(&buffers) {
        tasks.add(serve_tag(&queue, tag, volume, buffer, &spare));
    }
    tasks.run();
    while !(queue.is_stopping() && tasks.are_over()) {
        wait(&queue);
        ublk_reap_io_events_with_update_queue(&queue, false, None, |event| {
            ublk_wake_task(event.user_data(), event);
        })?;
        tasks.run();
    }
    Ok(())
}

/// Makes the thread's ring: where the kernel can (6.1 and later), as one that only this thread gives
/// orders to, and whose events come when it asks for them, and never in between.
fn make_ring() -> Result<(), UblkError> {
    let orders = u32::from(DEPTH * ORDERS_PER_REQUEST);
    let build = |is_deferred: bool| {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(orders);
        if is_deferred {
            builder.setup_single_issuer().setup_defer_taskrun();
        } else {
            builder.setup_coop_taskrun();
        }
        builder.build(orders)
    };
    ublk_init_task_ring(|ring| {
        let made = build(true).or_else(|_| build(false));
        let made = made.map_err(UblkError::IOError)?;
        ring.set(RefCell::new(made))
            .map_err(|_| UblkError::OtherError(-libc::EEXIST))
    })
}

/// Makes the memory known to the ring, where that can be: not all processes may have so much of it held.
fn register<'a>(buffers: impl Iterator<Item = &'a mut Buffer>) {
    let mut buffers: Vec<_> = buffers.collect();
    let memory: Vec<_> = buffers.iter().map(|one| one.memory.as_slice()).collect();
    if with_task_io_ring(|ring| register_buffers(ring, &memory)).is_ok() {
        for (place, buffer) in (0..).zip(&mut buffers) {
            buffer.place = Some(place);
        }
    }
}

/// Gives orders, and waits for the next event. What goes wrong shows in the events, or when the next
/// orders are given.
fn wait(queue: &UblkQueue<'_>) {
    let is_stopping = queue.is_stopping();
    with_task_io_ring_mut(|ring| {
        if is_stopping {
            let time = Timespec::new().nsec(LOOK_NANOS);
            let most = SubmitArgs::new().timespec(&time);
            let _ = ring.submitter().submit_with_args(1, &most);
        } else {
            let _ = ring.submit_and_wait(1);
        }
    });
}

/// The tasks of a queue, and which of them can go on: one bit each.
#[derive(Default)]
struct Tasks<'a> {
    tasks: Vec<Task<'a>>,
    ready: Arc<AtomicU64>,
}

struct Task<'a> {
    /// None once it is over.
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    waker: Waker,
}

/// Tells that a task can go on.
struct Bell {
    bit: u64,
    ready: Arc<AtomicU64>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.fetch_or(self.bit, Ordering::SeqCst);
    }
}

impl<'a> Tasks<'a> {
    /// One more, which can begin.
    fn add(&mut self, future: impl Future<Output = ()> + 'a) {
        const { assert!(DEPTH as u32 <= u64::BITS) };
        let bit = 1_u64.rotate_left(u32::try_from(self.tasks.len()).unwrap_or(0));
        let ready = Arc::clone(&self.ready);
        self.ready.fetch_or(bit, Ordering::SeqCst);
        self.tasks.push(Task {
            future: Some(Box::pin(future)),
            waker: Waker::from(Arc::new(Bell { bit, ready })),
        });
    }

    /// Polls all that can go on, until none can.
    fn run(&mut self) {
        loop {
            let mut ready = self.ready.swap(0, Ordering::SeqCst);
            if ready == 0 {
                return;
            }
            while ready != 0 {
                let at = usize::try_from(ready.trailing_zeros()).unwrap_or(usize::MAX);
                ready &= ready - 1;
                if let Some(task) = self.tasks.get_mut(at) {
                    task.poll();
                }
            }
        }
    }

    fn are_over(&self) -> bool {
        self.tasks.iter().all(|task| task.future.is_none())
    }
}

impl Task<'_> {
    fn poll(&mut self) {
        let mut context = Context::from_waker(&self.waker);
        let future = self.future.as_mut();
        if future.is_some_and(|future| future.as_mut().poll(&mut context).is_ready()) {
            self.future = None;
        }
    }
}

/// Serves one of a queue's requests after the other, from one buffer, until the device goes.
async fn serve_tag(
    queue: &UblkQueue<'_>,
    tag: u16,
    volume: &Volume,
    buffer: &Buffer,
    spare: &Spare,
) {
    let slice = || BufDesc::Slice(buffer.memory.as_slice());
    let mut fetched = queue
        .submit_io_prep_cmd(tag, slice(), 0, Some(&buffer.memory))
        .await;
    while fetched.is_ok() {
        let done = match request(queue.get_iod(tag)) {
            Some(request) => serve(volume, &request, Data::new(buffer), spare).await,
            None => -libc::EOPNOTSUPP,
        };
        fetched = queue.submit_io_commit_cmd(tag, slice(), done).await;
    }
}

/// What the kernel asks, if it is something that was offered.
fn request(asked: &sys::ublksrv_io_desc) -> Option<Request> {
    let op = match asked.op_flags & 0xff {
        sys::UBLK_IO_OP_READ => Op::Read,
        sys::UBLK_IO_OP_WRITE => Op::Write,
        sys::UBLK_IO_OP_FLUSH => Op::Flush,
        sys::UBLK_IO_OP_DISCARD => Op::Discard,
        sys::UBLK_IO_OP_WRITE_ZEROES => Op::WriteZeroes,
        _ => return None,
    };
    let sectors = u64::from(asked.nr_sectors);
    let start = asked.start_sector << SECTOR_BYTES_LOG;
    Some(Request {
        op,
        bytes: start..start + (sectors << SECTOR_BYTES_LOG),
        is_durable: asked.op_flags & sys::UBLK_IO_F_FUA != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// A task that counts how often it is polled, leaves its waker, and is over when told.
    async fn counted(polls: &Cell<u32>, left: &RefCell<Option<Waker>>, is_over: &Cell<bool>) {
        poll_fn(|context| {
            polls.set(polls.get() + 1);
            *left.borrow_mut() = Some(context.waker().clone());
            if is_over.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[test]
    fn a_task_is_polled_when_it_is_woken_and_no_longer_when_it_is_over() {
        let polls = [const { Cell::new(0) }; DEPTH as usize];
        let left = [const { RefCell::new(None) }; DEPTH as usize];
        let is_over = Cell::new(false);
        let mut tasks = Tasks::default();
        for (polls, left) in polls.iter().zip(&left) {
            tasks.add(counted(polls, left, &is_over));
        }
        let wake = |at: usize| left[at].borrow().as_ref().map(Waker::wake_by_ref).unwrap();
        let seen = || polls.each_ref().map(Cell::get);
        let mut wanted = [1; DEPTH as usize];
        tasks.run();
        assert_eq!(seen(), wanted, "each begins");
        tasks.run();
        assert_eq!(seen(), wanted, "nobody was woken");
        for at in [0, 63, 63, 7] {
            wake(at);
        }
        tasks.run();
        wanted[0] = 2;
        wanted[7] = 2;
        wanted[63] = 2;
        assert_eq!(seen(), wanted, "once, however often it is woken");
        is_over.set(true);
        for _twice in 0..2 {
            assert!(!tasks.are_over());
            wake(63);
            tasks.run();
            wanted[63] = 3;
            assert_eq!(seen(), wanted, "not once it is over");
        }
        (0..63).for_each(wake);
        tasks.run();
        assert!(tasks.are_over());
    }

    #[test]
    fn a_task_that_wakes_another_or_itself_is_followed_in_the_same_run() {
        let left = RefCell::new(None);
        let (polls, is_over) = (Cell::new(0), Cell::new(false));
        let mut tasks = Tasks::default();
        tasks.add(counted(&polls, &left, &is_over));
        tasks.add(async {
            is_over.set(true);
            let waker: Option<Waker> = left.take();
            waker.unwrap().wake();
        });
        tasks.run();
        assert!(tasks.are_over());
        assert_eq!(polls.get(), 2);
    }

    #[test]
    fn requests_are_what_the_kernel_asks() {
        let asked = |op, flags| sys::ublksrv_io_desc {
            op_flags: op | flags,
            start_sector: 8,
            ..Default::default()
        };
        let write = request(&asked(sys::UBLK_IO_OP_WRITE, sys::UBLK_IO_F_FUA)).unwrap();
        assert_eq!((write.op, write.is_durable), (Op::Write, true));
        assert_eq!(write.bytes.start, 4096);
        let read = request(&asked(sys::UBLK_IO_OP_READ, 0)).unwrap();
        assert_eq!((read.op, read.is_durable), (Op::Read, false));
        assert!(request(&asked(0xff, 0)).is_none());
    }
}
