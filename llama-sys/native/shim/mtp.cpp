// Drives a Gemma 4 MTP head one token at a time, so that drafting can stop early; the driver in
// `common` only truncates what it has already drafted.

#include "guard.hpp"

#include "llama-ext.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

namespace {

// Candidates that the head leaves for a token's probability, as in llama.cpp's own driver.
constexpr int32_t TOP_K = 10;

struct batch_deleter {
    void operator()(llama_batch_ext * batch) const { llama_batch_ext_free(batch); }
};

struct candidate {
    llama_token id;
    float       p; // among the TOP_K best
};

} // namespace

struct shim_mtp {
    llama_context * target;
    llama_context * draft;
    bool            shared;
    size_t          n_embd;
    int32_t         n_vocab;

    std::unique_ptr<llama_batch_ext, batch_deleter> batch;
    std::vector<llama_sampler *>                    chains; // top-k on the device, one a sequence

    std::vector<std::vector<float>> rows;    // by sequence: hidden rows of the last decode
    std::vector<std::vector<float>> pending; // by sequence: the row that the next draft starts from

    shim_mtp(llama_context * target, llama_context * draft, size_t n_seq)
        : target(target), draft(draft),
          shared(llama_get_ctx_other(draft) == target),
          n_embd((size_t) llama_model_n_embd_out(llama_get_model(draft))),
          n_vocab(llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(draft)))),
          batch(llama_batch_ext_init(draft)),
          chains(n_seq), rows(n_seq), pending(n_seq) {
        if (!batch) {
            throw std::bad_alloc();
        }
        for (size_t seq = 0; seq < n_seq; ++seq) {
            auto * chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
            llama_sampler_chain_add(chain, llama_sampler_init_top_k(TOP_K));
            if (llama_set_sampler(draft, (llama_seq_id) seq, chain)) {
                chains[seq] = chain;
            } else {
                llama_sampler_free(chain); // the device cannot: best() reads the full logits
            }
        }
        // Only outputs carry a hidden row: a prompt costs no copies but its last one.
        llama_set_embeddings_nextn(target, true, /* masked */ true);
        llama_set_embeddings_nextn(draft, true, /* masked */ true);
    }

    ~shim_mtp() {
        for (size_t seq = 0; seq < chains.size(); ++seq) {
            if (chains[seq] != nullptr) {
                llama_set_sampler(draft, (llama_seq_id) seq, nullptr);
                llama_sampler_free(chains[seq]);
            }
        }
        llama_set_embeddings_nextn(target, false, true);
    }

    shim_mtp(const shim_mtp &)             = delete;
    shim_mtp & operator=(const shim_mtp &) = delete;

    candidate best() const;
};

// The most likely token of the draft's output 0, and its share among the TOP_K best.
candidate shim_mtp::best() const {
    const float *       logits = llama_get_sampled_logits_ith(draft, 0);
    const llama_token * ids    = llama_get_sampled_candidates_ith(draft, 0);
    size_t              n      = llama_get_sampled_logits_count_ith(draft, 0);
    if (logits == nullptr) {
        logits = llama_get_logits_ith(draft, 0);
        n      = (size_t) n_vocab;
        ids    = nullptr;
    }
    if (logits == nullptr || n == 0) {
        throw std::runtime_error("the draft head gave no logits");
    }
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) {
        order[i] = i;
    }
    const size_t k = std::min<size_t>(n, TOP_K);
    std::partial_sort(order.begin(), order.begin() + (ptrdiff_t) k, order.end(),
        [&](size_t a, size_t b) { return logits[a] > logits[b]; });
    float sum = 0.0f;
    for (size_t i = 0; i < k; ++i) {
        sum += std::exp(logits[order[i]] - logits[order[0]]);
    }
    return { ids ? ids[order[0]] : (llama_token) order[0], 1.0f / sum };
}

