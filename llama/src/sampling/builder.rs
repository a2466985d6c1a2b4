use std::marker::PhantomData;

use llama_sys as sys;

use super::Sampler;
use super::settings::{Dry, Penalties, Selection, Settings, Xtc};
use crate::{ChatSession, Model, Result, Token};

/// A [`SamplerBuilder`] that does not know yet how to choose.
#[derive(Debug, Clone, Copy)]
pub struct NoSelector;

/// A [`SamplerBuilder`] that can build.
#[derive(Debug, Clone, Copy)]
pub struct Selector;

/// Describes a [`Sampler`].
///
/// The samplers run in llama-server's order whatever the order of the calls: logit bias,
/// penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature. What is not called
/// does not run. A selector is needed to build: [`greedy`](Self::greedy), [`seed`](Self::seed),
/// [`random`](Self::random), [`mirostat`](Self::mirostat), [`mirostat_v2`](Self::mirostat_v2) or
/// [`adaptive_p`](Self::adaptive_p).
///
/// ```
/// # fn main() -> llama::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-gemma4/tiny-gemma4-moe-Q8_0.gguf");
/// # let model = llama::Model::load(path)?;
/// let sampler = llama::Sampler::builder().top_k(64).top_p(0.95).temperature(1.0).seed(7).build(&model)?;
/// assert_eq!(sampler.seed(), 7);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SamplerBuilder<S = NoSelector> {
    settings: Settings,
    selector: PhantomData<S>,
}

impl Default for SamplerBuilder {
    fn default() -> Self {
        Self { settings: Settings::default(), selector: PhantomData }
    }
}

impl<S> SamplerBuilder<S> {
    /// Makes tokens of the last `last_n` less likely: divides (or multiplies) their logits by
    /// `repeat` (1.0 does nothing), and subtracts `frequency` for each time and `presence` once
    /// (0.0 does nothing).
    pub fn penalties(mut self, last_n: u32, repeat: f32, frequency: f32, presence: f32) -> Self {
        self.settings.penalties = Some(Penalties { last_n, repeat, frequency, presence });
        self
    }

    /// Makes repetition of longer sequences less likely ("don't repeat yourself"): a token that
    /// would go on with a sequence seen in the last `last_n`, longer than `allowed_length`, loses
    /// `multiplier * base ^ (length - allowed_length)`. Sequences end at the strings in `breakers`.
    pub fn dry(
        mut self,
        multiplier: f32,
        base: f32,
        allowed_length: u32,
        last_n: u32,
        breakers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let breakers = breakers.into_iter().map(Into::into).collect();
        self.settings.dry = Some(Dry { multiplier, base, allowed_length, last_n, breakers });
        self
    }

    /// Keeps tokens whose logit is within `n` standard deviations of the highest.
    pub fn top_n_sigma(mut self, n: f32) -> Self {
        self.settings.top_n_sigma = Some(n);
        self
    }

    /// Keeps the `k` most likely tokens; 0 keeps all.
    pub fn top_k(mut self, k: u32) -> Self {
        self.settings.top_k = Some(k);
        self
    }

    /// Keeps tokens whose information is closest to the distribution's entropy, together with
    /// probability `p`; 1.0 keeps all.
    pub fn typical(mut self, p: f32) -> Self {
        self.settings.typical = Some(p);
        self
    }

    /// Keeps the most likely tokens that together have probability `p`; 1.0 keeps all.
    pub fn top_p(mut self, p: f32) -> Self {
        self.settings.top_p = Some(p);
        self
    }

    /// Keeps tokens at least `p` times as likely as the most likely one; 0.0 keeps all.
    pub fn min_p(mut self, p: f32) -> Self {
        self.settings.min_p = Some(p);
        self
    }

    /// With this probability, drops all tokens more likely than `threshold` but the least likely
    /// of them ("exclude top choices").
    pub fn xtc(mut self, probability: f32, threshold: f32) -> Self {
        self.settings.xtc = Some(Xtc { probability, threshold });
        self
    }

