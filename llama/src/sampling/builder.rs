use std::ffi::CString;
use std::marker::PhantomData;

use llama_sys as sys;

use super::Sampler;
use crate::{ChatSession, Error, Model, Result, Token};

/// A [`SamplerBuilder`] that does not know yet how to choose.
#[derive(Debug, Clone, Copy)]
pub struct NoSelector;

/// A [`SamplerBuilder`] that can build.
#[derive(Debug, Clone, Copy)]
pub struct Selector;

/// Describes a [`Sampler`].
///
/// The samplers run in llama-server's order whatever the order of the calls: logit bias,
/// penalties, top-k, top-p, min-p, temperature. What is not called does not run. A selector,
/// [`greedy`](Self::greedy) or [`seed`](Self::seed), is needed to build.
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
    penalties: Option<Penalties>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    temperature: Option<f32>,
    logit_bias: Vec<(Token, f32)>,
    grammar: Option<String>,
    greedy: bool,
    seed: u32,
    selector: PhantomData<S>,
}

#[derive(Debug, Clone, Copy)]
struct Penalties {
    last_n: u32,
    repeat: f32,
    frequency: f32,
    presence: f32,
}

impl Default for SamplerBuilder {
    fn default() -> Self {
        Self {
            penalties: None,
            top_k: None,
            top_p: None,
            min_p: None,
            temperature: None,
            logit_bias: Vec::new(),
            grammar: None,
            greedy: false,
            seed: sys::LLAMA_DEFAULT_SEED,
            selector: PhantomData,
        }
    }
}

impl<S> SamplerBuilder<S> {
    /// Makes tokens of the last `last_n` less likely: divides (or multiplies) their logits by
    /// `repeat` (1.0 does nothing), and subtracts `frequency` for each time and `presence` once
    /// (0.0 does nothing).
    pub fn penalties(mut self, last_n: u32, repeat: f32, frequency: f32, presence: f32) -> Self {
        self.penalties = Some(Penalties { last_n, repeat, frequency, presence });
        self
    }

    /// Keeps the `k` most likely tokens; 0 keeps all.
    pub fn top_k(mut self, k: u32) -> Self {
        self.top_k = Some(k);
        self
    }

    /// Keeps the most likely tokens that together have probability `p`; 1.0 keeps all.
    pub fn top_p(mut self, p: f32) -> Self {
        self.top_p = Some(p);
        self
    }

    /// Keeps tokens at least `p` times as likely as the most likely one; 0.0 keeps all.
    pub fn min_p(mut self, p: f32) -> Self {
        self.min_p = Some(p);
        self
    }

    /// Divides the logits: below 1.0 the text gets surer, above it more varied, and at 0.0 the
    /// most likely token is left.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Adds to the logit of a token; negative infinity forbids it.
    pub fn logit_bias(mut self, token: Token, bias: f32) -> Self {
        self.logit_bias.push((token, bias));
        self
    }

    /// Allows only text that this GBNF grammar, from its rule `root`, can produce.
    pub fn grammar(mut self, gbnf: impl Into<String>) -> Self {
        self.grammar = Some(gbnf.into());
        self
    }

    /// Selects the most likely token.
    pub fn greedy(self) -> SamplerBuilder<Selector> {
        SamplerBuilder { greedy: true, ..self.selected() }
    }

    /// Selects by drawing from what is left, reproducibly: the same seed gives the same text.
    pub fn seed(self, seed: u32) -> SamplerBuilder<Selector> {
        SamplerBuilder { seed, greedy: false, ..self.selected() }
    }

    /// Selects by drawing from what is left, with a seed that [`Sampler::seed`] tells.
    pub fn random(self) -> SamplerBuilder<Selector> {
        self.seed(sys::LLAMA_DEFAULT_SEED)
    }

    fn selected(self) -> SamplerBuilder<Selector> {
        SamplerBuilder {
            penalties: self.penalties,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            temperature: self.temperature,
            logit_bias: self.logit_bias,
            grammar: self.grammar,
            greedy: self.greedy,
            seed: self.seed,
            selector: PhantomData,
        }
    }
}

impl SamplerBuilder<Selector> {
    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for values out of range, [`Error::InvalidToken`] for a bias, and
    /// [`Error::Sampling`] for a grammar that does not parse.
    pub fn build(&self, model: &Model) -> Result<Sampler> {
        self.build_raw(model, std::ptr::null())
    }

    /// Builds the sampler for a reply in a chat: the grammar of its tools or its response format
    /// applies.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build); [`Error::ModelMismatch`] for a session of another model.
    pub fn build_for(&self, model: &Model, session: &ChatSession) -> Result<Sampler> {
        if !session.model().same(model) {
            return Err(Error::ModelMismatch { what: "chat session" });
        }
        self.build_raw(model, session.as_ptr())
    }

