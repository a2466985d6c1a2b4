//! Generating text, with drafts that the model verifies several tokens at a time.

mod mtp;

use crate::{
    Batch, Chunk, Context, Error, InterruptHandle, Model, OutputId, Prompt, Result, Sampler, SeqId, Token,
};
use mtp::Mtp;

/// How to draft.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftOptions {
    n_max: u32,
    p_min: f32,
}

impl Default for DraftOptions {
    fn default() -> Self {
        Self { n_max: 3, p_min: 0.0 }
    }
}

impl DraftOptions {
    /// Most tokens drafted at a time; 3 by default, 0 drafts nothing.
    pub fn n_max(mut self, tokens: u32) -> Self {
        self.n_max = tokens;
        self
    }

    /// Stops a draft before a token less likely than this; 0.0, the default, never does.
    pub fn p_min(mut self, probability: f32) -> Self {
        self.p_min = probability;
        self
    }
}

/// How drafting went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftStats {
    /// Tokens drafted.
    pub n_drafted: u64,
    /// Drafted tokens that the model would have chosen too.
    pub n_accepted: u64,
    /// By position in the draft: how often it was drafted and how often accepted.
    pub by_position: Vec<(u64, u64)>,
}

impl DraftStats {
    /// Counts one draft.
    fn record(&mut self, drafted: usize, accepted: usize) {
        self.n_drafted += drafted as u64;
        self.n_accepted += accepted as u64;
        if self.by_position.len() < drafted {
            self.by_position.resize(drafted, (0, 0));
        }
        for (i, position) in self.by_position.iter_mut().take(drafted).enumerate() {
            position.0 += 1;
            position.1 += u64::from(i < accepted);
        }
    }
}

/// Where a generation stands.
#[derive(Debug)]
enum State {
    /// No prompt yet.
    Empty,
    /// The prompt is computed, and this output holds the logits of its last token.
    Prompted(OutputId),
    /// This token was chosen and is not computed yet.
    Chosen(Token),
    /// An end-of-generation token was chosen.
    Ended,
}

/// Generates one text, drafting ahead where there is a draft head: drafts, verifies, rolls back
/// and accepts inside [`next`](Self::next). The text is what it would be without drafts.
///
/// ```
/// # fn main() -> llama::Result<()> {
/// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-gemma4/");
/// # let file = |name| format!("{dir}{name}");
/// use llama::{DraftOptions, Model, Sampler, Speculative};
///
/// let model = Model::load(file("tiny-gemma4-moe-Q8_0.gguf"))?;
/// let head = Model::load(file("tiny-gemma4-moe-Q8_0-MTP.gguf"))?;
/// let context = model.context().n_ctx(4096).build()?;
/// let mut spec = Speculative::mtp(context, Some(&head), DraftOptions::default())?;
/// let mut sampler = Sampler::builder().greedy().build(&model)?;
/// spec.prompt_tokens(&model.vocab().tokenize("fn add(a: i32, b: i32) -> i32 {")?)?;
/// for _ in 0..8 {
///     let Some(tokens) = spec.next(&mut sampler)? else { break };
///     print!("{}", model.vocab().detokenize(&tokens, false)?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Speculative {
    // Before the context it reads: fields drop in order.
    drafter: Option<Mtp>,
    context: Context,
    options: DraftOptions,
    batch: Batch,
    state: State,
    /// Position of the next token.
    pos: u32,
    /// Failed after tokens of the same step had been chosen; told by the next step.
    failed: Option<Error>,
    stats: DraftStats,
}

impl Speculative {
    /// The one sequence that is generated.
    const SEQ: SeqId = SeqId(0);

    /// Drafts with a multi-token-prediction head: a file of its own for Gemma 4.
    ///
    /// # Errors
    ///
    /// [`Error::HeadMismatch`] for a head of another model, or a model without one;
    /// [`Error::Context`] when memory does not suffice.
    pub fn mtp(context: Context, head: Option<&Model>, options: DraftOptions) -> Result<Self> {
        let Some(head) = head else {
            return Err(Error::HeadMismatch(format!(
                "{}: no head was given, and heads inside the model are not supported yet",
                context.model().path().display()
            )));
        };
        let drafter = Mtp::new(&context, head)?;
        Ok(Self { drafter: Some(drafter), ..Self::with(context, options) })
    }

    /// Generates without drafts, by the same calls.
    pub fn off(context: Context) -> Self {
        Self::with(context, DraftOptions::default())
    }

    fn with(context: Context, options: DraftOptions) -> Self {
        Self {
            drafter: None,
            context,
            options,
            batch: Batch::new(),
            state: State::Empty,
            pos: 0,
            failed: None,
            stats: DraftStats::default(),
        }
    }

    /// The context that holds the text so far.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Tokens that the text takes in the context so far.
    pub fn n_past(&self) -> u32 {
        self.pos
    }

    /// Whether there is anything that drafts.
    pub fn is_drafting(&self) -> bool {
        self.drafter.is_some() && self.options.n_max > 0
    }

    /// Changes the most tokens drafted at a time, from the next step on.
    pub fn set_n_max(&mut self, tokens: u32) {
        self.options.n_max = tokens;
    }

    /// How drafting has gone since the prompt.
    pub fn stats(&self) -> &DraftStats {
        &self.stats
    }

