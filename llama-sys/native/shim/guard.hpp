// Keeps C++ exceptions on this side of the C ABI.

#pragma once

#include "shim.h"

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace shim {

// Stores the message that shim_last_error() returns and gives back `status`.
shim_status fail(shim_status status, const char * message) noexcept;

// Copies into memory that shim_string_free() releases; throws std::bad_alloc.
shim_string own(const std::string & text);

// Runs `body` and turns what it throws into a status and a message.
template <typename Body>
shim_status guard(Body && body) noexcept {
    try {
        body();
        return SHIM_OK;
    } catch (const std::invalid_argument & e) {
        return fail(SHIM_INVALID, e.what());
    } catch (const std::bad_alloc &) {
        return fail(SHIM_NO_MEMORY, "out of memory");
    } catch (const std::exception & e) {
        return fail(SHIM_ERROR, e.what());
    } catch (...) {
        return fail(SHIM_ERROR, "llama.cpp threw something that is not an exception");
    }
}

} // namespace shim
