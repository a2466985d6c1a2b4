//! The thread that computes: it owns the context and answers one request after the other.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use llama::{Delta, InterruptHandle, Sampler, Speculative};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::queue::{JobId, Queue, Refused};
use crate::reader::Reader;
use crate::task::Task;
use crate::wire::completion::{DraftTimings, Measured};

/// Requests that wait beside the one that runs; more are told to come back later.
const MAX_WAITING: usize = 64;

/// What a reply consists of, in order: any number of steps, then `Done` or `Failed`.
#[derive(Debug)]
pub(crate) enum Event {
    Step { deltas: Vec<Delta>, measured: Measured },
    Done(Done),
    Failed(Failure),
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) end: End,
    /// Why the reply is no well-formed message, if it is none; its text was delivered as content.
    pub(crate) parse_error: Option<String>,
    pub(crate) measured: Measured,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The model was done, or a stop string came.
    Stop,
    /// The limit on tokens was reached, or the context is full.
    Length,
}

/// Why a reply ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    Llama(llama::Error),
    Panicked,
    ShuttingDown,
}

#[derive(Debug)]
struct Job {
    task: Task,
    /// Unbounded, so that a client that reads slowly cannot hold up the others; no longer than
    /// a reply, which the context bounds.
    events: UnboundedSender<Event>,
}

/// The thread and the line in front of it.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Arc<Queue<Job>>,
    interrupt: InterruptHandle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(crate) fn spawn(spec: Speculative) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(MAX_WAITING));
        let interrupt = spec.interrupt_handle();
        let mut generator = Generator { spec };
        let thread = thread::Builder::new().name("worker".into()).spawn({
            let queue = Arc::clone(&queue);
            let interrupt = interrupt.clone();
            move || {
                while let Some(job) = queue.pop() {
                    generator.answer(job);
                    queue.finished();
                    // One that came too late must not hit the next job.
                    interrupt.reset();
                }
            }
        })?;
        Ok(Self { queue, interrupt, thread: Mutex::new(Some(thread)) })
    }

    /// Puts a task in the line. Dropping the reply cancels it.
    pub(crate) fn submit(&self, task: Task) -> Result<Reply, Refused> {
        let (sender, events) = unbounded_channel();
        let id = self.queue.push(Job { task, events: sender })?;
        Ok(Reply { events, id, queue: Arc::clone(&self.queue), interrupt: self.interrupt.clone() })
    }

    /// Takes no more tasks and refuses those that wait; the one that runs goes on.
    pub(crate) fn close(&self) {
        for job in self.queue.close() {
            // Its client may be gone.
            let _ = job.events.send(Event::Failed(Failure::ShuttingDown));
        }
    }

    /// Waits for the task that runs and frees the context. To be called after
    /// [`close`](Self::close).
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the worker panicked");
        }
    }
}

/// A reply under way.
#[derive(Debug)]
pub(crate) struct Reply {
    events: UnboundedReceiver<Event>,
    id: JobId,
    queue: Arc<Queue<Job>>,
    interrupt: InterruptHandle,
}

impl Reply {
    /// The next event; after `Done` or `Failed` there is none.
    pub(crate) async fn next(&mut self) -> Event {
        // The sender only goes away without a last event if the worker's thread died.
        self.events.recv().await.unwrap_or(Event::Failed(Failure::Panicked))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.events.close();
        self.queue.cancel(self.id, || self.interrupt.interrupt());
    }
}

struct Generator {
    spec: Speculative,
}

impl Generator {
    /// Answers one request. Whatever happens in it ends with it.
    fn answer(&mut self, job: Job) {
        let Job { task, events } = job;
        let result = catch_unwind(AssertUnwindSafe(|| self.generate(task, &events)));
        let last = match result {
            Ok(Ok(Some(done))) => Event::Done(done),
            Ok(Ok(None)) => return,
            Ok(Err(e)) => {
                self.spec.clear();
                if !matches!(e, llama::Error::Interrupted) {
                    tracing::error!("a request failed: {e}");
                }
                Event::Failed(Failure::Llama(e))
            }
            Err(_) => {
                self.spec.clear();
                Event::Failed(Failure::Panicked)
            }
        };
        // Its client may be gone.
        let _ = events.send(last);
    }

