// SPDX-License-Identifier: Apache-2.0
#include "fetcher/oci_layout.hpp"

#include "base/text.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/deadline_task.hpp"
#include "fetcher/layout_files.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kWorkers = 2;
constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

Result<std::shared_ptr<UniqueFd>> open_shared(const std::string& path, std::uint64_t size)
{
    auto fd = open_layout_blob(path, size);
    if (!fd) {
        return fail(std::move(fd.error()));
    }
    return std::make_shared<UniqueFd>(std::move(*fd));
}

Result<std::string>
load_blob(const std::string& path, const BlobLocation& blob, std::size_t limit, Sha256Function sha256)
{
    auto bytes = read_small_file(path, limit);
    if (bytes && (bytes->size() != blob.size || sha256(as_byte_span(*bytes)) != blob.digest)) {
        return fail(
            ErrorKind::kCorrupt,
            fmt::format("{}: the bytes of {} do not match its digest", blob.repository, blob.digest.to_string())
        );
    }
    return bytes;
}

Result<Descriptor> find_in_index(const std::string& directory, const std::string& tag)
{
    const auto path = directory + "/index.json";
    const auto text = read_small_file(path, kMaxManifestSize);
    if (!text) {
        return fail(text.error());
    }
    const auto document = parse_manifest(*text, media_type::kOciIndex);
    if (!document) {
        return fail(document.error(), path);
    }
    const auto* index = std::get_if<Index>(&*document);
    if (index == nullptr) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not an index", path));
    }
    const auto has_tag = [&tag](const Descriptor& entry) {
        const auto* name = entry.annotation(kRefName);
        return name != nullptr && *name == tag;
    };
    if (const auto it = std::ranges::find_if(index->manifests, has_tag); it != index->manifests.end()) {
        return *it;
    }
    return fail(ErrorKind::kNotFound, fmt::format("{}: no entry with the tag {}", path, printable(tag)));
}

Result<RawManifest> load_manifest(const std::string& directory, const std::string& tag_or_digest, Sha256Function sha256)
{
    RawManifest raw;
    auto digest = Digest::parse(tag_or_digest);
    if (!digest) {
        auto entry = find_in_index(directory, tag_or_digest);
        if (!entry) {
            return fail(std::move(entry.error()));
        }
        digest = entry->digest;
        raw.media_type = std::move(entry->media_type);
    }
    auto bytes = read_small_file(layout_blob_path(directory, *digest), kMaxManifestSize);
    if (!bytes) {
        return fail(std::move(bytes.error()));
    }
    raw.bytes = std::move(*bytes);
    raw.digest = sha256(as_byte_span(raw.bytes));
    if (raw.digest != *digest) {
        return fail(
            ErrorKind::kCorrupt,
            fmt::format("{}: its bytes do not match its name", layout_blob_path(directory, *digest))
        );
    }
    return raw;
}

} // namespace

OciLayout::OciLayout(EventLoop& loop, BufferGate& buffers, Sha256Function sha256)
    : loop_{loop}, buffers_{buffers}, sha256_{sha256}, workers_{kWorkers, "layout"}
{}

Task<Result<void>> OciLayout::fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms)
{
    assert(!range.empty() && range.end() <= blob.size);
    const auto directory = layout_directory(blob.repository);
    if (!directory) {
        co_return fail(directory.error());
    }
    const auto path = layout_blob_path(*directory, blob.digest);
    auto inner = read(path, std::move(blob), range, sink, terms.urgency);
    if (terms.stall.count() > 0) {
        auto unhurried = co_await inner; // a disk is slow or broken, and says so itself
        co_return unhurried;
    }
    auto outcome = co_await with_deadline(loop_, std::move(inner), terms.deadline, path);
    co_return outcome;
}

Task<Result<void>>
OciLayout::read(std::string path, BlobLocation blob, ByteRange range, ChunkSink& sink, Urgency urgency)
{
    auto open = [path, size = blob.size] { return open_shared(path, size); };
    const auto opened = co_await workers_.run(loop_, std::move(open), urgency);
    if (!opened) {
        co_return fail(opened.error());
    }
    const auto& fd = *opened;
    const std::uint64_t grain = buffers_.buffer_size();
    for (auto offset = range.begin(); offset < range.end();) {
        const auto end = std::min((offset / grain + 1) * grain, range.end());
        // Shared with the worker and not handed through it: on cancelling, it goes back to the pool
        // when the read ends.
        auto taken = co_await buffers_.take(urgency);
        auto buffer = std::make_shared<AlignedBuffer>(std::move(taken));
        buffer->set_size(static_cast<std::size_t>(end - offset));
        auto job = [fd, buffer, offset] { return read_exactly(fd->get(), buffer->bytes(), offset); };
        const auto got = co_await workers_.run(loop_, std::move(job), urgency);
        if (!got) {
            co_return fail(got.error(), path);
        }
        const auto at = std::exchange(offset, end);
        sink.on_chunk(at, std::move(*buffer));
    }
    co_return Result<void>{};
}

Task<Result<RawManifest>>
OciLayout::fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline)
{
    auto directory = layout_directory(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    auto job = [path = std::move(*directory), name = std::move(tag_or_digest), hash = sha256_] {
        return load_manifest(path, name, hash);
    };
    auto inner = workers_.run(loop_, std::move(job));
    auto raw = co_await with_deadline(loop_, std::move(inner), deadline, std::move(repository));
    co_return raw;
}

Task<Result<std::string>> OciLayout::fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline)
{
    const auto directory = layout_directory(blob.repository);
    if (!directory) {
        co_return fail(directory.error());
    }
    auto path = layout_blob_path(*directory, blob.digest);
    auto job = [path, blob, limit, hash = sha256_] { return load_blob(path, blob, limit, hash); };
    auto inner = workers_.run(loop_, std::move(job));
    auto bytes = co_await with_deadline(loop_, std::move(inner), deadline, std::move(path));
    co_return bytes;
}

} // namespace sluice::fetcher
