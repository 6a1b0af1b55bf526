// SPDX-License-Identifier: Apache-2.0
#include "protocol/cookie_path.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <limits>

namespace sluice::protocol {

namespace {

constexpr std::string_view kErofsPrefix = "erofs,";
constexpr std::uint8_t kFileType = 1;
constexpr std::uint8_t kContentDirty = 4;

constexpr std::size_t round_up(std::size_t value, std::size_t grain) noexcept
{
    return (value + grain - 1) / grain * grain;
}

std::uint32_t byte_at(std::string_view text, std::size_t at) noexcept
{
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
}

std::uint32_t little_word(std::string_view text, std::size_t at) noexcept
{
    return byte_at(text, at) | byte_at(text, at + 1) << 8 | byte_at(text, at + 2) << 16 | byte_at(text, at + 3) << 24;
}

/// fscache's hash of whole 32-bit words; a short last word is filled up with zeros.
std::uint32_t hash_words(std::uint32_t salt, std::string_view text) noexcept
{
    constexpr std::uint32_t kGolden = 0x61C88647U;
    std::uint32_t x = 0;
    std::uint32_t y = salt;
    for (std::size_t at = 0; at < text.size(); at += 4) {
        x ^= little_word(text, at);
        y ^= x;
        x = std::rotl(x, 7);
        x += y;
        y = std::rotl(y, 20);
        y *= 9;
    }
    return (y ^ (x * kGolden)) * kGolden;
}

bool is_plain(char c) noexcept
{
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x21 && byte <= 0x7f && byte != '/';
}

std::string hex_words(std::string_view key, char prefix)
{
    std::string name;
    for (std::size_t at = 0; at < key.size(); at += 4) {
        auto word = little_word(key, at);
        if (prefix == 'S') {
            word = word << 24 | (word & 0xff00U) << 8 | (word >> 8 & 0xff00U) | word >> 24;
        }
        name.push_back(at == 0 ? prefix : ',');
        if (word != 0) {
            name += fmt::format("{:x}", word);
        }
    }
    return name;
}

std::string base64_name(std::string_view key)
{
    constexpr std::string_view kAlphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    std::string name{'E', static_cast<char>('0' + (round_up(key.size(), 3) - key.size()))};
    for (std::size_t at = 0; at < key.size(); at += 3) {
        auto bits = byte_at(key, at) | byte_at(key, at + 1) << 8 | byte_at(key, at + 2) << 16;
        for (int i = 0; i < 4; ++i, bits >>= 6) {
            name.push_back(kAlphabet[bits & 63U]);
        }
    }
    return name;
}

Result<void> validate_name(std::string_view what, std::string_view name, std::size_t limit)
{
    if (name.empty() || name.size() > limit) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: {} bytes; 1 to {} are possible", what, name.size(), limit));
    }
    const auto unfit = [](char c) { return c == '/' || c == 0x7f || static_cast<unsigned char>(c) < 0x20; };
    if (std::ranges::any_of(name, unfit)) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("{} '{}': neither a slash nor a control character can be in it", what, printable(name))
        );
    }
    return {};
}

} // namespace

std::string erofs_volume_key(std::string_view domain_or_fsid)
{
    return std::string{kErofsPrefix}.append(domain_or_fsid);
}

Result<void> validate_cookie_key(std::string_view key)
{
    return validate_name("blob name", key, kCookieKeyMax);
}

Result<void> validate_domain(std::string_view domain)
{
    return validate_name("domain", domain, kVolumeKeyMax - kErofsPrefix.size());
}

std::uint32_t volume_hash(std::string_view volume)
{
    std::string buffer(round_up(1 + volume.size() + 1, 4), '\0');
    buffer[0] = static_cast<char>(volume.size());
    std::ranges::copy(volume, buffer.begin() + 1);
    return hash_words(0, buffer);
}

std::uint32_t cookie_hash(std::uint32_t volume_hash, std::string_view cookie)
{
    return hash_words(volume_hash, cookie);
}

std::string fan_directory(std::string_view volume, std::string_view cookie)
{
    return fmt::format("@{:02x}", cookie_hash(volume_hash(volume), cookie) & 0xffU);
}

std::string cook_key(std::string_view cookie)
{
    if (std::ranges::all_of(cookie, is_plain)) {
        return "D" + std::string{cookie};
    }
    const auto big = hex_words(cookie, 'S');
    const auto little = hex_words(cookie, 'T');
    const auto base64_size = 2 + round_up(cookie.size(), 3) / 3 * 4;
    if (std::min(big.size(), little.size()) < base64_size) {
        return big.size() <= little.size() ? big : little;
    }
    return base64_name(cookie);
}

std::string volume_directory(std::string_view volume)
{
    return "I" + std::string{volume};
}

std::filesystem::path cookie_path(std::string_view volume, std::string_view cookie)
{
    return std::filesystem::path{"cache"} / volume_directory(volume) / fan_directory(volume, cookie) / cook_key(cookie);
}

FileXattr encode_file_xattr(std::uint64_t size) noexcept
{
    FileXattr value{}; // big-endian size, zero point 0, type, content 0
    for (std::size_t i = 0; i < 8; ++i) {
        value[i] = static_cast<std::byte>(size >> (56 - 8 * i) & 0xffU);
    }
    value[16] = std::byte{kFileType};
    return value;
}

std::optional<std::uint64_t> check_file_xattr(std::span<const std::byte> value) noexcept
{
    if (value.size() != std::tuple_size_v<FileXattr> || value[16] != std::byte{kFileType} ||
        value[17] == std::byte{kContentDirty}) {
        return std::nullopt;
    }
    std::uint64_t size = 0;
    for (const auto b : value.first<8>()) {
        size = size << 8 | std::to_integer<std::uint64_t>(b);
    }
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return size <= kMax ? std::optional{size} : std::nullopt;
}

VolumeXattr encode_volume_xattr() noexcept
{
    return {};
}

bool check_volume_xattr(std::span<const std::byte> value) noexcept
{
    return std::ranges::equal(value, encode_volume_xattr());
}

} // namespace sluice::protocol
