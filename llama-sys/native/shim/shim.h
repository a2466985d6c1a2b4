// The C ABI over what llama.cpp offers only in C++ (`common`, `llama-ext.h`) or lets throw.
//
// Every function is noexcept. Those that can fail return a `shim_status`; the message of the
// last failure on this thread is `shim_last_error()`. Handles are opaque and freed by the
// matching `_free`, which accepts NULL. Strings are UTF-8, given as pointer and length.

#pragma once

#include "llama.h"
#include "mtmd.h"
#include "mtmd-helper.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum shim_status {
    SHIM_OK        = 0,
    SHIM_ERROR     = 1, // llama.cpp refused or threw
    SHIM_INVALID   = 2, // an argument was refused, by llama.cpp or by the shim
    SHIM_NO_MEMORY = 3, // an allocation failed
} shim_status;

// The message of the last failed call on this thread; empty, never NULL.
const char * shim_last_error(void);

// A string owned by the caller, released with shim_string_free.
typedef struct shim_string {
    char * data;
    size_t len;
} shim_string;

void shim_string_free(shim_string s);

// ---- process -------------------------------------------------------------------------------

// Sends the log of llama, ggml, mtmd and its helpers to `callback`, and silences the printing
// logger of `common`, which has no callback.
void shim_log_set(ggml_log_callback callback, void * user_data);

// Threads that suit matrix work on this CPU: performance cores, without SMT siblings.
int32_t shim_n_threads_default(void);

// ---- model ---------------------------------------------------------------------------------

shim_status shim_model_load(const char * path, const struct llama_model_params * params, struct llama_model ** out);

// ---- vocab ---------------------------------------------------------------------------------

// Writes at most `n_max` tokens and sets `n` to the number that the text has.
shim_status shim_tokenize(
    const struct llama_vocab * vocab, const char * text, size_t len,
    bool add_special, bool parse_special,
    llama_token * tokens, size_t n_max, size_t * n);

// Writes at most `n_max` bytes of the token's text and sets `n` to its length.
// `special` renders control tokens too, which are empty otherwise.
shim_status shim_token_to_piece(
    const struct llama_vocab * vocab, llama_token token, bool special,
    char * piece, size_t n_max, size_t * n);

shim_status shim_token_attr(const struct llama_vocab * vocab, llama_token token, int32_t * attr);

// ---- context -------------------------------------------------------------------------------

shim_status shim_context_new(
    struct llama_model * model, const struct llama_context_params * params, struct llama_context ** out);

// `result` is llama_decode's: 0 ok, 1 no room in the KV cache, 2 aborted, negative on error.
shim_status shim_decode(struct llama_context * ctx, struct llama_batch batch, int32_t * result);

// ---- sampler -------------------------------------------------------------------------------

typedef struct shim_sampler shim_sampler;
typedef struct shim_chat    shim_chat;

// Fields are named as in llama-server. `samplers` is the order of the chain, one letter each, as
// in llama-server's --sampler-seq. `grammar` is GBNF or NULL.
typedef struct shim_sampling_params {
    uint32_t seed;
    int32_t  n_prev;
    int32_t  n_probs;
    int32_t  min_keep;
    int32_t  top_k;
    float    top_p;
    float    min_p;
    float    xtc_probability;
    float    xtc_threshold;
    float    typical_p;
    float    temperature;
    float    dynatemp_range;
    float    dynatemp_exponent;
    int32_t  repeat_last_n;
    float    repeat_penalty;
    float    frequency_penalty;
    float    presence_penalty;
    float    top_n_sigma;
    float    dry_multiplier;
    float    dry_base;
    int32_t  dry_allowed_length;
    int32_t  dry_penalty_last_n;
    int32_t  mirostat;
    float    mirostat_tau;
    float    mirostat_eta;
    float    adaptive_target;
    float    adaptive_decay;
    const char * const * dry_sequence_breakers;
    size_t               n_dry_sequence_breakers;
    const struct llama_logit_bias * logit_bias;
    size_t       n_logit_bias;
    const char * samplers;
    const char * grammar;
} shim_sampling_params;

struct shim_sampling_params shim_sampling_params_default(void);

// `chat` may be NULL; otherwise its grammar, triggers and reasoning tags constrain the sampler.
shim_status shim_sampler_new(
    const struct llama_model * model, const struct shim_sampling_params * params,
    const shim_chat * chat, shim_sampler ** out);
void        shim_sampler_free(shim_sampler * sampler);
shim_status shim_sampler_clone(const shim_sampler * sampler, shim_sampler ** out);
void        shim_sampler_reset(shim_sampler * sampler);
uint32_t    shim_sampler_seed(const shim_sampler * sampler);

// Tells the sampler of a token that is part of the text. Prompt tokens feed the penalties only.
shim_status shim_sampler_accept(shim_sampler * sampler, llama_token token, bool generated);

// Samples at each of the `n_draft` + 1 outputs in turn and accepts what it sampled, until a
// sample differs from the draft or ends the generation. `n_out` counts what was written to
// `out` (room for `n_draft` + 1), also when the call fails half way.
shim_status shim_sampler_sample(
    shim_sampler * sampler, struct llama_context * ctx,
    const int32_t * outputs, const llama_token * draft, size_t n_draft,
    llama_token * out, size_t * n_out);

