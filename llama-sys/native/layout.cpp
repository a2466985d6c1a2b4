// What the C++ compiler makes of the structs that src/bindings.rs declares, for
// tests/layout.rs to compare: where each field is, and its default value.

#include "ggml-backend.h"
#include "gguf.h"
#include "llama.h"
#include "mtmd.h"
#include "shim.h"

#include <cstddef>
#include <vector>

namespace {

// A struct, if `field` is null, or one of its fields.
struct entry {
    const char * type;
    const char * field;
    size_t       offset;
    size_t       size;
    // The bytes of the default, for structs that have a function for it.
    const void * value;
};

#define TYPE(name)                                                          \
    using T = name;                                                         \
    const char * const type  = #name;                                       \
    const T * const    value = nullptr;                                     \
    entries.push_back({ type, nullptr, alignof(T), sizeof(T), value })

#define TYPE_WITH_DEFAULTS(name, defaults)                                  \
    using T = name;                                                         \
    const char * const type = #name;                                        \
    static const T     storage = defaults;                                  \
    const T * const    value   = &storage;                                  \
    entries.push_back({ type, nullptr, alignof(T), sizeof(T), value })

#define FIELD(name) RENAMED(name, name)

// For names that are keywords in Rust, and unions, which have none in C.
#define RENAMED(rust, name)                                                 \
    entries.push_back({ type, #rust, offsetof(T, name), sizeof(T::name),    \
                        value ? &value->name : nullptr })

std::vector<entry> describe() {
    std::vector<entry> entries;
    {
        TYPE(ggml_backend_dev_caps);
        RENAMED(async_, async);
        FIELD(host_buffer);
        FIELD(buffer_from_host_ptr);
        FIELD(events);
        FIELD(mmap_support);
    }
    {
        TYPE(ggml_backend_dev_props);
        FIELD(name);
        FIELD(description);
        FIELD(memory_free);
        FIELD(memory_total);
        RENAMED(type_, type);
        FIELD(device_id);
        FIELD(caps);
    }
    {
        TYPE(gguf_init_params);
        FIELD(no_alloc);
        FIELD(ctx);
    }
    {
        TYPE(llama_batch);
        FIELD(n_tokens);
        FIELD(token);
        FIELD(embd);
        FIELD(pos);
        FIELD(n_seq_id);
        FIELD(seq_id);
        FIELD(logits);
    }
    {
        TYPE(llama_chat_message);
        FIELD(role);
        FIELD(content);
    }
    {
        TYPE_WITH_DEFAULTS(llama_context_params, llama_context_default_params());
        FIELD(n_ctx);
        FIELD(n_batch);
        FIELD(n_ubatch);
        FIELD(n_seq_max);
        FIELD(n_rs_seq);
        FIELD(n_outputs_max);
        FIELD(n_outputs_max_per_seq);
        FIELD(n_threads);
        FIELD(n_threads_batch);
        FIELD(ctx_type);
        FIELD(rope_scaling_type);
        FIELD(pooling_type);
        FIELD(attention_type);
        FIELD(flash_attn_type);
        FIELD(rope_freq_base);
        FIELD(rope_freq_scale);
        FIELD(yarn_ext_factor);
        FIELD(yarn_attn_factor);
        FIELD(yarn_beta_fast);
        FIELD(yarn_beta_slow);
        FIELD(yarn_orig_ctx);
        FIELD(defrag_thold);
        FIELD(cb_eval);
        FIELD(cb_eval_user_data);
        FIELD(type_k);
        FIELD(type_v);
        FIELD(moe_cache_size);
        FIELD(abort_callback);
        FIELD(abort_callback_data);
        FIELD(embeddings);
        FIELD(offload_kqv);
        FIELD(no_perf);
        FIELD(op_offload);
        FIELD(swa_full);
        FIELD(kv_unified);
        FIELD(samplers);
        FIELD(n_samplers);
        FIELD(ctx_other);
    }
    {
        TYPE(llama_logit_bias);
        FIELD(token);
        FIELD(bias);
    }
    {
        TYPE(llama_model_imatrix_data);
        FIELD(name);
        FIELD(data);
        FIELD(size);
    }
    {
        TYPE(llama_model_kv_override);
        FIELD(tag);
        FIELD(key);
        RENAMED(__bindgen_anon_1, val_str);
    }
    {
        TYPE_WITH_DEFAULTS(llama_model_params, llama_model_default_params());
        FIELD(devices);
        FIELD(tensor_buft_overrides);
        FIELD(n_gpu_layers);
        FIELD(split_mode);
        FIELD(load_mode);
        FIELD(lazy_mode);
        FIELD(main_gpu);
        FIELD(tensor_split);
        FIELD(progress_callback);
        FIELD(progress_callback_user_data);
        FIELD(kv_overrides);
        FIELD(vocab_only);
        FIELD(check_tensors);
        FIELD(use_extra_bufts);
        FIELD(no_host);
        FIELD(no_alloc);
        FIELD(load_mtp);
    }
    {
        TYPE_WITH_DEFAULTS(llama_model_quantize_params, llama_model_quantize_default_params());
        FIELD(nthread);
        FIELD(ftype);
        FIELD(output_tensor_type);
        FIELD(token_embedding_type);
        FIELD(allow_requantize);
        FIELD(quantize_output_tensor);
        FIELD(only_copy);
        RENAMED(pure_, pure);
        FIELD(keep_split);
        FIELD(dry_run);
        FIELD(imatrix);
        FIELD(kv_overrides);
        FIELD(tt_overrides);
        FIELD(prune_layers);
        FIELD(max_buf_size);
    }
    {
        TYPE(llama_model_tensor_buft_override);
        FIELD(pattern);
        FIELD(buft);
    }
    {
        TYPE(llama_model_tensor_override);
        FIELD(pattern);
        RENAMED(type_, type);
    }
    {
        TYPE(llama_perf_context_data);
        FIELD(t_start_ms);
        FIELD(t_load_ms);
        FIELD(t_p_eval_ms);
        FIELD(t_eval_ms);
        FIELD(n_p_eval);
        FIELD(n_eval);
        FIELD(n_reused);
        FIELD(n_reallocs_same);
        FIELD(n_reallocs_diff);
    }
    {
        TYPE(llama_perf_sampler_data);
        FIELD(t_sample_ms);
        FIELD(n_sample);
    }
    {
        TYPE_WITH_DEFAULTS(llama_sampler_chain_params, llama_sampler_chain_default_params());
        FIELD(no_perf);
    }
    {
        TYPE(llama_sampler_i);
        FIELD(name);
        FIELD(accept);
        FIELD(apply);
        FIELD(reset);
        FIELD(clone);
        FIELD(free);
        FIELD(backend_init);
        FIELD(backend_accept);
        FIELD(backend_apply);
        FIELD(backend_set_input);
        FIELD(backend_reset);
        FIELD(copy_state);
    }
    {
        TYPE(llama_sampler_seq_config);
        FIELD(seq_id);
        FIELD(sampler);
    }
    {
        TYPE(llama_token_data);
        FIELD(id);
        FIELD(logit);
        FIELD(p);
    }
    {
        TYPE(llama_token_data_array);
        FIELD(data);
        FIELD(size);
        FIELD(selected);
        FIELD(sorted);
    }
    {
        TYPE(mtmd_caps);
        FIELD(inp_vision);
        FIELD(inp_audio);
        FIELD(gen_audio);
    }
    {
        TYPE_WITH_DEFAULTS(mtmd_context_params, mtmd_context_params_default());
        FIELD(use_gpu);
        FIELD(device);
        FIELD(print_timings);
        FIELD(n_threads);
        FIELD(image_marker);
        FIELD(media_marker);
        FIELD(flash_attn_type);
        FIELD(warmup);
        FIELD(image_min_tokens);
        FIELD(image_max_tokens);
        FIELD(cb_eval);
        FIELD(cb_eval_user_data);
        FIELD(batch_max_tokens);
        FIELD(progress_callback);
        FIELD(progress_callback_user_data);
    }
    {
        TYPE(mtmd_decoder_pos);
        FIELD(t);
        FIELD(x);
        FIELD(y);
        FIELD(z);
    }
    {
        TYPE(mtmd_input_part);
        FIELD(text);
        FIELD(bitmap);
    }
    {
        TYPE(mtmd_input_text);
        FIELD(text);
        FIELD(text_len);
        FIELD(add_special);
        FIELD(parse_special);
    }
    {
        TYPE(shim_media_limits);
        FIELD(image_max_tokens);
        FIELD(non_causal);
    }
    {
        TYPE_WITH_DEFAULTS(shim_sampling_params, shim_sampling_params_default());
        FIELD(seed);
        FIELD(n_prev);
        FIELD(n_probs);
        FIELD(min_keep);
        FIELD(top_k);
        FIELD(top_p);
        FIELD(min_p);
        FIELD(xtc_probability);
        FIELD(xtc_threshold);
        FIELD(typical_p);
        FIELD(temperature);
        FIELD(dynatemp_range);
        FIELD(dynatemp_exponent);
        FIELD(repeat_last_n);
        FIELD(repeat_penalty);
        FIELD(frequency_penalty);
        FIELD(presence_penalty);
        FIELD(top_n_sigma);
        FIELD(dry_multiplier);
        FIELD(dry_base);
        FIELD(dry_allowed_length);
        FIELD(dry_penalty_last_n);
        FIELD(mirostat);
        FIELD(mirostat_tau);
        FIELD(mirostat_eta);
        FIELD(adaptive_target);
        FIELD(adaptive_decay);
        FIELD(dry_sequence_breakers);
        FIELD(n_dry_sequence_breakers);
        FIELD(logit_bias);
        FIELD(n_logit_bias);
        FIELD(samplers);
        FIELD(grammar);
    }
    {
        TYPE(shim_string);
        FIELD(data);
        FIELD(len);
    }
    return entries;
}

} // namespace

// Fills in the entry at `index`; false past the end. A struct's `offset` is its
// alignment.
extern "C" bool llama_sys_layout(size_t index, entry * out);

extern "C" bool llama_sys_layout(size_t index, entry * out) {
    static const std::vector<entry> entries = describe();
    if (index >= entries.size()) {
        return false;
    }
    *out = entries[index];
    return true;
}