extern "C" {

shim_status shim_mtp_new(llama_context * target, llama_context * draft, int32_t n_seq, shim_mtp ** out) {
    return shim::guard([&] {
        const auto * head = llama_get_model(draft);
        if (llama_model_n_embd_out(head) != llama_model_n_embd_out(llama_get_model(target))) {
            throw std::invalid_argument("the draft head's width differs from the target's");
        }
        if (n_seq < 1 || (uint32_t) n_seq > llama_n_seq_max(draft)) {
            throw std::invalid_argument("the draft context has fewer sequences than asked for");
        }
        *out = new shim_mtp(target, draft, (size_t) n_seq);
    });
}

void shim_mtp_free(shim_mtp * mtp) {
    delete mtp;
}

bool shim_mtp_shares_memory(const shim_mtp * mtp) {
    return mtp->shared;
}

shim_status shim_mtp_process(shim_mtp * mtp, llama_seq_id seq, const int32_t * outputs, size_t n) {
    return shim::guard([&] {
        auto & rows = mtp->rows.at((size_t) seq);
        rows.resize(n * mtp->n_embd);
        for (size_t i = 0; i < n; ++i) {
            const float * row = llama_get_embeddings_nextn_ith(mtp->target, outputs[i]);
            if (row == nullptr) {
                throw std::invalid_argument("the last decode has no hidden row at output " + std::to_string(outputs[i]));
            }
            std::memcpy(rows.data() + i * mtp->n_embd, row, mtp->n_embd * sizeof(float));
        }
        if (n > 0) {
            mtp->pending.at((size_t) seq).assign(rows.end() - (ptrdiff_t) mtp->n_embd, rows.end());
        }
    });
}

shim_status shim_mtp_accept(shim_mtp * mtp, llama_seq_id seq, size_t n_accepted) {
    return shim::guard([&] {
        const auto & rows = mtp->rows.at((size_t) seq);
        if ((n_accepted + 1) * mtp->n_embd > rows.size()) {
            throw std::invalid_argument("more tokens accepted than were verified");
        }
        const auto row = rows.begin() + (ptrdiff_t) (n_accepted * mtp->n_embd);
        mtp->pending.at((size_t) seq).assign(row, row + (ptrdiff_t) mtp->n_embd);
    });
}

shim_status shim_mtp_draft(
    shim_mtp * mtp, llama_seq_id seq, llama_token last, llama_pos pos,
    size_t n_max, float p_min, llama_token * out, size_t * n_out) {
    *n_out = 0;
    return shim::guard([&] {
        std::vector<float> hidden = mtp->pending.at((size_t) seq);
        if (hidden.empty()) {
            throw std::invalid_argument("nothing was processed for this sequence yet");
        }
        auto * batch = mtp->batch.get();
        llama_token token = last;
        while (*n_out < n_max) {
            llama_batch_ext_clear(batch);
            const int32_t idx = llama_batch_ext_add_token(batch, seq, token);
            // The head has no KV of its own: every draft stands at the position of `last`.
            if (idx != 0 || !llama_batch_ext_set_pos(batch, idx, &pos) ||
                !llama_batch_ext_set_embd_state(batch, idx, { hidden.data(), 1, mtp->n_embd }) ||
                !llama_batch_ext_set_output_logits(batch, idx, true)) {
                throw std::runtime_error("the draft head's batch was refused");
            }
            const int32_t result = llama_process(mtp->draft, LLAMA_PROCESS_TYPE_DECODE, batch);
            if (result != 0) {
                throw std::runtime_error("decoding with the draft head failed with " + std::to_string(result));
            }
            const auto next = mtp->best();
            if (next.p < p_min) {
                break;
            }
            out[(*n_out)++] = next.id;
            token = next.id;
            const float * row = llama_get_embeddings_nextn_ith(mtp->draft, 0);
            if (row == nullptr) {
                throw std::runtime_error("the draft head gave no hidden row");
            }
            std::memcpy(hidden.data(), row, mtp->n_embd * sizeof(float));
        }
    });
}

}
