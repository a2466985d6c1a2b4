#include "chat.hpp"

#include "sampling.h"

struct shim_sampler {
    common_sampler_ptr  ptr;
    const llama_vocab * vocab;
};

namespace {

common_params_sampling to_common(const shim_sampling_params & p) {
    common_params_sampling s;
    s.seed              = p.seed;
    s.n_prev            = p.n_prev;
    s.n_probs           = p.n_probs;
    s.min_keep          = p.min_keep;
    s.top_k             = p.top_k;
    s.top_p             = p.top_p;
    s.min_p             = p.min_p;
    s.xtc_probability   = p.xtc_probability;
    s.xtc_threshold     = p.xtc_threshold;
    s.typ_p             = p.typical_p;
    s.temp              = p.temperature;
    s.dynatemp_range    = p.dynatemp_range;
    s.dynatemp_exponent = p.dynatemp_exponent;
    s.penalty_last_n    = p.repeat_last_n;
    s.penalty_repeat    = p.repeat_penalty;
    s.penalty_freq      = p.frequency_penalty;
    s.penalty_present   = p.presence_penalty;
    s.top_n_sigma       = p.top_n_sigma;
    s.dry_multiplier    = p.dry_multiplier;
    s.dry_base          = p.dry_base;
    s.dry_allowed_length = p.dry_allowed_length;
    s.dry_penalty_last_n = p.dry_penalty_last_n;
    s.mirostat          = p.mirostat;
    s.mirostat_tau      = p.mirostat_tau;
    s.mirostat_eta      = p.mirostat_eta;
    s.adaptive_target   = p.adaptive_target;
    s.adaptive_decay    = p.adaptive_decay;
    s.no_perf           = true;
    s.dry_sequence_breakers.assign(p.dry_sequence_breakers, p.dry_sequence_breakers + p.n_dry_sequence_breakers);
    s.logit_bias.assign(p.logit_bias, p.logit_bias + p.n_logit_bias);
    s.samplers = common_sampler_types_from_chars(p.samplers);
    if (p.grammar != nullptr) {
        s.grammar = { COMMON_GRAMMAR_TYPE_USER, p.grammar };
    }
    return s;
}

// Takes over the grammar of a chat, and the tags that let a lazy one sleep inside thoughts.
void constrain(common_params_sampling & s, const shim_chat & chat) {
    chat.session.apply_sampling(s);
    if (!chat.grammar.empty() && common_grammar_value(s.grammar).empty()) {
        s.grammar      = { COMMON_GRAMMAR_TYPE_USER, chat.grammar };
        s.grammar_lazy = false;
    }
    const auto & start = chat.session.thinking_start_tag();
    const auto & ends  = chat.session.thinking_end_tags();
    if (start.empty() || ends.empty()) {
        return;
    }
    s.reasoning_budget_start = common_tokenize(chat.vocab, start, false, true);
    for (const auto & end : ends) {
        s.reasoning_budget_end.push_back(common_tokenize(chat.vocab, end, false, true));
    }
    s.reasoning_budget_forced = s.reasoning_budget_end.front();
}

} // namespace

extern "C" {

shim_sampling_params shim_sampling_params_default(void) {
    const common_params_sampling s;
    shim_sampling_params p{};
    p.seed              = s.seed;
    p.n_prev            = s.n_prev;
    p.n_probs           = s.n_probs;
    p.min_keep          = s.min_keep;
    p.top_k             = s.top_k;
    p.top_p             = s.top_p;
    p.min_p             = s.min_p;
    p.xtc_probability   = s.xtc_probability;
    p.xtc_threshold     = s.xtc_threshold;
    p.typical_p         = s.typ_p;
    p.temperature       = s.temp;
    p.dynatemp_range    = s.dynatemp_range;
    p.dynatemp_exponent = s.dynatemp_exponent;
    p.repeat_last_n     = s.penalty_last_n;
    p.repeat_penalty    = s.penalty_repeat;
    p.frequency_penalty = s.penalty_freq;
    p.presence_penalty  = s.penalty_present;
    p.top_n_sigma       = s.top_n_sigma;
    p.dry_multiplier    = s.dry_multiplier;
    p.dry_base          = s.dry_base;
    p.dry_allowed_length = s.dry_allowed_length;
    p.dry_penalty_last_n = s.dry_penalty_last_n;
    p.mirostat          = s.mirostat;
    p.mirostat_tau      = s.mirostat_tau;
    p.mirostat_eta      = s.mirostat_eta;
    p.adaptive_target   = s.adaptive_target;
    p.adaptive_decay    = s.adaptive_decay;
    p.samplers          = "";
    return p;
}

shim_status shim_sampler_new(
    const llama_model * model, const shim_sampling_params * params, const shim_chat * chat, shim_sampler ** out) {
    return shim::guard([&] {
        auto sampling = to_common(*params);
        if (chat != nullptr) {
            constrain(sampling, *chat);
        }
        common_sampler_ptr ptr(common_sampler_init(model, sampling));
        *out = new shim_sampler{ std::move(ptr), llama_model_get_vocab(model) };
    });
}

void shim_sampler_free(shim_sampler * sampler) {
    delete sampler;
}

shim_status shim_sampler_clone(const shim_sampler * sampler, shim_sampler ** out) {
    return shim::guard([&] {
        common_sampler_ptr ptr(common_sampler_clone(sampler->ptr.get()));
        *out = new shim_sampler{ std::move(ptr), sampler->vocab };
    });
}

void shim_sampler_reset(shim_sampler * sampler) {
    shim::guard([&] { common_sampler_reset(sampler->ptr.get()); });
}

uint32_t shim_sampler_seed(const shim_sampler * sampler) {
    return common_sampler_get_seed(sampler->ptr.get());
}

shim_status shim_sampler_accept(shim_sampler * sampler, llama_token token, bool generated) {
    return shim::guard([&] { common_sampler_accept(sampler->ptr.get(), token, generated); });
}

shim_status shim_sampler_sample(
    shim_sampler * sampler, llama_context * ctx,
    const int32_t * outputs, const llama_token * draft, size_t n_draft,
    llama_token * out, size_t * n_out) {
    *n_out = 0;
    return shim::guard([&] {
        for (size_t i = 0; i <= n_draft; ++i) {
            // common_sampler_sample asserts what is checked here
            if (llama_get_logits_ith(ctx, outputs[i]) == nullptr) {
                throw std::invalid_argument("the last decode has no logits at output " + std::to_string(outputs[i]));
            }
            const llama_token id = common_sampler_sample(sampler->ptr.get(), ctx, outputs[i]);
            common_sampler_accept(sampler->ptr.get(), id, true);
            out[(*n_out)++] = id;
            if (i == n_draft || draft[i] != id || llama_vocab_is_eog(sampler->vocab, id)) {
                break;
            }
        }
    });
}

}
