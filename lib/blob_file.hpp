// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/mutex.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <sys/types.h>

namespace sluice::lib {

/// A blob's backing file as the daemon handed it out: sparse, read-only, and only what was proved is in it. Data that
/// is there stays there, so what a probe has found need not be looked for again. Thread-safe.
class BlobFile {
public:
    /// What is at a place: bytes that can be read, or a hole.
    struct Run {
        bool data = false;
        std::uint64_t length = 0; ///< from the place on; a hole's reaches to the end of its last block
    };

    /// 0 and the file, or a negative errno for a descriptor that is no regular file open for reading.
    [[nodiscard]] static int open(UniqueFd fd, std::uint64_t size, std::shared_ptr<BlobFile>& out);

    BlobFile(UniqueFd fd, std::uint64_t size, std::uint32_t block_size, dev_t device, ino_t inode);

    /// Precondition: `offset` below the size. A run of no length: nobody can tell.
    [[nodiscard]] Run probe(std::uint64_t offset);

    /// Reads all of `out`, which probe() has said is there. 0 or a negative errno, -EIO for a file that became shorter.
    [[nodiscard]] int read(std::uint64_t offset, std::span<std::byte> out);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    [[nodiscard]] std::uint32_t block_size() const noexcept { return block_size_; }

    [[nodiscard]] bool same_inode(const BlobFile& other) const noexcept
    {
        return device_ == other.device_ && inode_ == other.inode_;
    }

private:
    void read_ahead(std::uint64_t offset, std::uint64_t length);

    UniqueFd fd_;
    std::uint64_t size_;
    std::uint32_t block_size_;
    dev_t device_;
    ino_t inode_;
    Mutex mutex_;
    std::uint64_t known_begin_ SLUICE_GUARDED_BY(mutex_) = 0; // data that was found last
    std::uint64_t known_end_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::uint64_t next_ SLUICE_GUARDED_BY(mutex_) = 0;  // where a reader in order goes on
    std::uint64_t ahead_ SLUICE_GUARDED_BY(mutex_) = 0; // up to where it has been read ahead
};

} // namespace sluice::lib