    /// Divides the logits: below 1.0 the text gets surer, above it more varied, and at 0.0 the
    /// most likely token is left.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.settings.temperature = Some(temperature);
        self
    }

    /// Lets the temperature move by up to `range` to either side, with the entropy of the
    /// distribution to the power of `exponent`. Needs a [`temperature`](Self::temperature).
    pub fn dynamic_temperature(mut self, range: f32, exponent: f32) -> Self {
        self.settings.dynamic = Some((range, exponent));
        self
    }

    /// Joins tokens that begin alike and prefers an end, for text that fills a gap between others.
    pub fn infill(mut self) -> Self {
        self.settings.infill = true;
        self
    }

    /// Lets the samplers that cut keep at least so many tokens.
    pub fn min_keep(mut self, tokens: u32) -> Self {
        self.settings.min_keep = tokens;
        self
    }

    /// Adds to the logit of a token; negative infinity forbids it.
    pub fn logit_bias(mut self, token: Token, bias: f32) -> Self {
        self.settings.logit_bias.push((token, bias));
        self
    }

    /// Allows only text that this GBNF grammar, from its rule `root`, can produce.
    pub fn grammar(mut self, gbnf: impl Into<String>) -> Self {
        self.settings.grammar = Some(gbnf.into());
        self
    }

    /// Selects the most likely token.
    pub fn greedy(self) -> SamplerBuilder<Selector> {
        self.select(Selection::Greedy)
    }

    /// Selects by drawing from what is left, reproducibly: the same seed gives the same text.
    pub fn seed(self, seed: u32) -> SamplerBuilder<Selector> {
        self.select(Selection::Draw { seed })
    }

    /// Selects by drawing from what is left, with a seed that [`Sampler::seed`] tells.
    pub fn random(self) -> SamplerBuilder<Selector> {
        self.seed(sys::LLAMA_DEFAULT_SEED)
    }

    /// Selects so that each token surprises by about `tau` bits, corrected at the rate `eta`. Of
    /// the other samplers, only logit bias, grammar and temperature run beside it.
    pub fn mirostat(self, tau: f32, eta: f32, seed: u32) -> SamplerBuilder<Selector> {
        self.select(Selection::Mirostat { version: 1, tau, eta, seed })
    }

    /// The simpler second version of [`mirostat`](Self::mirostat).
    pub fn mirostat_v2(self, tau: f32, eta: f32, seed: u32) -> SamplerBuilder<Selector> {
        self.select(Selection::Mirostat { version: 2, tau, eta, seed })
    }

    /// Selects tokens of about the probability `target`, corrected by what was selected before:
    /// `decay` of 0.9 looks back on about 10 tokens.
    pub fn adaptive_p(self, target: f32, decay: f32, seed: u32) -> SamplerBuilder<Selector> {
        self.select(Selection::AdaptiveP { target, decay, seed })
    }

    fn select(self, selection: Selection) -> SamplerBuilder<Selector> {
        SamplerBuilder { settings: Settings { selection, ..self.settings }, selector: PhantomData }
    }
}

impl SamplerBuilder<Selector> {
    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// [`Error::Option`](crate::Error::Option) for values out of range, [`Error::InvalidToken`](crate::Error::InvalidToken) for a bias, and
    /// [`Error::Sampling`](crate::Error::Sampling) for a grammar that does not parse.
    pub fn build(&self, model: &Model) -> Result<Sampler> {
        Sampler::new(model, &self.settings, None)
    }

    /// Builds the sampler for a reply in a chat: the grammar of its tools or its response format
    /// applies.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build); [`Error::ModelMismatch`](crate::Error::ModelMismatch) for a session of another model.
    pub fn build_for(&self, model: &Model, session: &ChatSession) -> Result<Sampler> {
        Sampler::new(model, &self.settings, Some(session))
    }
}