    /// Generates a reply. `None` when its client went away.
    fn generate(
        &mut self,
        task: Task,
        events: &UnboundedSender<Event>,
    ) -> Result<Option<Done>, llama::Error> {
        let Task { session, prompt, mut sampler, stops, max_tokens } = task;
        let room = (self.spec.context().n_ctx() as usize).saturating_sub(prompt.n_tokens());
        let max_tokens = max_tokens.unwrap_or(room).min(room);
        let mut reader = Reader::new(session, stops);

        let mut meter = Meter::start(prompt.n_tokens());
        self.spec.prompt(&prompt)?;
        meter.prompt_done();

        let end = self.steps(&mut sampler, max_tokens, &mut reader, &mut meter, events);
        if matches!(end, Ok(None)) {
            return Ok(None);
        }
        // Also after a failure: what was generated until then is the client's.
        let finish = reader.finish()?;
        let measured = meter.read(&self.spec);
        if !finish.deltas.is_empty() {
            let _ = events.send(Event::Step { deltas: finish.deltas, measured });
        }
        let Some(end) = end? else { return Ok(None) };
        tracing::info!(
            prompt = measured.prompt_tokens,
            cached = measured.cached_tokens,
            generated = measured.predicted_tokens,
            "answered a request"
        );
        // A reply cut at its limit is cut in the middle of whatever it was saying.
        let parse_error = finish.parse_error.filter(|_| end == End::Stop);
        Ok(Some(Done { end, parse_error, measured }))
    }

    /// Generates until there is a reason to end, and sends what can be read of it on the way.
    /// `None` when the client went away.
    fn steps(
        &mut self,
        sampler: &mut Sampler,
        max_tokens: usize,
        reader: &mut Reader,
        meter: &mut Meter,
        events: &UnboundedSender<Event>,
    ) -> Result<Option<End>, llama::Error> {
        loop {
            if meter.n_predicted >= max_tokens {
                return Ok(Some(End::Length));
            }
            if events.is_closed() {
                return Ok(None);
            }
            let tokens = match self.spec.next(sampler) {
                Ok(Some(tokens)) => tokens,
                Ok(None) => {
                    // The token that said so counts too, as in llama-server.
                    meter.n_predicted += 1;
                    return Ok(Some(End::Stop));
                }
                Err(llama::Error::ContextFull { .. }) => return Ok(Some(End::Length)),
                Err(e) => return Err(e),
            };
            // Of a step with drafts, more may come than was asked for.
            for token in tokens.into_iter().take(max_tokens - meter.n_predicted) {
                meter.n_predicted += 1;
                if reader.push(token)? {
                    return Ok(Some(End::Stop));
                }
            }
            let deltas = reader.deltas()?;
            if !deltas.is_empty() {
                let _ = events.send(Event::Step { deltas, measured: meter.read(&self.spec) });
            }
        }
    }
}

/// Counts and times one reply.
struct Meter {
    started: Instant,
    first_token: Option<Instant>,
    prompt_tokens: usize,
    n_predicted: usize,
}

impl Meter {
    fn start(prompt_tokens: usize) -> Self {
        Self { started: Instant::now(), first_token: None, prompt_tokens, n_predicted: 0 }
    }

    fn prompt_done(&mut self) {
        self.first_token = Some(Instant::now());
    }

    fn read(&self, spec: &Speculative) -> Measured {
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
        let now = Instant::now();
        let first_token = self.first_token.unwrap_or(now);
        Measured {
            prompt_tokens: self.prompt_tokens,
            // Each prompt is computed from its start.
            cached_tokens: 0,
            prompt_ms: ms(self.started, first_token),
            predicted_tokens: self.n_predicted,
            predicted_ms: ms(first_token, now),
            draft: spec.is_drafting().then(|| DraftTimings {
                draft_n: spec.stats().n_drafted,
                draft_n_accepted: spec.stats().n_accepted,
            }),
        }
    }
}
