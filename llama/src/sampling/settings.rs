use llama_sys as sys;

use crate::{Error, Result, Token};

/// What a [`SamplerBuilder`](super::SamplerBuilder) was told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) penalties: Option<Penalties>,
    pub(super) dry: Option<Dry>,
    pub(super) top_n_sigma: Option<f32>,
    pub(super) top_k: Option<u32>,
    pub(super) typical: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) min_p: Option<f32>,
    pub(super) xtc: Option<Xtc>,
    pub(super) temperature: Option<f32>,
    /// Range and exponent.
    pub(super) dynamic: Option<(f32, f32)>,
    pub(super) infill: bool,
    pub(super) min_keep: u32,
    pub(super) logit_bias: Vec<(Token, f32)>,
    pub(super) grammar: Option<String>,
    pub(super) selection: Selection,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Penalties {
    pub(super) last_n: u32,
    pub(super) repeat: f32,
    pub(super) frequency: f32,
    pub(super) presence: f32,
}

#[derive(Debug, Clone)]
pub(super) struct Dry {
    pub(super) multiplier: f32,
    pub(super) base: f32,
    pub(super) allowed_length: u32,
    pub(super) last_n: u32,
    pub(super) breakers: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Xtc {
    pub(super) probability: f32,
    pub(super) threshold: f32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Selection {
    Greedy,
    Draw { seed: u32 },
    Mirostat { version: i32, tau: f32, eta: f32, seed: u32 },
    AdaptiveP { target: f32, decay: f32, seed: u32 },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            penalties: None,
            dry: None,
            top_n_sigma: None,
            top_k: None,
            typical: None,
            top_p: None,
            min_p: None,
            xtc: None,
            temperature: None,
            dynamic: None,
            infill: false,
            min_keep: 0,
            logit_bias: Vec::new(),
            grammar: None,
            selection: Selection::Draw { seed: sys::LLAMA_DEFAULT_SEED },
        }
    }
}

impl Settings {
    /// Sets the parameters that hold no pointers, and returns the order of the chain in
    /// llama-server's letters.
    pub(super) fn apply(&self, params: &mut sys::shim_sampling_params) -> Result<String> {
        let mut order = String::new();
        params.min_keep = in_range("min_keep", self.min_keep)?;
        if let Some(p) = self.penalties {
            order.push('e');
            params.repeat_last_n = in_range("repeat_last_n", p.last_n)?;
            params.n_prev = params.n_prev.max(params.repeat_last_n);
            params.repeat_penalty = within("repeat_penalty", p.repeat, f32::MIN_POSITIVE, f32::MAX)?;
            params.frequency_penalty = within("frequency_penalty", p.frequency, f32::MIN, f32::MAX)?;
            params.presence_penalty = within("presence_penalty", p.presence, f32::MIN, f32::MAX)?;
        }
        if let Some(dry) = &self.dry {
            order.push('d');
            params.dry_multiplier = within("dry_multiplier", dry.multiplier, 0.0, f32::MAX)?;
            params.dry_base = within("dry_base", dry.base, 0.0, f32::MAX)?;
            params.dry_allowed_length = in_range("dry_allowed_length", dry.allowed_length)?;
            params.dry_penalty_last_n = in_range("dry_penalty_last_n", dry.last_n)?;
        }
        if let Some(n) = self.top_n_sigma {
            order.push('s');
            params.top_n_sigma = within("top_n_sigma", n, f32::MIN, f32::MAX)?;
        }
        if let Some(k) = self.top_k {
            order.push('k');
            params.top_k = in_range("top_k", k)?;
        }
        if let Some(p) = self.typical {
            order.push('y');
            params.typical_p = within("typical_p", p, 0.0, 1.0)?;
        }
        if let Some(p) = self.top_p {
            order.push('p');
            params.top_p = within("top_p", p, 0.0, 1.0)?;
        }
        if let Some(p) = self.min_p {
            order.push('m');
            params.min_p = within("min_p", p, 0.0, 1.0)?;
        }
        if let Some(xtc) = self.xtc {
            order.push('x');
            params.xtc_probability = within("xtc_probability", xtc.probability, 0.0, 1.0)?;
            params.xtc_threshold = within("xtc_threshold", xtc.threshold, 0.0, 1.0)?;
        }
        if self.infill {
            order.push('i');
        }
        self.set_temperature(&mut order, params)?;
        self.set_selection(&mut order, params)?;
        Ok(order)
    }