    fn build_raw(&self, model: &Model, chat: *const sys::shim_chat) -> Result<Sampler> {
        let vocab = model.vocab();
        let logit_bias = self
            .logit_bias
            .iter()
            .map(|&(token, bias)| Ok(sys::llama_logit_bias { token: vocab.check(token)?.0, bias }))
            .collect::<Result<Vec<_>>>()?;
        let grammar = self
            .grammar
            .as_deref()
            .map(CString::new)
            .transpose()
            .map_err(|_| Error::Nul { what: "the grammar" })?;
        let (order, mut params) = self.to_c()?;
        params.samplers = order.as_ptr();
        params.logit_bias = logit_bias.as_ptr();
        params.n_logit_bias = logit_bias.len();
        params.grammar = grammar.as_ref().map_or(std::ptr::null(), |g| g.as_ptr());
        // SAFETY: the pointers are of locals that outlive the call; the session, if any, is alive
        // and of this model.
        unsafe { Sampler::new(model, &params, chat) }
    }

    /// The parameters without pointers, and the order of the chain in llama-server's letters.
    fn to_c(&self) -> Result<(CString, sys::shim_sampling_params)> {
        // SAFETY: returns plain values.
        let mut params = unsafe { sys::shim_sampling_params_default() };
        let mut order = String::new();
        params.seed = self.seed;
        if let Some(p) = self.penalties {
            order.push('e');
            params.repeat_last_n = in_range("repeat_last_n", p.last_n)?;
            params.n_prev = params.n_prev.max(params.repeat_last_n);
            params.repeat_penalty = finite("repeat_penalty", p.repeat, f32::MIN_POSITIVE, f32::MAX)?;
            params.frequency_penalty = finite("frequency_penalty", p.frequency, f32::MIN, f32::MAX)?;
            params.presence_penalty = finite("presence_penalty", p.presence, f32::MIN, f32::MAX)?;
        }
        if let Some(k) = self.top_k {
            order.push('k');
            params.top_k = in_range("top_k", k)?;
        }
        if let Some(p) = self.top_p {
            order.push('p');
            params.top_p = finite("top_p", p, 0.0, 1.0)?;
        }
        if let Some(p) = self.min_p {
            order.push('m');
            params.min_p = finite("min_p", p, 0.0, 1.0)?;
        }
        if let Some(t) = self.temperature {
            order.push('t');
            params.temperature = finite("temperature", t, 0.0, f32::MAX)?;
        }
        if self.greedy {
            // llama.cpp selects greedily where the chain ends in temperature 0.
            order.retain(|c| c != 't');
            order.push('t');
            params.temperature = 0.0;
        }
        let order = CString::new(order).map_err(|_| Error::Nul { what: "the sampler order" })?;
        Ok((order, params))
    }
}

fn in_range(option: &'static str, value: u32) -> Result<i32> {
    i32::try_from(value)
        .map_err(|_| Error::Option { option, message: format!("{value} is more than {}", i32::MAX) })
}

fn finite(option: &'static str, value: f32, min: f32, max: f32) -> Result<f32> {
    if value.is_finite() && (min..=max).contains(&value) {
        return Ok(value);
    }
    let range = match (min, max) {
        (f32::MIN, f32::MAX) => "a finite number".to_owned(),
        (_, f32::MAX) if min > 0.0 => "greater than 0".to_owned(),
        (_, f32::MAX) => format!("at least {min}"),
        _ => format!("between {min} and {max}"),
    };
    Err(Error::Option { option, message: format!("{value} must be {range}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(builder: &SamplerBuilder<Selector>) -> String {
        builder.to_c().unwrap().0.into_string().unwrap()
    }

    #[test]
    fn the_chain_has_what_was_asked_for_in_llama_servers_order() {
        let all = Sampler::builder()
            .temperature(0.8)
            .min_p(0.05)
            .top_p(0.95)
            .top_k(40)
            .penalties(64, 1.1, 0.0, 0.0);
        assert_eq!(order(&all.clone().seed(1)), "ekpmt");
        assert_eq!(order(&Sampler::builder().top_k(40).seed(1)), "k");
        assert_eq!(order(&Sampler::builder().random()), "");
        assert_eq!(order(&all.greedy()), "ekpmt");
        assert_eq!(order(&Sampler::builder().greedy()), "t");
    }

    #[test]
    fn values_out_of_range_name_the_option() {
        let message = |b: SamplerBuilder| b.greedy().to_c().unwrap_err().to_string();
        assert_eq!(message(Sampler::builder().top_p(1.5)), "top_p: 1.5 must be between 0 and 1");
        assert_eq!(message(Sampler::builder().temperature(f32::NAN)), "temperature: NaN must be at least 0");
        assert_eq!(
            message(Sampler::builder().penalties(64, 0.0, 0.0, 0.0)),
            "repeat_penalty: 0 must be greater than 0"
        );
    }
}
