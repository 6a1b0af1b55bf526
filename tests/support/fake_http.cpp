// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_http.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <sys/sendfile.h>
#include <sys/socket.h>

namespace sluice::test {

namespace {

constexpr std::size_t kReadStep = 64 * 1024;
constexpr std::size_t kMaxHead = 64 * 1024;
constexpr std::uint64_t kSendStep = 1024 * 1024;

std::string lower(std::string_view text)
{
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string percent_decoded(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::array<std::byte, 1> value{};
        if (text[i] == '%' && i + 2 < text.size() && decode_hex(lower(text.substr(i + 1, 2)), value)) {
            out.push_back(std::to_integer<char>(value[0]));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

std::optional<FakeHttpRequest> parse_head(std::string_view head)
{
    FakeHttpRequest request;
    bool first = true;
    for (auto line : split(head, '\n')) {
        line = trim(line);
        if (first) {
            const auto words = split(line, ' ');
            if (words.size() != 3) {
                return std::nullopt;
            }
            const auto question = std::min(words[1].find('?'), words[1].size());
            request.method = words[0];
            request.path = percent_decoded(words[1].substr(0, question));
            request.query = words[1].substr(std::min(question + 1, words[1].size()));
            first = false;
        } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
            request.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
        }
    }
    return request;
}

} // namespace

std::string FakeHttpRequest::header(std::string_view name) const
{
    for (const auto& [field, value] : headers) {
        if (field == name) {
            return value;
        }
    }
    return {};
}

std::string FakeHttpRequest::query_field(std::string_view name) const
{
    for (const auto field : split(query, '&')) {
        const auto equals = field.find('=');
        if (equals != std::string_view::npos && field.substr(0, equals) == name) {
            return percent_decoded(field.substr(equals + 1));
        }
    }
    return {};
}

std::optional<ByteRange> FakeHttpRequest::range() const
{
    const auto value = header("range");
    const auto dash = value.find('-');
    if (!value.starts_with("bytes=") || dash == std::string::npos) {
        return std::nullopt;
    }
    const auto first = parse_u64(std::string_view{value}.substr(6, dash - 6));
    const auto last = parse_u64(std::string_view{value}.substr(dash + 1));
    return first && last ? std::optional{ByteRange{*first, *last + 1}} : std::nullopt;
}

bool FakeHttpStream::fill()
{
    std::array<char, kReadStep> step; // NOLINT(cppcoreguidelines-pro-type-member-init): it is about to be filled
    const auto got = ::recv(fd_, step.data(), step.size(), 0);
    if (got > 0) {
        buffer_.append(step.data(), static_cast<std::size_t>(got));
    }
    return got > 0;
}

std::optional<FakeHttpRequest> FakeHttpStream::read_request()
{
    auto end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
        if (buffer_.size() > kMaxHead || !fill()) {
            return std::nullopt;
        }
    }
    auto request = parse_head(std::string_view{buffer_}.substr(0, end));
    buffer_.erase(0, end + 4);
    if (!request) {
        return std::nullopt;
    }
    const auto length = parse_u64(request->header("content-length")).value_or(0);
    while (buffer_.size() < length) {
        if (!fill()) {
            return std::nullopt;
        }
    }
    request->body = buffer_.substr(0, static_cast<std::size_t>(length));
    buffer_.erase(0, static_cast<std::size_t>(length));
    return request;
}

bool FakeHttpStream::send(std::string_view text)
{
    while (!text.empty()) {
        const auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool FakeHttpStream::send(const FakeContent& content, ByteRange range)
{
    if (content.bytes) {
        return send(std::string_view{*content.bytes}.substr(
            static_cast<std::size_t>(range.begin()), static_cast<std::size_t>(range.size())
        ));
    }
    auto offset = static_cast<off_t>(range.begin());
    while (offset < static_cast<off_t>(range.end())) {
        const auto left = range.end() - static_cast<std::uint64_t>(offset);
        const auto step = static_cast<std::size_t>(std::min(left, kSendStep));
        if (::sendfile(fd_, content.file->get(), &offset, step) <= 0) {
            return false;
        }
    }
    return true;
}

} // namespace sluice::test
