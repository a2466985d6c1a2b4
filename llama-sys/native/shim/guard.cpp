#include "guard.hpp"

#include <cstdlib>
#include <cstring>

namespace {
thread_local std::string last_error;
}

shim_status shim::fail(shim_status status, const char * message) noexcept {
    try {
        last_error = message;
    } catch (...) {
        last_error.clear(); // no memory even for the message: the status has to do
    }
    return status;
}

shim_string shim::own(const std::string & text) {
    auto * data = static_cast<char *>(std::malloc(text.size() + 1));
    if (data == nullptr) {
        throw std::bad_alloc();
    }
    std::memcpy(data, text.data(), text.size());
    data[text.size()] = '\0';
    return { data, text.size() };
}

extern "C" {

const char * shim_last_error(void) {
    return last_error.c_str();
}

void shim_string_free(shim_string s) {
    std::free(s.data);
}

}
