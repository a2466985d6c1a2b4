// A reply being parsed, with what it has already told its caller.

#pragma once

#include "chat.h"
#include "guard.hpp"

#include <string>
#include <vector>

struct shim_chat {
    common_chat_session session;
    const llama_vocab * vocab;

    common_chat_msg          told;     // what the deltas so far add up to
    std::vector<std::string> ids;      // ids given to tool calls, in order
    std::string              unparsed; // text fed since the last parse that succeeded

    shim_chat(const common_chat_templates * templates, const llama_vocab * vocab, const common_chat_templates_inputs & inputs)
        : session(templates, vocab, inputs), vocab(vocab), told(session.msg()) {}
};