// ---- chat ----------------------------------------------------------------------------------

typedef struct shim_templates shim_templates;

// `source` overrides the model's own template; NULL takes it from the model.
shim_status shim_templates_new(const struct llama_model * model, const char * source, shim_templates ** out);
void        shim_templates_free(shim_templates * templates);
// Whether the model or the caller gave a template, or a generic one stands in.
bool        shim_templates_explicit(const shim_templates * templates);
bool        shim_templates_supports_thinking(const shim_templates * templates);
shim_status shim_templates_source(const shim_templates * templates, shim_string * out);
// JSON object of what the template can express.
shim_status shim_templates_caps(const shim_templates * templates, shim_string * out);

// Renders a conversation and prepares its parser. `request` is a JSON object: `messages` (as in
// OpenAI's API, media as parts {"type": "media_marker", "text": marker}), and optionally `tools`,
// `tool_choice`, `parallel_tool_calls`, `json_schema`, `grammar`, `enable_thinking`,
// `reasoning_format`, `add_generation_prompt`, `continue_final_message`, `chat_template_kwargs`.
shim_status shim_chat_new(
    const shim_templates * templates, const struct llama_vocab * vocab,
    const char * request, size_t len, shim_chat ** out);
void        shim_chat_free(shim_chat * chat);

// The rendered prompt. In a part that is input, special tokens must not be parsed.
size_t       shim_chat_n_parts(const shim_chat * chat);
const char * shim_chat_part(const shim_chat * chat, size_t i, size_t * len, bool * is_input);

// JSON object: `format`, `grammar`, `additional_stops`, `preserved_tokens`.
shim_status shim_chat_info(const shim_chat * chat, shim_string * out);

// Adds generated text. `token` is the token that the text came from, or -1.
shim_status shim_chat_push(shim_chat * chat, const char * text, size_t len, llama_token token);

// Reads the text so far and returns what is new in the reply, as a JSON array of
// {reasoning_content?, content?, tool_call?: {index, id?, name?, arguments?}}.
// Reading begins anew with the whole text.
shim_status shim_chat_read(shim_chat * chat, shim_string * deltas);

// Ends the reply: the last deltas in the same form. Returns SHIM_ERROR when the whole does not
// parse; then `deltas` is still set and holds the text that was not delivered, as content.
shim_status shim_chat_finish(shim_chat * chat, shim_string * deltas);

// ---- drafting with a Gemma 4 MTP head -----------------------------------------------------

typedef struct shim_mtp shim_mtp;

// `draft` is a context of type MTP whose ctx_other is `target`. Both must outlive the session.
shim_status shim_mtp_new(struct llama_context * target, struct llama_context * draft, int32_t n_seq, shim_mtp ** out);
void        shim_mtp_free(shim_mtp * mtp);

// Takes over the hidden rows of `n` outputs of the target's last decode for sequence `seq`, in
// the order of their positions. The last row becomes the one that the next draft starts from.
shim_status shim_mtp_process(shim_mtp * mtp, llama_seq_id seq, const int32_t * outputs, size_t n);

// Of the rows last processed, takes row `n_accepted` as the one that the next draft starts from.
shim_status shim_mtp_accept(shim_mtp * mtp, llama_seq_id seq, size_t n_accepted);

// Drafts up to `n_max` tokens after `last`, which stands at position `pos` and is not decoded yet.
// Stops before a token whose probability (of the head's ten best) is below `p_min`.
// `n_out` counts what was written to `out` (room for `n_max`).
shim_status shim_mtp_draft(
    shim_mtp * mtp, llama_seq_id seq, llama_token last, llama_pos pos,
    size_t n_max, float p_min, llama_token * out, size_t * n_out);

// Whether the KV cells of `draft` are those of its target.
bool shim_mtp_shares_memory(const shim_mtp * mtp);

// ---- multimodal ----------------------------------------------------------------------------

typedef struct shim_media_limits {
    int32_t image_max_tokens; // most tokens an image can have; 0 without vision
    bool    non_causal;       // whether an image must be decoded in one micro-batch
} shim_media_limits;

shim_status shim_mtmd_limits(const char * path, struct mtmd_context_params params, struct shim_media_limits * out);
shim_status shim_mtmd_load(
    const char * path, const struct llama_model * model, struct mtmd_context_params params, mtmd_context ** out);

// Chunks of one image: the text tokens around it and the image itself. `id` names its content.
shim_status shim_mtmd_tokenize_image(
    const mtmd_context * mtmd, uint32_t width, uint32_t height, const uint8_t * rgb, const char * id,
    mtmd_input_chunks ** out);

// Writes the embeddings of a media chunk: `n` floats, n_tokens * n_embd_inp of the model.
shim_status shim_mtmd_encode(mtmd_context * mtmd, const mtmd_input_chunk * chunk, float * embd, size_t n);

// Decodes an encoded media chunk at position `pos` of sequence `seq`; `result` as in shim_decode.
shim_status shim_mtmd_decode(
    mtmd_context * mtmd, struct llama_context * ctx, const mtmd_input_chunk * chunk,
    const float * embd, llama_pos pos, llama_seq_id seq, llama_pos * next_pos, int32_t * result);

#ifdef __cplusplus
}
#endif
