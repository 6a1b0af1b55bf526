// SPDX-License-Identifier: Apache-2.0
#include "tools/blob_export.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <span>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace sluice::tools {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::size_t kLanes = 8; // pieces under way at once

/// A part of the blob on its way from the daemon into the file.
struct Lane {
    std::vector<std::byte> bytes = std::vector<std::byte>(kPiece);
    std::uint64_t offset = 0;
    std::size_t size = 0;
};

class Copy {
public:
    Copy(sluice_client& client, sluice_blob& blob, int file, bool compare, const ExportProgress& progress)
        : client_{client}
        , blob_{blob}
        , file_{file}
        , compare_{compare}
        , progress_{progress}
        , size_{sluice_blob_size(&blob)}
        , old_(compare ? kPiece : 0)
    {}

    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;

    ~Copy() // no buffer goes while the library may still write to it
    {
        sluice_cancel_all(&client_);
        while (under_way_ > 0 && take_completions([](Lane&, std::int64_t) { return Result<void>{}; })) {
        }
    }

    [[nodiscard]] Result<std::uint64_t> run()
    {
        for (auto& lane : lanes_) {
            if (auto started = start(lane); !started) {
                return fail(started.error());
            }
        }
        while (under_way_ > 0) {
            const auto taken = take_completions([this](Lane& lane, std::int64_t result) { return land(lane, result); });
            if (!taken) {
                return fail(taken.error());
            }
        }
        return reused_;
    }

private:
    /// The next piece that nobody has begun, if there is one.
    [[nodiscard]] Result<void> start(Lane& lane)
    {
        lane.offset = next_;
        lane.size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, size_ - next_));
        next_ += lane.size;
        return lane.size == 0 ? Result<void>{} : submit(lane);
    }

    [[nodiscard]] Result<void> submit(Lane& lane)
    {
        const auto offset = static_cast<std::int64_t>(lane.offset);
        const int status = sluice_submit_pread(&blob_, lane.bytes.data(), lane.size, offset, &lane, nullptr);
        if (status != 0) {
            return fail_errno(-status, "libsluice");
        }
        ++under_way_;
        return {};
    }

    template <typename Take>
    [[nodiscard]] Result<void> take_completions(Take take)
    {
        pollfd watched{sluice_event_fd(&client_), POLLIN, 0};
        if (::poll(&watched, 1, -1) < 0 && errno != EINTR) {
            return fail_errno(errno, "poll");
        }
        std::array<sluice_completion, kLanes> done{};
        const int count = sluice_reap(&client_, done.data(), done.size());
        Result<void> outcome;
        for (int i = 0; i < count; ++i) { // each is accounted for, whatever became of the one before
            const auto& completion = done[static_cast<std::size_t>(i)];
            --under_way_;
            auto landed = take(*static_cast<Lane*>(completion.user), completion.result);
            if (outcome) {
                outcome = std::move(landed);
            }
        }
        return outcome;
    }

    [[nodiscard]] Result<void> land(Lane& lane, std::int64_t result)
    {
        if (result <= 0) {
            const int code = result < 0 ? static_cast<int>(-result) : EIO;
            return fail_errno(code, fmt::format("{} at byte {}", sluice_blob_digest(&blob_), lane.offset));
        }
        const auto size = static_cast<std::size_t>(result);
        if (auto stored = store(std::span{lane.bytes}.first(size), lane.offset); !stored) {
            return stored;
        }
        done_ += size;
        if (progress_) {
            progress_(done_, size_);
        }
        if (size < lane.size) { // the rest says why
            lane.offset += size;
            lane.size -= size;
            return submit(lane);
        }
        return start(lane);
    }

    [[nodiscard]] Result<void> store(std::span<const std::byte> bytes, std::uint64_t offset)
    {
        if (compare_ && same(bytes, offset)) {
            reused_ += bytes.size();
            return {};
        }
        while (!bytes.empty()) {
            const auto written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) {
                continue;
            }
            if (written <= 0) {
                return fail_errno(written < 0 ? errno : EIO, "write");
            }
            bytes = bytes.subspan(static_cast<std::size_t>(written));
            offset += static_cast<std::uint64_t>(written);
        }
        return {};
    }

    [[nodiscard]] bool same(std::span<const std::byte> bytes, std::uint64_t offset)
    {
        const auto got = ::pread(file_, old_.data(), bytes.size(), static_cast<off_t>(offset));
        return got == static_cast<ssize_t>(bytes.size()) && std::memcmp(old_.data(), bytes.data(), bytes.size()) == 0;
    }

    sluice_client& client_;
    sluice_blob& blob_;
    int file_;
    bool compare_;
    const ExportProgress& progress_;
    std::uint64_t size_;
    std::uint64_t next_ = 0;
    std::uint64_t done_ = 0;
    std::uint64_t reused_ = 0;
    std::size_t under_way_ = 0;
    std::vector<std::byte> old_;
    std::array<Lane, kLanes> lanes_;
};

Result<void> sync_directory(const std::filesystem::path& directory)
{
    const auto path = directory.empty() ? std::filesystem::path{"."} : directory;
    const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd || ::fsync(fd.get()) != 0) {
        return fail_errno(errno, path.string());
    }
    return {};
}

/// A file that somebody else has put there, or that has another name besides, could be written to while it is compared,
/// and read when it is in the target's place.
Result<void> check_part(const struct stat& status, const std::string& part)
{
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a regular file", part));
    }
    if (status.st_uid != ::geteuid()) {
        return fail(
            ErrorKind::kDenied,
            fmt::format("{}: it belongs to user {}, not to you; remove it, or export elsewhere", part, status.st_uid)
        );
    }
    if (status.st_nlink != 1) {
        return fail(
            ErrorKind::kDenied,
            fmt::format("{}: it has {} names; remove this one, or export elsewhere", part, status.st_nlink)
        );
    }
    return {};
}

} // namespace

Result<ExportedBlob> export_blob(
    sluice_client& client, sluice_blob& blob, const std::filesystem::path& target, const ExportProgress& progress
)
{
    const auto part = std::filesystem::path{target.native() + ".part"};
    const UniqueFd file{kAdoptFd, ::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666)};

    struct stat before {};

    if (!file || ::fstat(file.get(), &before) != 0) {
        return fail_errno(errno, part.string());
    }
    if (auto checked = check_part(before, part.string()); !checked) {
        return fail(checked.error());
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail_errno(errno, fmt::format("{}: somebody else is writing it", part.string()));
    }
    const auto size = sluice_blob_size(&blob);
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
        return fail_errno(errno, part.string());
    }
    const auto reused = Copy{client, blob, file.get(), before.st_size > 0, progress}.run();
    if (!reused) {
        return fail(reused.error(), target.string());
    }
    if (::fsync(file.get()) != 0) {
        return fail_errno(errno, part.string());
    }
    if (::rename(part.c_str(), target.c_str()) != 0) {
        return fail_errno(errno, target.string());
    }
    if (auto synced = sync_directory(target.parent_path()); !synced) {
        return fail(synced.error());
    }
    return ExportedBlob{sluice_blob_digest(&blob), size, *reused};
}

} // namespace sluice::tools
