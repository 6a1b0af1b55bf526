// SPDX-License-Identifier: Apache-2.0
//
// Cache files made and kept in order without the kernel's help. All of this is for volumes that no mount uses: the
// kernel does not notice what happens behind its back. Blocking; runs on a worker, or before the loop starts.
#pragma once

#include "base/result.hpp"
#include "protocol/file_handle.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace sluice::protocol {

/// A blob's file, made before the kernel hears of it. Until commit() it lies in a private directory, and the destructor
/// removes it from there.
class Prepopulation {
public:
    struct Target {
        std::filesystem::path cache_dir;   ///< as given to the device
        std::filesystem::path private_dir; ///< on the same file system; made (0700) where it is missing
        std::string volume;
        std::string cookie;
        std::uint64_t size = 0; ///< what OPEN is going to be answered with
    };

    [[nodiscard]] static Result<Prepopulation> begin(Target target);

    Prepopulation(Prepopulation&& other) noexcept;
    Prepopulation& operator=(Prepopulation&& other) = delete;
    Prepopulation(const Prepopulation&) = delete;
    Prepopulation& operator=(const Prepopulation&) = delete;
    ~Prepopulation();

    /// Where the proved blocks go; shared, so that workers may still hold it.
    [[nodiscard]] const std::shared_ptr<FileHandle>& file() const noexcept { return file_; }

    /// Makes the file durable and puts it where the kernel looks, with whatever holes it has: it is filled where it
    /// lies then. code() EEXIST when there is a file of that name already.
    [[nodiscard]] Result<void> commit();

private:
    Prepopulation(Target target, std::shared_ptr<FileHandle> file);

    Target target_;
    std::shared_ptr<FileHandle> file_;
    bool committed_ = false;
};

/// What of a committed file is known without the kernel; an Error with kNotFound when there is none.
struct CommittedFile {
    std::filesystem::path path;
    std::uint64_t size = 0;    ///< of the blob
    std::uint64_t present = 0; ///< bytes in whole blocks
};

[[nodiscard]] Result<CommittedFile>
find_committed(const std::filesystem::path& cache_dir, const std::string& volume, const std::string& cookie);

} // namespace sluice::protocol
