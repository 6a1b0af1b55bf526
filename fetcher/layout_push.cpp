// SPDX-License-Identifier: Apache-2.0
#include "fetcher/layout_push.hpp"

#include "base/byte_range.hpp"
#include "base/text.hpp"
#include "fetcher/deadline_task.hpp"
#include "fetcher/layout_files.hpp"
#include "fetcher/manifest.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kCopyStep = 8 * 1024 * 1024;

Result<bool> is_there(const std::string& path)
{
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    return errno == ENOENT ? Result<bool>{false} : fail_errno(errno, path);
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
    std::string directory;
    Digest digest;
    UniqueFd from;
    std::unique_ptr<LayoutFile> to; ///< null until the worker has made it
};

/// With its first step, a copy makes what it copies into: that is work on files too.
Result<void> begin_copy(Copy& copy)
{
    if (copy.to) {
        return {};
    }
    if (auto ready = prepare_layout(copy.directory); !ready) {
        return ready;
    }
    auto to = LayoutFile::create(layout_blob_path(copy.directory, copy.digest));
    if (!to) {
        return fail(std::move(to.error()));
    }
    copy.to = std::move(*to);
    return {};
}

Result<void> copy_step(Copy& copy, ByteRange range)
{
    if (auto begun = begin_copy(copy); !begun) {
        return begun;
    }
    std::vector<std::byte> buffer(static_cast<std::size_t>(range.size()));
    auto got = read_exactly(copy.from.get(), buffer, range.begin());
    return got ? copy.to->write(buffer) : got;
}

Result<void> end_copy(Copy& copy)
{
    auto begun = begin_copy(copy); // an empty blob has no steps
    return begun ? copy.to->commit() : begun;
}

} // namespace

LayoutPush::LayoutPush(EventLoop& loop, Sha256Function sha256)
    : loop_{loop}, sha256_{sha256}, workers_{1, "layout-push"}
{}

Task<Result<bool>> LayoutPush::blob_exists(std::string repository, Digest digest, Deadline deadline)
{
    auto directory = layout_directory(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    auto path = layout_blob_path(*directory, digest);
    auto job = [path] { return is_there(path); };
    auto inner = workers_.run(loop_, std::move(job));
    auto there = co_await with_deadline(loop_, std::move(inner), deadline, std::move(path));
    co_return there;
}

Task<Result<void>> LayoutPush::push_blob(
    std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline
)
{
    auto directory = layout_directory(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    const auto copy = std::make_shared<Copy>();
    copy->directory = std::move(*directory);
    copy->digest = digest;
    // Our own descriptor: a worker may still read when the task has been cancelled and the caller's
    // is closed.
    copy->from = UniqueFd{kAdoptFd, ::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    if (!copy->from) {
        co_return fail_errno(errno, repository);
    }
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
    auto job = [copy] { return end_copy(*copy); };
    auto committed = co_await workers_.run(loop_, std::move(job));
    co_return committed;
}

Task<Result<void>> LayoutPush::push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline)
{
    auto directory = layout_directory(repository);
    if (!directory) {
        co_return fail(std::move(directory.error()));
    }
    auto job = [path = std::move(*directory), content = std::move(bytes), digest] {
        return store_bytes(path, digest, content);
    };
    auto stored = co_await workers_.run(loop_, std::move(job));
    co_return stored;
}

Task<Result<void>> LayoutPush::put_manifest(
    std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline
)
{
    auto directory = layout_directory(repository);
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
