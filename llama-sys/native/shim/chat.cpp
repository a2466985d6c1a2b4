#include "chat.hpp"

#include "json.h"

#include <random>
#include <utility>

struct shim_templates {
    common_chat_templates_ptr ptr;
};

namespace {

// Ids look like OpenAI's would: clients keep them and send them back with the tool's result.
std::string new_tool_call_id() {
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    thread_local std::mt19937_64 rng{ std::random_device{}() };
    std::uniform_int_distribution<size_t> pick(0, sizeof(alphabet) - 2);
    std::string id = "call_";
    for (int i = 0; i < 24; ++i) {
        id += alphabet[pick(rng)];
    }
    return id;
}

common_chat_templates_inputs parse_request(const common_json & request) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    }
    if (request.contains("tool_choice")) {
        inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(request.at("tool_choice"));
    }
    if (request.contains("continue_final_message")) {
        inputs.continue_final_message = common_chat_continuation_parse(request.at("continue_final_message"));
    }
    if (request.contains("json_schema")) {
        inputs.json_schema = request.at("json_schema").dump();
    }
    if (request.contains("chat_template_kwargs")) {
        for (const auto & [key, value] : request.at("chat_template_kwargs").items()) {
            inputs.chat_template_kwargs[key] = value.dump();
        }
    }
    inputs.grammar               = request.value("grammar", "");
    inputs.parallel_tool_calls   = request.value("parallel_tool_calls", false);
    inputs.add_generation_prompt = request.value("add_generation_prompt", true);
    inputs.enable_thinking       = request.value("enable_thinking", true);
    inputs.reasoning_format      = common_reasoning_format_from_name(request.value("reasoning_format", "auto"));
    return inputs;
}

common_json delta_to_json(const common_chat_msg_diff & diff) {
    auto json = common_json::object();
    if (!diff.reasoning_content_delta.empty()) {
        json["reasoning_content"] = diff.reasoning_content_delta;
    }
    if (!diff.content_delta.empty()) {
        json["content"] = diff.content_delta;
    }
    if (diff.tool_call_index != std::string::npos) {
        auto call = common_json::object();
        call["index"] = (int64_t) diff.tool_call_index;
        if (!diff.tool_call_delta.id.empty()) {
            call["id"] = diff.tool_call_delta.id;
        }
        if (!diff.tool_call_delta.name.empty()) {
            call["name"] = diff.tool_call_delta.name;
        }
        call["arguments"] = diff.tool_call_delta.arguments;
        json["tool_call"] = std::move(call);
    }
    return json;
}

// What `msg` adds to what was told before, told from now on.
common_json tell(shim_chat & chat, common_chat_msg msg) {
    msg.set_tool_call_ids(chat.ids, new_tool_call_id);
    auto deltas = common_json::array();
    for (const auto & diff : common_chat_msg_diff::compute_diffs(chat.told, msg)) {
        deltas.push_back(delta_to_json(diff));
    }
    chat.told = std::move(msg);
    return deltas;
}

// The text that no delta has told, as far as that can be known of a reply that does not parse.
std::string untold(const shim_chat & chat) {
    const auto & told = chat.told;
    if (!told.tool_calls.empty()) {
        return chat.fed.substr(chat.read);
    }
    const auto & last = told.content.empty() ? told.reasoning_content : told.content;
    if (last.empty()) {
        return chat.fed;
    }
    // The parser may have changed what it told; then better twice than never.
    const size_t at = chat.fed.rfind(last);
    return at == std::string::npos ? chat.fed : chat.fed.substr(at + last.size());
}

} // namespace

extern "C" {

shim_status shim_templates_new(const llama_model * model, const char * source, shim_templates ** out) {
    return shim::guard([&] {
        *out = new shim_templates{ common_chat_templates_init(model, source ? source : "") };
    });
}

void shim_templates_free(shim_templates * templates) {
    delete templates;
}

bool shim_templates_explicit(const shim_templates * templates) {
    return common_chat_templates_was_explicit(templates->ptr.get());
}

bool shim_templates_supports_thinking(const shim_templates * templates) {
    bool supported = false;
    shim::guard([&] { supported = common_chat_templates_support_enable_thinking(templates->ptr.get()); });
    return supported;
}

shim_status shim_templates_source(const shim_templates * templates, shim_string * out) {
    return shim::guard([&] { *out = shim::own(common_chat_templates_source(templates->ptr.get())); });
}

shim_status shim_templates_caps(const shim_templates * templates, shim_string * out) {
    return shim::guard([&] { *out = shim::own(common_chat_templates_get_caps(templates->ptr.get()).dump_safe()); });
}

shim_status shim_chat_new(
    const shim_templates * templates, const llama_vocab * vocab,
    const char * request, size_t len, shim_chat ** out) {
    return shim::guard([&] {
        const auto inputs = parse_request(common_json::parse(std::string(request, len)));
        *out = new shim_chat(templates->ptr.get(), vocab, inputs);
    });
}

void shim_chat_free(shim_chat * chat) {
    delete chat;
}

size_t shim_chat_n_parts(const shim_chat * chat) {
    return chat->session.prompt().parts.size();
}

const char * shim_chat_part(const shim_chat * chat, size_t i, size_t * len, bool * is_input) {
    const auto & part = chat->session.prompt().parts.at(i);
    *len      = part.text.size();
    *is_input = part.is_input;
    return part.text.data();
}

shim_status shim_chat_info(const shim_chat * chat, shim_string * out) {
    return shim::guard([&] {
        common_params_sampling sampling; // the one way to the session's preserved tokens
        chat->session.apply_sampling(sampling);
        auto json = common_json::object();
        json["format"]           = common_chat_format_name(chat->session.format());
        json["grammar"]          = chat->session.grammar();
        json["additional_stops"] = chat->session.additional_stops();
        auto preserved = common_json::array();
        for (const llama_token token : sampling.preserved_tokens) {
            preserved.push_back((int64_t) token);
        }
        json["preserved_tokens"] = std::move(preserved);
        *out = shim::own(json.dump_safe());
    });
}

shim_status shim_chat_push(shim_chat * chat, const char * text, size_t len, llama_token token) {
    return shim::guard([&] {
        const std::string piece(text, len);
        chat->fed += piece;
        chat->unread.append(piece, token);
    });
}

shim_status shim_chat_read(shim_chat * chat, shim_string * deltas) {
    return shim::guard([&] {
        auto told = common_json::array();
        try {
            told = tell(*chat, chat->session.feed(std::exchange(chat->unread, {})));
            if (!told.empty()) {
                chat->read = chat->fed.size();
            }
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
            // Half a construct may not parse; more text, or the end, decides.
        }
        *deltas = shim::own(told.dump_safe());
    });
}

shim_status shim_chat_finish(shim_chat * chat, shim_string * deltas) {
    std::string problem;
    const auto status = shim::guard([&] {
        auto told = common_json::array();
        try {
            told = tell(*chat, chat->session.finish(std::exchange(chat->unread, {})));
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception & e) {
            problem = e.what();
            auto msg = chat->told;
            msg.content += untold(*chat);
            told = tell(*chat, std::move(msg));
        }
        *deltas = shim::own(told.dump_safe());
    });
    return status == SHIM_OK && !problem.empty() ? shim::fail(SHIM_ERROR, problem.c_str()) : status;
}

}
