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
constexpr std::size_t kCopyStep = 8 * 1024 * 1024;
constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

Result<std::string> directory_of(const std::string& repository)
{
    auto place = Repository::parse(repository);
    if (!place) {
        return fail(std::move(place.error()));
    }
    if (!place->is_layout()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not an image layout", repository));
    }
    return std::move(place->name);
}

Result<void> read_exactly(int fd, std::span<std::byte> space, std::uint64_t offset)
{
    while (!space.empty()) {
        const auto got = ::pread(fd, space.data(), space.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, "read");
        }
        if (got == 0) {
            return fail(ErrorKind::kCorrupt, "the file has become shorter");
        }
        space = space.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return {};
}

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

Result<bool> is_there(const std::string& path)
{
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    return errno == ENOENT ? Result<bool>{false} : fail_errno(errno, path);
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

Result<void> store_bytes(const std::string& directory, const Digest& digest, std::string_view bytes)
{
    auto ready = prepare_layout(directory);
    return ready ? write_whole_file(layout_blob_path(directory, digest), bytes) : ready;
}

Result<void> store_manifest(
    const std::string& directory,
    const std::string& tag_or_digest,
    const std::string& type,
    const std::string& bytes,
    const Digest& digest
)
{
    const auto named = Digest::parse(tag_or_digest);
    if (named && *named != digest) {
        return fail(ErrorKind::kCorrupt, fmt::format("{}: manifest {} has other bytes", directory, tag_or_digest));
    }
    auto stored = store_bytes(directory, digest, bytes);
    if (!stored) {
        return stored;
    }
    LayoutEntry entry{.media_type = type, .digest = digest, .size = bytes.size(), .artifact_type = {}};
    if (const auto parsed = parse_manifest(bytes, type)) {
        if (const auto* manifest = std::get_if<Manifest>(&*parsed)) {
            entry.artifact_type = manifest->artifact_type;
        }
    }
    return add_to_layout_index(directory, entry, named ? std::string{} : tag_or_digest);
}

/// What a copy works on; shared with the worker, so that a cancelled push leaves it something to
/// stand on.
struct Copy {
    UniqueFd from;
    std::unique_ptr<LayoutFile> to;
};

Result<std::shared_ptr<Copy>> begin_copy(const std::string& directory, const Digest& digest, UniqueFd from)
{
    if (auto ready = prepare_layout(directory); !ready) {
        return fail(std::move(ready.error()));
    }
    auto to = LayoutFile::create(layout_blob_path(directory, digest));
    if (!to) {
        return fail(std::move(to.error()));
    }
    auto copy = std::make_shared<Copy>();
    copy->from = std::move(from);
    copy->to = std::move(*to);
    return copy;
}

Result<void> copy_step(Copy& copy, ByteRange range)
{
    std::vector<std::byte> buffer(static_cast<std::size_t>(range.size()));
    auto got = read_exactly(copy.from.get(), buffer, range.begin());
    return got ? copy.to->write(buffer) : got;
}

} // namespace

OciLayout::OciLayout(EventLoop& loop, BufferGate& buffers, Sha256Function sha256)
    : loop_{loop}, buffers_{buffers}, sha256_{sha256}, workers_{kWorkers, "layout"}
{}

Task<Result<void>> OciLayout::fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms)
{
    assert(!range.empty() && range.end() <= blob.size);
    const auto directory = directory_of(blob.repository);
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
    const auto fd = *opened;
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
    auto directory = directory_of(repository);
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
    const auto directory = directory_of(blob.repository);
    if (!directory) {
        co_return fail(directory.error());
    }
    auto path = layout_blob_path(*directory, blob.digest);
    auto job = [path, blob, limit, hash = sha256_] { return load_blob(path, blob, limit, hash); };
    auto inner = workers_.run(loop_, std::move(job));
    auto bytes = co_await with_deadline(loop_, std::move(inner), deadline, std::move(path));
    co_return bytes;
}

Task<Result<bool>> OciLayout::blob_exists(std::string repository, Digest digest, Deadline deadline)
{
    auto directory = directory_of(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    auto path = layout_blob_path(*directory, digest);
    auto job = [path] { return is_there(path); };
    auto inner = workers_.run(loop_, std::move(job));
    auto there = co_await with_deadline(loop_, std::move(inner), deadline, std::move(path));
    co_return there;
}

Task<Result<void>>
OciLayout::push_blob(std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline)
{
    auto directory = directory_of(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    // Our own descriptor: a worker may still read when the task has been cancelled and the caller's
    // is closed.
    UniqueFd from{kAdoptFd, ::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    if (!from) {
        co_return fail_errno(errno, repository);
    }
    auto begun = begin_copy(*directory, digest, std::move(from));
    if (!begun) {
        co_return fail(std::move(begun.error()));
    }
    const auto copy = std::move(*begun);
    for (std::uint64_t done = 0; done < size;) {
        const ByteRange step{done, std::min<std::uint64_t>(done + kCopyStep, size)};
        auto job = [copy, step] { return copy_step(*copy, step); };
        const auto moved = co_await workers_.run(loop_, std::move(job));
        if (!moved) {
            co_return fail(moved.error(), repository);
        }
        done = step.end();
        if (progress) {
            progress(done);
        }
    }
    auto job = [copy] { return copy->to->commit(); };
    auto committed = co_await workers_.run(loop_, std::move(job));
    co_return committed;
}

Task<Result<void>> OciLayout::push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline)
{
    auto directory = directory_of(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    auto job = [path = std::move(*directory), content = std::move(bytes), digest] {
        return store_bytes(path, digest, content);
    };
    auto stored = co_await workers_.run(loop_, std::move(job));
    co_return stored;
}

Task<Result<void>> OciLayout::put_manifest(
    std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline
)
{
    auto directory = directory_of(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    const auto digest = sha256_(as_byte_span(bytes));
    auto job = [path = std::move(*directory),
                name = std::move(tag_or_digest),
                type = std::move(media_type),
                content = std::move(bytes),
                digest] { return store_manifest(path, name, type, content, digest); };
    auto stored = co_await workers_.run(loop_, std::move(job));
    co_return stored;
}

} // namespace sluice::fetcher
