// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/task.hpp"
#include "daemon/blob/backing_file.hpp"
#include "daemon/blob/blob_filler.hpp"
#include "daemon/blob/blob_info.hpp"
#include "daemon/blob/blob_tree.hpp"
#include "daemon/blob/fill_services.hpp"
#include "daemon/blob/presence.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/pending.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

class BlobReader;

/// One blob in use: its hash tree, its backing file, what of it is present, and its one filler, which all front ends
/// and all background work share. It lives while somebody holds it. Loop thread only.
class Blob : public std::enable_shared_from_this<Blob> {
public:
    /// Fails when the geometry does not fit.
    [[nodiscard]] static Result<std::shared_ptr<Blob>>
    make(FillServices& services, const FillPolicy& policy, BlobInfo info);

    Blob(FillServices& services, const FillPolicy& policy, BlobInfo info);
    Blob(const Blob&) = delete;
    Blob& operator=(const Blob&) = delete;
    ~Blob();

    [[nodiscard]] const BlobInfo& info() const noexcept { return info_; }

    [[nodiscard]] const Digest& identity() const noexcept { return identity_; }

    /// Another image that holds the same blob may lie elsewhere.
    void set_repositories(std::vector<std::string> repositories) { info_.repositories = std::move(repositories); }

    /// Those that are new are asked first: they were there a moment ago.
    void add_repositories(const std::vector<std::string>& repositories);

    /// Ends when the backing file is known to be in order, which an unclean stop leaves in doubt, and not being
    /// removed. Before anybody opens
    /// it or takes the kernel's handle for it; open_file() sees to it by itself.
    [[nodiscard]] Task<Result<void>> look_at_file();

    /// Opens the daemon's own descriptor of the backing file, which is made where there is none. Later callers share
    /// it; it is closed with the blob.
    [[nodiscard]] Task<Result<std::shared_ptr<protocol::FileHandle>>> open_file();

    /// For a front end, whose name `who` is. `handle`: what the front end brings to write through; null when the blob
    /// was opened with open_file(). What the reader asks for ends with it.
    [[nodiscard]] std::unique_ptr<BlobReader>
    open(std::string_view who, std::shared_ptr<protocol::ObjectHandle> handle);

    /// `range` (whole blocks, inside the blob) out of the backing file, after it was brought in. For what the daemon
    /// itself has to look at.
    [[nodiscard]] Task<Result<std::vector<std::byte>>> proved_bytes(ByteRange range);

    /// Brings in everything that is missing, and has it on the disk.
    [[nodiscard]] Task<Result<void>> complete();

    /// Whether all of it is in the file; asks the file, on a worker.
    [[nodiscard]] Task<Result<bool>> is_complete();

    /// How many have it open, by front end.
    [[nodiscard]] const std::map<std::string, unsigned, std::less<>>& users() const noexcept { return users_; }

    /// READs of all its readers.
    [[nodiscard]] std::uint64_t reads() const noexcept { return reads_; }

    /// When it was last opened or read.
    [[nodiscard]] TimePoint last_use() const noexcept { return last_use_; }

    /// Told when nobody holds the blob any more.
    std::function<void(const Blob&)> on_end;

    [[nodiscard]] const BlobFiller& filler() const noexcept { return *filler_; }

    /// How many bytes of it are in the backing file. Walks the file once, however often it is asked; with more than
    /// 4096 holes, once after each change.
    [[nodiscard]] Task<Result<std::uint64_t>> stored_bytes();

private:
    friend class BlobReader;

    [[nodiscard]] Task<Result<void>> open_own();
    [[nodiscard]] Task<Result<std::shared_ptr<protocol::FileHandle>>> open_or_make();

    FillServices& services_;
    const FillPolicy& policy_;
    BlobInfo info_;
    Digest identity_;
    TimePoint last_use_ = SteadyClock::now();
    std::shared_ptr<BackingFile> file_;
    std::shared_ptr<protocol::FileHandle> own_;
    Presence presence_;
    std::map<std::string, unsigned, std::less<>> users_;
    std::uint64_t reads_ = 0;
    std::unique_ptr<BlobTree> tree_;
    std::unique_ptr<BlobFiller> filler_;
    SingleFlight<int, Result<void>> opening_; // last: its job touches all of the above
};

/// One opening of a blob. Destroying it answers its READs that still wait, and lets its handle go. Loop thread only.
class BlobReader {
public:
    BlobReader(std::shared_ptr<Blob> blob, std::string_view who, std::shared_ptr<protocol::ObjectHandle> handle);
    BlobReader(const BlobReader&) = delete;
    BlobReader& operator=(const BlobReader&) = delete;
    ~BlobReader();

    [[nodiscard]] Blob& blob() const noexcept { return *blob_; }

    /// `found_hole`, `arrival`: see protocol::ReadRequest.
    void read(ByteRange range, bool found_hole, protocol::PendingRead pending, TimePoint arrival = SteadyClock::now());

private:
    std::shared_ptr<Blob> blob_;
    std::string who_;
    ReadStats& stats_; ///< of the front end
    std::shared_ptr<protocol::ObjectHandle> handle_;
};

} // namespace sluice::daemon
