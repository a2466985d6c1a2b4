//! Compares the bindings' structs with what the C++ compiler made of them
//! (`native/layout.cpp`), and default values as both sides read them.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_void},
    mem, slice,
};

use llama_sys::*;

/// `entry` in `native/layout.cpp`.
#[repr(C)]
struct Entry {
    kind: *const c_char,
    field: *const c_char,
    offset: usize,
    size: usize,
    value: *const c_void,
}

unsafe extern "C" {
    fn llama_sys_layout(index: usize, out: *mut Entry) -> bool;
}

/// A struct's alignment or a field's offset, its size, and the default's bytes.
type Fact = (usize, usize, Option<Vec<u8>>);

/// Facts by struct and field; the struct's own have an empty field name.
type Facts = BTreeMap<(String, String), Fact>;

/// The bytes of a value without padding.
///
/// # Safety
///
/// `size` bytes at `value` are readable.
unsafe fn bytes(value: *const c_void, size: usize) -> Vec<u8> {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(value.cast::<u8>(), size) }.to_vec()
}

fn in_cpp() -> Facts {
    let mut facts = Facts::new();
    for index in 0.. {
        let mut entry = mem::MaybeUninit::uninit();
        // SAFETY: `entry` has the layout of the type that is written to it.
        if !unsafe { llama_sys_layout(index, entry.as_mut_ptr()) } {
            break;
        }
        // SAFETY: the call above wrote all of it.
        let Entry { kind, field, offset, size, value } = unsafe { entry.assume_init() };
        let name = |text: *const c_char| {
            if text.is_null() {
                return String::new();
            }
            // SAFETY: what is not null is a string literal.
            let text = unsafe { CStr::from_ptr(text) };
            text.to_string_lossy().into_owned()
        };
        let is_field_with_default = !field.is_null() && !value.is_null();
        // SAFETY: `value` points to a field of this size in a static.
        let value = is_field_with_default.then(|| unsafe { bytes(value, size) });
        facts.insert((name(kind), name(field)), (offset, size, value));
    }
    facts
}

fn field_size<T, F>(_: impl Fn(&T) -> *const F) -> usize {
    mem::size_of::<F>()
}

/// Lists structs with all their fields (this does not compile where one is
/// missing) and, where there is one, the function that returns the default.
macro_rules! in_rust {
    ($($name:ident $(= $default:ident)? { $($field:ident),* })*) => {{
        let mut facts = Facts::new();
        $(
            let default: Option<$name> = in_rust!(@default $($default)?);
            let mut add = |field: &str, fact| facts.insert((stringify!($name).to_owned(), field.to_owned()), fact);
            add("", (mem::align_of::<$name>(), mem::size_of::<$name>(), None));
            $({
                let size = field_size(|value: &$name| &raw const value.$field);
                // SAFETY: the field is inside of `value` and has this size.
                let value = default.as_ref().map(|value| unsafe { bytes((&raw const value.$field).cast(), size) });
                add(stringify!($field), (mem::offset_of!($name, $field), size, value));
            })*
            // No `..`: a field that an update of llama.cpp adds has to be added here.
            let _ = |$name { $($field: _),* }: $name| {};
        )*
        facts
    }};
    (@default) => { None };
    // SAFETY: these functions have no preconditions.
    (@default $default:ident) => { Some(unsafe { $default() }) };
}

