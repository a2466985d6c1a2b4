#include "guard.hpp"

#include <memory>
#include <string>

extern "C" {

shim_status shim_mtmd_limits(const char * path, mtmd_context_params params, shim_media_limits * out) {
    return shim::guard([&] {
        const auto usage = mtmd_get_memory_usage(path, params);
        *out = { usage.image_max_tokens, usage.use_non_causal };
    });
}

shim_status shim_mtmd_load(
    const char * path, const llama_model * model, mtmd_context_params params, mtmd_context ** out) {
    return shim::guard([&] {
        *out = mtmd_init_from_file(path, model, params);
        if (*out == nullptr) {
            throw std::runtime_error("llama.cpp could not load the projector");
        }
    });
}

shim_status shim_mtmd_tokenize_image(
    const mtmd_context * mtmd, uint32_t width, uint32_t height, const uint8_t * rgb, const char * id,
    mtmd_input_chunks ** out) {
    return shim::guard([&] {
        mtmd::bitmap bitmap(width, height, rgb);
        bitmap.set_id(id);
        const mtmd_input_part part{ nullptr, bitmap.ptr.get() };
        const mtmd_input_part * parts[] = { &part };
        mtmd::input_chunks chunks(mtmd_input_chunks_init());
        if (mtmd_tokenize_from_parts(mtmd, chunks.ptr.get(), parts, 1, /* add_special */ false) != 0) {
            throw std::runtime_error("the projector refused the image");
        }
        *out = chunks.ptr.release();
    });
}

shim_status shim_mtmd_encode(mtmd_context * mtmd, const mtmd_input_chunk * chunk, float * embd, size_t n) {
    return shim::guard([&] {
        mtmd::batch_ptr batch(mtmd_batch_init(mtmd));
        if (!batch || mtmd_batch_add_chunk(batch.get(), chunk) != 0 || mtmd_batch_encode(batch.get()) != 0) {
            throw std::runtime_error("the projector could not encode the media");
        }
        const float * encoded = mtmd_batch_get_output_embd(batch.get(), chunk);
        if (encoded == nullptr) {
            throw std::runtime_error("the projector gave no embeddings");
        }
        std::copy(encoded, encoded + n, embd);
    });
}

shim_status shim_mtmd_decode(
    mtmd_context * mtmd, llama_context * ctx, const mtmd_input_chunk * chunk,
    const float * embd, llama_pos pos, llama_seq_id seq, llama_pos * next_pos, int32_t * result) {
    return shim::guard([&] {
        // llama.cpp asserts that an image with non-causal attention fits one micro-batch
        const bool one_batch = mtmd_decode_use_non_causal(mtmd, chunk);
        const auto n_batch   = one_batch ? llama_n_ubatch(ctx) : llama_n_batch(ctx);
        if (one_batch && mtmd_input_chunk_get_n_tokens(chunk) > n_batch) {
            throw std::invalid_argument(
                "the image has " + std::to_string(mtmd_input_chunk_get_n_tokens(chunk)) +
                " tokens and must fit one micro-batch of " + std::to_string(n_batch));
        }
        *result = mtmd_helper_decode_image_chunk(
            mtmd, ctx, chunk, const_cast<float *>(embd), pos, seq, (int32_t) n_batch, next_pos, nullptr, nullptr);
    });
}

}
