// SPDX-License-Identifier: Apache-2.0
#include "tools/blob_watch.hpp"

#include "base/text.hpp"
#include "tools/control_api.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace sluice::tools {

std::optional<std::uint64_t> json_u64(const Json& object, const char* name)
{
    const Json* member = json_member(object, name);
    if (member == nullptr || !member->is_number_integer() ||
        (!member->is_number_unsigned() && member->get<std::int64_t>() < 0)) {
        return std::nullopt;
    }
    return member->get<std::uint64_t>();
}

std::optional<Share> BlobGrowth::update(const Json& blobs)
{
    Share share;
    bool any = false;
    for (const auto& row : json_rows(blobs, "blobs")) {
        const auto* digest = json_string(row, "digest");
        const auto size = json_u64(row, "erofs_size");
        if (digest == nullptr || !size) {
            continue;
        }
        const std::uint64_t present = json_u64(row, "present").value_or(0);
        auto& blob = blobs_.try_emplace(*digest, Blob{present, false}).first->second;
        blob.grown = blob.grown || present > blob.first;
        if (blob.grown) {
            share.done += present;
            share.total += *size;
            any = true;
        }
    }
    return any ? std::optional{share} : std::nullopt;
}

std::vector<std::string> cookies_of(const Json& image)
{
    std::vector<std::string> cookies;
    const auto add = [&cookies](const Json& cookie) {
        if (const auto* text = cookie.get_ptr<const std::string*>()) {
            cookies.push_back(*text);
        }
    };
    for (const auto& layer : json_rows(image, "layers")) {
        if (const auto* fsid = json_member(layer, "fsid")) {
            add(*fsid);
        }
        for (const auto& device : json_rows(layer, "devices")) {
            add(device);
        }
    }
    return cookies;
}

Share share_of(const Json& blobs, const std::vector<std::string>& cookies)
{
    Share share;
    for (const auto& row : json_rows(blobs, "blobs")) {
        const auto* cookie = json_string(row, "cookie");
        if (cookie != nullptr && std::find(cookies.begin(), cookies.end(), *cookie) != cookies.end()) {
            share.done += json_u64(row, "present").value_or(0);
            share.total += json_u64(row, "erofs_size").value_or(0);
        }
    }
    return share;
}

std::optional<std::string> WaitNotice::update(const std::optional<Share>& share, TimePoint now)
{
    constexpr std::chrono::seconds kPatience{2};
    if (is_told_ || now - begin_ < kPatience) {
        return std::nullopt;
    }
    is_told_ = true;
    const auto name = printable(reference_);
    if (!share) {
        return fmt::format("waiting for sluiced, which looks for {} and its signature in the registry", name);
    }
    return fmt::format(
        "waiting for sluiced, which downloads {} whole, as compressed images need it: {} of {} are there",
        name,
        format_size(share->done),
        format_size(share->total)
    );
}

const Json* find_blob(const Json& blobs, std::string_view digest)
{
    constexpr std::string_view kAlgorithm = "sha256:";
    const auto hex = [&](std::string_view text) {
        return text.starts_with(kAlgorithm) ? text.substr(kAlgorithm.size()) : text;
    };
    for (const auto& row : json_rows(blobs, "blobs")) {
        const auto* candidate = json_string(row, "digest");
        if (candidate != nullptr && hex(*candidate) == hex(digest)) {
            return &row;
        }
    }
    return nullptr;
}

std::string last_error_of(const Json& blob)
{
    const Json* error = json_member(blob, "last_error");
    if (error == nullptr) {
        return {};
    }
    if (const auto* text = error->get_ptr<const std::string*>()) {
        return printable(*text, 1000);
    }
    const auto* message = json_string(*error, "message");
    return message == nullptr ? std::string{} : printable(*message, 1000);
}

} // namespace sluice::tools