    fn set_temperature(&self, order: &mut String, params: &mut sys::shim_sampling_params) -> Result<()> {
        if let Some(t) = self.temperature {
            order.push('t');
            params.temperature = within("temperature", t, 0.0, f32::MAX)?;
        }
        if let Some((range, exponent)) = self.dynamic {
            if self.temperature.is_none() {
                return Err(Error::Option {
                    option: "dynatemp_range",
                    message: "a dynamic temperature needs a temperature to move around".into(),
                });
            }
            params.dynatemp_range = within("dynatemp_range", range, 0.0, f32::MAX)?;
            params.dynatemp_exponent = within("dynatemp_exponent", exponent, 0.0, f32::MAX)?;
        }
        Ok(())
    }

    fn set_selection(&self, order: &mut String, params: &mut sys::shim_sampling_params) -> Result<()> {
        match self.selection {
            Selection::Greedy => {
                // llama.cpp selects greedily where the chain ends in temperature 0.
                order.retain(|c| c != 't');
                order.push('t');
                params.temperature = 0.0;
                params.dynatemp_range = 0.0;
            }
            Selection::Draw { seed } => params.seed = seed,
            Selection::Mirostat { version, tau, eta, seed } => {
                params.mirostat = version;
                params.mirostat_tau = within("mirostat_tau", tau, 0.0, f32::MAX)?;
                params.mirostat_eta = within("mirostat_eta", eta, 0.0, f32::MAX)?;
                params.temperature = self.temperature.map_or(1.0, |_| params.temperature);
                params.seed = seed;
            }
            Selection::AdaptiveP { target, decay, seed } => {
                order.push('a');
                params.adaptive_target = within("adaptive_target", target, 0.0, 1.0)?;
                params.adaptive_decay = within("adaptive_decay", decay, 0.0, 0.99)?;
                params.seed = seed;
            }
        }
        Ok(())
    }
}

fn in_range(option: &'static str, value: u32) -> Result<i32> {
    i32::try_from(value)
        .map_err(|_| Error::Option { option, message: format!("{value} is more than {}", i32::MAX) })
}

fn within(option: &'static str, value: f32, min: f32, max: f32) -> Result<f32> {
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

    fn apply(settings: &Settings) -> Result<String> {
        // SAFETY: returns plain values.
        settings.apply(&mut unsafe { sys::shim_sampling_params_default() })
    }

    fn order(settings: &Settings) -> String {
        apply(settings).unwrap()
    }

    fn message(settings: &Settings) -> String {
        apply(settings).unwrap_err().to_string()
    }

    #[test]
    fn the_chain_has_what_was_asked_for_in_llama_servers_order() {
        let all = Settings {
            penalties: Some(Penalties { last_n: 64, repeat: 1.1, frequency: 0.0, presence: 0.0 }),
            dry: Some(Dry { multiplier: 0.8, base: 1.75, allowed_length: 2, last_n: 64, breakers: vec![] }),
            top_n_sigma: Some(1.0),
            top_k: Some(40),
            typical: Some(0.9),
            top_p: Some(0.95),
            min_p: Some(0.05),
            xtc: Some(Xtc { probability: 0.5, threshold: 0.1 }),
            temperature: Some(0.8),
            ..Settings::default()
        };
        assert_eq!(order(&all), "edskypmxt");
        assert_eq!(order(&Settings { selection: Selection::Greedy, ..all.clone() }), "edskypmxt");
        let adaptive = Selection::AdaptiveP { target: 0.3, decay: 0.9, seed: 1 };
        assert_eq!(order(&Settings { selection: adaptive, ..all }), "edskypmxta");
        assert_eq!(order(&Settings::default()), "");
        assert_eq!(order(&Settings { selection: Selection::Greedy, ..Settings::default() }), "t");
    }

    #[test]
    fn values_out_of_range_name_the_option() {
        let top_p = Settings { top_p: Some(1.5), ..Settings::default() };
        assert_eq!(message(&top_p), "top_p: 1.5 must be between 0 and 1");
        let hot = Settings { temperature: Some(f32::NAN), ..Settings::default() };
        assert_eq!(message(&hot), "temperature: NaN must be at least 0");
        let penalties = Penalties { last_n: 64, repeat: 0.0, frequency: 0.0, presence: 0.0 };
        let zero = Settings { penalties: Some(penalties), ..Settings::default() };
        assert_eq!(message(&zero), "repeat_penalty: 0 must be greater than 0");
        let moving = Settings { dynamic: Some((0.5, 1.0)), ..Settings::default() };
        assert!(message(&moving).starts_with("dynatemp_range: "));
    }
}