#[test]
fn structs_are_what_the_cpp_compiler_made_of_them() {
    let in_rust = in_rust! {
        ggml_backend_dev_caps { async_, host_buffer, buffer_from_host_ptr, events, mmap_support }
        ggml_backend_dev_props {
            name, description, memory_free, memory_total, type_, device_id, caps
        }
        gguf_init_params { no_alloc, ctx }
        llama_batch { n_tokens, token, embd, pos, n_seq_id, seq_id, logits }
        llama_chat_message { role, content }
        llama_context_params = llama_context_default_params {
            n_ctx, n_batch, n_ubatch, n_seq_max, n_rs_seq, n_outputs_max, n_outputs_max_per_seq,
            n_threads, n_threads_batch, ctx_type, rope_scaling_type, pooling_type,
            attention_type, flash_attn_type, rope_freq_base, rope_freq_scale, yarn_ext_factor,
            yarn_attn_factor, yarn_beta_fast, yarn_beta_slow, yarn_orig_ctx, defrag_thold,
            cb_eval, cb_eval_user_data, type_k, type_v, moe_cache_size, abort_callback,
            abort_callback_data, embeddings, offload_kqv, no_perf, op_offload, swa_full,
            kv_unified, samplers, n_samplers, ctx_other
        }
        llama_logit_bias { token, bias }
        llama_model_imatrix_data { name, data, size }
        llama_model_kv_override { tag, key, __bindgen_anon_1 }
        llama_model_params = llama_model_default_params {
            devices, tensor_buft_overrides, n_gpu_layers, split_mode, load_mode, lazy_mode,
            main_gpu, tensor_split, progress_callback, progress_callback_user_data,
            kv_overrides, vocab_only, check_tensors, use_extra_bufts, no_host, no_alloc,
            load_mtp
        }
        llama_model_quantize_params = llama_model_quantize_default_params {
            nthread, ftype, output_tensor_type, token_embedding_type, allow_requantize,
            quantize_output_tensor, only_copy, pure_, keep_split, dry_run, imatrix,
            kv_overrides, tt_overrides, prune_layers, max_buf_size
        }
        llama_model_tensor_buft_override { pattern, buft }
        llama_model_tensor_override { pattern, type_ }
        llama_perf_context_data {
            t_start_ms, t_load_ms, t_p_eval_ms, t_eval_ms, n_p_eval, n_eval, n_reused,
            n_reallocs_same, n_reallocs_diff
        }
        llama_perf_sampler_data { t_sample_ms, n_sample }
        llama_sampler_chain_params = llama_sampler_chain_default_params { no_perf }
        llama_sampler_i {
            name, accept, apply, reset, clone, free, backend_init, backend_accept,
            backend_apply, backend_set_input, backend_reset, copy_state
        }
        llama_sampler_seq_config { seq_id, sampler }
        llama_token_data { id, logit, p }
        llama_token_data_array { data, size, selected, sorted }
        mtmd_caps { inp_vision, inp_audio, gen_audio }
        mtmd_context_params = mtmd_context_params_default {
            use_gpu, device, print_timings, n_threads, image_marker, media_marker,
            flash_attn_type, warmup, image_min_tokens, image_max_tokens, cb_eval,
            cb_eval_user_data, batch_max_tokens, progress_callback, progress_callback_user_data
        }
        mtmd_decoder_pos { t, x, y, z }
        mtmd_input_part { text, bitmap }
        mtmd_input_text { text, text_len, add_special, parse_special }
        shim_media_limits { image_max_tokens, non_causal }
        shim_sampling_params = shim_sampling_params_default {
            seed, n_prev, n_probs, min_keep, top_k, top_p, min_p, xtc_probability,
            xtc_threshold, typical_p, temperature, dynatemp_range, dynatemp_exponent,
            repeat_last_n, repeat_penalty, frequency_penalty, presence_penalty, top_n_sigma,
            dry_multiplier, dry_base, dry_allowed_length, dry_penalty_last_n, mirostat,
            mirostat_tau, mirostat_eta, adaptive_target, adaptive_decay,
            dry_sequence_breakers, n_dry_sequence_breakers, logit_bias, n_logit_bias, samplers, grammar
        }
        shim_string { data, len }
    };
    let in_cpp = in_cpp();

    for (name, fact) in &in_rust {
        assert_eq!(Some(fact), in_cpp.get(name), "{}.{} in Rust and in C++", name.0, name.1);
    }
    assert_eq!(in_rust.len(), in_cpp.len(), "native/layout.cpp lists what this test does not");
}
