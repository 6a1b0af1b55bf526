// SPDX-License-Identifier: Apache-2.0
//
// Manifests and indexes, as a registry or a layout directory may hold them. The first line is the Content-Type.
#include "fetcher/manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::fetcher;
    const std::string_view text{static_cast<const char*>(static_cast<const void*>(data)), size};
    const auto line = text.find('\n');
    const auto type = line == std::string_view::npos ? std::string_view{} : text.substr(0, line);
    const auto parsed = parse_manifest(line == std::string_view::npos ? text : text.substr(line + 1), type);
    if (!parsed) {
        return parsed.error().text().empty() ? std::abort(), 0 : 0;
    }
    if (const auto* index = std::get_if<Index>(&*parsed)) {
        const auto platform = parse_platform("linux/amd64");
        const auto chosen = choose_platform(*index, *platform);
        if (chosen && index->manifests.empty()) {
            std::abort();
        }
    }
    return 0;
}
