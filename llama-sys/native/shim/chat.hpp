// A reply being parsed, with what it has already told its caller.

#pragma once

#include "chat.h"
#include "guard.hpp"

#include <string>
#include <vector>

struct shim_chat {
    common_chat_session session;
    const llama_vocab * vocab;

    std::string grammar; // the caller's own, which not every template's handler passes on

    common_chat_msg          told;   // what the deltas so far add up to
    std::vector<std::string> ids;    // ids given to tool calls, in order
    common_chat_input        unread; // pushed since the last reading
    std::string              fed;    // all text so far
    size_t                   read;   // length of it when the parser last had something to tell

    shim_chat(const common_chat_templates * templates, const llama_vocab * vocab, const common_chat_templates_inputs & inputs)
        : session(templates, vocab, inputs), vocab(vocab), grammar(inputs.grammar), told(session.msg()), read(0) {}
};
