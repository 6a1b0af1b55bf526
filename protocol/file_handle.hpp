// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.hpp"
#include "protocol/object_handle.hpp"

#include <filesystem>
#include <memory>
#include <utility>

namespace sluice::protocol {

/// A blob's backing file, opened by the daemon itself: sparse, and with O_DIRECT where the file system has it.
/// Thread-safe.
class FileHandle final : public ObjectHandle {
public:
    /// Opens `path`, creating it with mode 0600 where it does not exist, and sets its length to `size` rounded up to
    /// whole blocks. The error names the path.
    [[nodiscard]] static Result<std::shared_ptr<FileHandle>>
    open(const std::filesystem::path& path, std::uint64_t size);

    /// The same for a file that must exist (code() ENOENT otherwise) and is never a symbolic link.
    [[nodiscard]] static Result<std::shared_ptr<FileHandle>>
    open_existing(const std::filesystem::path& path, std::uint64_t size);

    FileHandle(UniqueFd fd, std::filesystem::path path, bool direct);

    [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override;
    [[nodiscard]] Result<std::vector<ByteRange>> missing(ByteRange range) const override;

    /// All of `into` from `offset` on: multiples of kBlockSize, memory aligned to it. kInternal when the file ends
    /// before. Leaves nothing of it in the page cache.
    [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<std::byte> into) const;

    /// Makes data, holes and attributes durable.
    [[nodiscard]] Result<void> sync();

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

    [[nodiscard]] bool direct() const noexcept { return direct_; }

    /// For the one who has renamed the file, before anybody else knows the handle: its name in error texts.
    void moved_to(std::filesystem::path path) { path_ = std::move(path); }

private:
    [[nodiscard]] static Result<std::shared_ptr<FileHandle>>
    open_with(int flags, const std::filesystem::path& path, std::uint64_t size);

    UniqueFd fd_;
    std::filesystem::path path_;
    bool direct_;
};

} // namespace sluice::protocol
