//! Reads generated tokens as a reply: text, stop strings, and what the text means.

use std::time::{Duration, Instant};

use llama::{ChatSession, Delta, Finish, Token, TokenDecoder};

use crate::stop::StopMatcher;

/// The parser begins anew with the whole text each time, so that a long reply would end up doing
/// little else. Reading again only when this many times the last reading's duration has passed
/// keeps it at a fifth of the time; a short reply is read after every step all the same.
const REST: u32 = 4;

pub(crate) struct Reader {
    session: ChatSession,
    decoder: TokenDecoder,
    matcher: StopMatcher<Token>,
    /// Whether the session has text that was not read yet.
    unread: bool,
    read_at: Instant,
    cost: Duration,
}

impl Reader {
    pub(crate) fn new(session: ChatSession, stops: Vec<String>) -> Self {
        Self {
            decoder: session.decoder(),
            session,
            matcher: StopMatcher::new(stops),
            unread: false,
            read_at: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Adds a token. Returns whether a stop string ends the reply here.
    pub(crate) fn push(&mut self, token: Token) -> llama::Result<bool> {
        let (passed, stopped) = self.matcher.push(&self.decoder.push(token)?, token);
        self.add(passed)?;
        Ok(stopped)
    }

    /// What the tokens since the last call say, if it is time to look.
    pub(crate) fn deltas(&mut self) -> llama::Result<Vec<Delta>> {
        if self.read_at.elapsed() < self.cost * REST { Ok(Vec::new()) } else { self.read() }
    }

    /// Ends the reply. A character that the last token left unfinished is dropped.
    pub(crate) fn finish(mut self) -> llama::Result<Finish> {
        let matcher = std::mem::replace(&mut self.matcher, StopMatcher::new([]));
        self.add(matcher.finish())?;
        let mut deltas = self.read()?;
        let finish = self.session.finish();
        deltas.extend(finish.deltas);
        Ok(Finish { deltas, ..finish })
    }

    fn add(&mut self, pieces: Vec<(String, Token)>) -> llama::Result<()> {
        for (piece, token) in pieces {
            self.session.push(&piece, token)?;
            self.unread = true;
        }
        Ok(())
    }

    fn read(&mut self) -> llama::Result<Vec<Delta>> {
        if !std::mem::take(&mut self.unread) {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let deltas = self.session.read()?;
        self.read_at = Instant::now();
        self.cost = self.read_at.duration_since(started);
        Ok(deltas)
    }
}
