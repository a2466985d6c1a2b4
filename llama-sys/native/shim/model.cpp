#include "guard.hpp"

#include "common.h"
#include "log.h"

extern "C" {

void shim_log_set(ggml_log_callback callback, void * user_data) {
    llama_log_set(callback, user_data);
    mtmd_helper_log_set(callback, user_data); // sets mtmd's too
    common_log_set_verbosity_thold(-1);
}

int32_t shim_n_threads_default(void) {
    try {
        return common_cpu_get_num_math();
    } catch (...) {
        return 4; // ggml's own default
    }
}

shim_status shim_model_load(const char * path, const llama_model_params * params, llama_model ** out) {
    return shim::guard([&] {
        *out = llama_model_load_from_file(path, *params);
        if (*out == nullptr) {
            throw std::runtime_error("llama.cpp could not load the model");
        }
    });
}

shim_status shim_context_new(llama_model * model, const llama_context_params * params, llama_context ** out) {
    return shim::guard([&] {
        *out = llama_init_from_model(model, *params);
        if (*out == nullptr) {
            throw std::runtime_error("llama.cpp could not create the context");
        }
    });
}

shim_status shim_decode(llama_context * ctx, llama_batch batch, int32_t * result) {
    return shim::guard([&] { *result = llama_decode(ctx, batch); });
}

shim_status shim_tokenize(
    const llama_vocab * vocab, const char * text, size_t len,
    bool add_special, bool parse_special,
    llama_token * tokens, size_t n_max, size_t * n) {
    return shim::guard([&] {
        if (len > INT32_MAX || n_max > INT32_MAX) {
            throw std::invalid_argument("the text is longer than 2 GiB");
        }
        const int32_t count = llama_tokenize(
            vocab, text, (int32_t) len, tokens, (int32_t) n_max, add_special, parse_special);
        if (count == INT32_MIN) {
            throw std::invalid_argument("the text has more tokens than llama.cpp can count");
        }
        *n = (size_t) (count < 0 ? -count : count);
    });
}

shim_status shim_token_to_piece(
    const llama_vocab * vocab, llama_token token, bool special,
    char * piece, size_t n_max, size_t * n) {
    return shim::guard([&] {
        const int32_t count = llama_token_to_piece(vocab, token, piece, (int32_t) n_max, 0, special);
        *n = (size_t) (count < 0 ? -count : count);
    });
}

shim_status shim_token_attr(const llama_vocab * vocab, llama_token token, int32_t * attr) {
    return shim::guard([&] { *attr = llama_vocab_get_attr(vocab, token); });
}

}
