// SPDX-License-Identifier: Apache-2.0
#include "fetcher/image_source.hpp"

#include <fmt/format.h>
#include <utility>
#include <variant>

namespace sluice::fetcher {

namespace {

constexpr unsigned kMaxIndexDepth = 2;

} // namespace

Task<Result<ResolvedManifest>> ImageSource::resolve(Reference reference, Platform platform, Deadline deadline)
{
    const auto name = reference.to_string();
    ResolvedManifest resolved;
    resolved.repository = reference.repository.to_string();
    auto wanted = reference.tag_or_digest();
    for (unsigned depth = 0;; ++depth) {
        auto raw = co_await fetch_manifest(resolved.repository, wanted, deadline);
        if (!raw) {
            co_return fail(std::move(raw.error()));
        }
        auto document = parse_manifest(raw->bytes, raw->media_type);
        if (!document) {
            co_return fail(document.error(), name);
        }
        if (auto* manifest = std::get_if<Manifest>(&*document)) {
            resolved.digest = raw->digest;
            resolved.bytes = std::move(raw->bytes);
            resolved.manifest = std::move(*manifest);
            co_return resolved;
        }
        if (depth == kMaxIndexDepth) {
            co_return fail(ErrorKind::kInvalid, fmt::format("{}: indexes inside indexes, too deep", name));
        }
        if (!resolved.index_digest) {
            resolved.index_digest = raw->digest;
        }
        const auto chosen = choose_platform(std::get<Index>(*document), platform);
        if (!chosen) {
            co_return fail(chosen.error(), name);
        }
        wanted = chosen->digest.to_string();
        resolved.indexes.push_back(std::move(raw->bytes));
    }
}

} // namespace sluice::fetcher
