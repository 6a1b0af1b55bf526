// SPDX-License-Identifier: Apache-2.0
//
// RFC 9110, 11.6.1: challenges and the parameters inside them are both separated by commas, so a
// token is a scheme when no
// "=" follows it.
#include "fetcher/auth_challenge.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxChallenges = 32;

bool is_token_char(char c) noexcept
{
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kMarks.find(c) != std::string_view::npos;
}

std::string lower(std::string_view text)
{
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) noexcept : text_{text} {}

    [[nodiscard]] bool at_end() const noexcept { return text_.empty(); }

    void skip(std::string_view chars) noexcept
    {
        text_.remove_prefix(std::min(text_.find_first_not_of(chars), text_.size()));
    }

    [[nodiscard]] bool take(char c) noexcept
    {
        if (text_.empty() || text_.front() != c) {
            return false;
        }
        text_.remove_prefix(1);
        return true;
    }

    [[nodiscard]] std::string_view token() noexcept
    {
        const auto* end = std::ranges::find_if_not(text_, is_token_char);
        const auto length = static_cast<std::size_t>(end - text_.data());
        return drop(length);
    }

    /// The rest of a string whose opening quote was taken; nothing when it does not end.
    [[nodiscard]] std::optional<std::string> quoted()
    {
        std::string value;
        while (!text_.empty()) {
            char c = text_.front();
            text_.remove_prefix(1);
            if (c == '"') {
                return value;
            }
            if (c == '\\' && !text_.empty()) {
                c = text_.front();
                text_.remove_prefix(1);
            }
            value.push_back(c);
        }
        return std::nullopt;
    }

    /// Up to the next comma.
    std::string_view rest_of_element() noexcept { return drop(std::min(text_.find(','), text_.size())); }

private:
    std::string_view drop(std::size_t length) noexcept
    {
        const auto taken = text_.substr(0, length);
        text_.remove_prefix(length);
        return taken;
    }

    std::string_view text_;
};

void parse_field(std::string_view field, std::vector<AuthChallenge>& challenges)
{
    constexpr std::string_view kBlanks = " \t";
    Scanner scanner{field};
    bool inside = false; // a scheme has been seen that parameters can belong to
    for (;;) {
        scanner.skip(" \t,");
        if (scanner.at_end()) {
            return;
        }
        const auto word = scanner.token();
        scanner.skip(kBlanks);
        if (word.empty()) {
            scanner.rest_of_element();
            (void)scanner.take(',');
            continue;
        }
        if (!scanner.take('=')) {
            if (challenges.size() == kMaxChallenges) {
                return;
            }
            challenges.push_back({lower(word), {}});
            inside = true;
            continue;
        }
        scanner.skip(kBlanks);
        std::string value;
        if (scanner.take('"')) {
            auto text = scanner.quoted();
            if (!text) {
                return;
            }
            value = std::move(*text);
        } else {
            value = scanner.token();
        }
        scanner.rest_of_element(); // stray characters, and what a token68 leaves behind
        if (inside) {
            challenges.back().parameters.try_emplace(lower(word), std::move(value));
        }
    }
}

} // namespace

std::string AuthChallenge::parameter(std::string_view name) const
{
    const auto it = parameters.find(name);
    return it == parameters.end() ? std::string{} : it->second;
}

std::vector<AuthChallenge> parse_challenges(const std::vector<std::string>& fields)
{
    std::vector<AuthChallenge> challenges;
    for (const auto& field : fields) {
        parse_field(field, challenges);
    }
    return challenges;
}

} // namespace sluice::fetcher
