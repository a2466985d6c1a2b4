//! The line in which requests wait for the worker.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Names a job while it waits or runs.
pub(crate) type JobId = u64;

/// A bounded queue that one worker takes jobs from.
///
/// A job that nobody wants any more leaves at once, so that it neither costs a place in the line
/// nor computes; that is why this is no channel.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(JobId, T)>,
    running: Option<JobId>,
    next_id: JobId,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    /// `capacity` jobs can wait beside the one that runs.
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { waiting: VecDeque::new(), running: None, next_id: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that runs under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end of the line.
    pub(crate) fn push(&self, job: T) -> Result<JobId, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.capacity {
            return Err(Refused::Full);
        }
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.push_back((id, job));
        self.changed.notify_one();
        Ok(id)
    }

    /// Waits for the next job, which runs until [`finished`](Self::finished) is called. `None`
    /// when the queue is closed.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((id, job)) = state.waiting.pop_front() {
                state.running = Some(id);
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that the job last taken has ended: no interrupt will come for it any more.
    pub(crate) fn finished(&self) {
        self.lock().running = None;
    }

    /// Takes a job out of the line, or calls `interrupt` if it is the one that runs. A job that
    /// has ended is left alone.
    pub(crate) fn cancel(&self, id: JobId, interrupt: impl FnOnce()) {
        let mut state = self.lock();
        if state.running == Some(id) {
            // Under the lock, so that it cannot hit the job after this one.
            interrupt();
            return;
        }
        let place = state.waiting.iter().position(|(waiting, _)| *waiting == id);
        let removed = place.and_then(|place| state.waiting.remove(place));
        drop(state);
        // A job may be large, and its destructor is not ours.
        drop(removed);
    }

    /// Takes no more jobs and returns those that still wait.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        state.waiting.drain(..).map(|(_, job)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    fn interrupts<T>(queue: &Queue<T>, id: JobId) -> bool {
        let interrupted = AtomicBool::new(false);
        queue.cancel(id, || interrupted.store(true, Ordering::Relaxed));
        interrupted.into_inner()
    }

    #[test]
    fn jobs_come_out_in_order() {
        let queue = Queue::new(2);
        queue.push("a").expect("room");
        queue.push("b").expect("room");
        assert_eq!(queue.push("c"), Err(Refused::Full));
        assert_eq!(queue.pop(), Some("a"));
        queue.push("c").expect("room again");
        assert_eq!((queue.pop(), queue.pop()), (Some("b"), Some("c")));
    }

    #[test]
    fn a_cancelled_job_leaves_the_line_and_frees_its_place() {
        let queue = Queue::new(2);
        queue.push("a").expect("room");
        let b = queue.push("b").expect("room");
        assert!(!interrupts(&queue, b));
        queue.push("c").expect("room");
        assert_eq!((queue.pop(), queue.pop()), (Some("a"), Some("c")));
    }

    #[test]
    fn only_the_running_job_is_interrupted() {
        let queue = Queue::new(2);
        let a = queue.push("a").expect("room");
        assert_eq!(queue.pop(), Some("a"));
        assert!(interrupts(&queue, a));
        queue.finished();
        assert!(!interrupts(&queue, a));
    }

    #[test]
    fn closing_hands_back_what_waits_and_wakes_the_worker() {
        let queue = Arc::new(Queue::new(2));
        let worker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || while queue.pop().is_some() {}
        });
        queue.close();
        worker.join().expect("the worker ends");
        assert_eq!(queue.push("a"), Err(Refused::Closed));

        let queue = Queue::new(2);
        queue.push("a").expect("room");
        assert_eq!(queue.close(), ["a"]);
        assert_eq!(queue.pop(), None);
    }
}
