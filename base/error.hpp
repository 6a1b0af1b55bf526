// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

/// What a failure means for whoever asked; retry decisions look at this and nothing else.
enum class ErrorKind : std::uint8_t {
    kNotFound,    ///< it does not exist, and asking again will not change that
    kDenied,      ///< credentials, permission, or the trust policy say no
    kTransient,   ///< the network or a server had a bad moment: asking again, or elsewhere, may help
    kCorrupt,     ///< bytes that do not match their digest, tree or signature
    kNoSpace,     ///< disk, file descriptors or memory have run out
    kCancelled,   ///< the asker is gone or we are stopping
    kInvalid,     ///< input that does not follow its format
    kTimeout,     ///< the deadline passed
    kUnsupported, ///< a valid request that this kernel, file system or version cannot serve
    kInternal,    ///< a bug or an operating system failure that fits nothing above
};

[[nodiscard]] std::string_view to_string(ErrorKind kind) noexcept;

/// The outcome of a request that failed: what it means, the errno where there is one, and a text that names
/// the thing and the place. Texts start in lower case and carry no final full stop, so that they can be chained.
class Error {
public:
    Error(ErrorKind kind, std::string context, int code = 0) : kind_{kind}, code_{code}, context_{std::move(context)} {}

    /// From an errno value; the text of the errno is appended to `context`, the kind follows from the value.
    [[nodiscard]] static Error from_errno(int code, std::string_view context);

    [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

    /// errno, or 0 where none was involved.
    [[nodiscard]] int code() const noexcept { return code_; }

    [[nodiscard]] const std::string& text() const noexcept { return context_; }

    /// The same failure seen from further out: "`outer`: `this`".
    [[nodiscard]] Error within(std::string_view outer) const;

private:
    ErrorKind kind_;
    int code_;
    std::string context_;
};

} // namespace sluice