    /// A handle that stops a running step from another thread.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.context.interrupt_handle()
    }

    /// Forgets the text.
    pub fn clear(&mut self) {
        self.context.clear();
        self.state = State::Empty;
        self.pos = 0;
        self.failed = None;
        self.stats = DraftStats::default();
    }

    /// Starts a new text with this prompt, computed here.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`], [`Error::PromptTooLong`] and [`Error::InvalidToken`] before
    /// anything is computed; what [`Context::decode`] returns after.
    pub fn prompt_tokens(&mut self, tokens: &[Token]) -> Result<()> {
        self.prompt(&Prompt::from(tokens.to_vec()))
    }

    /// Starts a new text with a prompt that may have images.
    ///
    /// # Errors
    ///
    /// As for [`prompt_tokens`](Self::prompt_tokens), and [`Error::Projector`] for images that the
    /// projector or the context's micro-batch cannot take.
    pub fn prompt(&mut self, prompt: &Prompt) -> Result<()> {
        self.clear();
        let n_ctx = self.context.n_ctx();
        if prompt.n_tokens() >= n_ctx as usize {
            return Err(Error::PromptTooLong { n_prompt: prompt.n_tokens(), n_ctx });
        }
        let Some(Chunk::Text(_)) = prompt.chunks().last() else {
            return Err(Error::EmptyPrompt);
        };
        let last = prompt.chunks().len() - 1;
        for (i, chunk) in prompt.chunks().iter().enumerate() {
            match chunk {
                Chunk::Text(tokens) => self.decode_text(tokens, i == last)?,
                Chunk::Media(media) => {
                    let rows = media.encode()?;
                    self.pos = media.decode(&mut self.context, &rows, self.pos, Self::SEQ)?;
                }
            }
        }
        Ok(())
    }

    /// Computes text of the prompt; with the logits of its last token if it is the prompt's end.
    fn decode_text(&mut self, tokens: &[Token], is_end: bool) -> Result<()> {
        self.batch.clear();
        let mut output = None;
        for (i, &token) in tokens.iter().enumerate() {
            let pos = self.pos + i as u32;
            if is_end && i + 1 == tokens.len() {
                output = Some(self.batch.push_output(token, pos, Self::SEQ));
            } else {
                self.batch.push(token, pos, Self::SEQ);
            }
        }
        self.context.decode(&self.batch)?;
        self.pos += tokens.len() as u32;
        if let Some(output) = output {
            if let Some(drafter) = &mut self.drafter {
                drafter.process(&self.context, &[output])?;
            }
            self.state = State::Prompted(output);
        }
        Ok(())
    }

    /// The next tokens: one, and as many more as were drafted and verified. `None` once the model
    /// has ended its text.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`] without a prompt; [`Error::ContextFull`]; [`Error::Sampling`] where a
    /// grammar leaves no token; what [`Context::decode`] returns. Tokens chosen before a failure
    /// are returned first.
    #[allow(clippy::should_implement_trait)] // takes the sampler: no iterator
    pub fn next(&mut self, sampler: &mut Sampler) -> Result<Option<Vec<Token>>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut chosen = Vec::new();
        let result = match self.state {
            State::Empty => return Err(Error::EmptyPrompt),
            State::Ended => return Ok(None),
            State::Prompted(output) => sampler.verify(&mut self.context, &[output], &[], &mut chosen),
            State::Chosen(last) => self.step(last, sampler, &mut chosen),
        };
        match result {
            Err(error) if chosen.is_empty() => return Err(error),
            result => self.failed = result.err(),
        }
        let vocab = self.context.model().vocab();
        if let Some(&last) = chosen.last() {
            self.state = State::Chosen(last);
            if vocab.is_eog(last)? {
                self.state = State::Ended;
                chosen.pop();
            }
        }
        Ok(if chosen.is_empty() { None } else { Some(chosen) })
    }

    /// Computes `last` together with a draft, and appends to `chosen` what the sampler makes of
    /// it.
    fn step(&mut self, last: Token, sampler: &mut Sampler, chosen: &mut Vec<Token>) -> Result<()> {
        let n_ctx = self.context.n_ctx();
        if self.pos >= n_ctx {
            return Err(Error::ContextFull { n_ctx });
        }
        let draft = self.draft(last, n_ctx - self.pos - 1)?;
        self.batch.clear();
        let outputs: Vec<OutputId> = (self.pos..)
            .zip(std::iter::once(&last).chain(&draft))
            .map(|(pos, &token)| self.batch.push_output(token, pos, Self::SEQ))
            .collect();
        if let Err(error) = self.context.decode(&self.batch) {
            // What was computed of the batch goes, so that the step can be taken again.
            self.context.remove(Self::SEQ, self.pos..)?;
            return Err(error);
        }
        if let Some(drafter) = &mut self.drafter {
            drafter.process(&self.context, &outputs)?;
        }
        let result = sampler.verify(&mut self.context, &outputs, &draft, chosen);
        let n_accepted = chosen.len().saturating_sub(1);
        if !draft.is_empty() {
            self.stats.record(draft.len(), n_accepted);
        }
        if let Some(drafter) = &mut self.drafter {
            drafter.accept(n_accepted)?;
        }
        self.pos += 1 + n_accepted as u32;
        if n_accepted < draft.len() {
            self.context.remove(Self::SEQ, self.pos..)?;
        }
        result
    }

    /// Up to `room` tokens that may follow `last`.
    fn draft(&mut self, last: Token, room: u32) -> Result<Vec<Token>> {
        let n_max = self.options.n_max.min(room).min(self.context.n_batch() - 1);
        match &mut self.drafter {
            Some(drafter) if n_max > 0 => drafter.draft(last, self.pos, n_max, self.options.p_min),
            _ => Ok(Vec::new()),
        }
    }
}
