// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/worker_pool.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "daemon/config/config.hpp"
#include "daemon/front_end/object_service.hpp"
#include "fetcher/source.hpp"
#include "protocol/cachefiles_front_end.hpp"
#include "tests/bench/workload.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::bench {

/// A blob on disk and a process that serves it over loopback HTTP; the process is shared by what is compared.
class Server {
public:
    /// `data_size` bytes that cannot be compressed, and their hash tree; each answer comes `delay_us` late.
    Server(const std::filesystem::path& directory, std::uint64_t data_size, unsigned delay_us);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    [[nodiscard]] const daemon::BlobInfo& blob() const noexcept { return blob_; }

    [[nodiscard]] const std::string& host() const noexcept { return host_; }

    [[nodiscard]] std::string url() const;

    /// From now on it takes connections and requests, and answers nothing.
    void hang() const;

private:
    daemon::BlobInfo blob_;
    std::string host_;
    int child_ = -1;
};

/// The daemon's read path with nothing left out but registration, over a fake kernel, cold: fetch, proof, O_DIRECT
/// writes.
class Rig {
public:
    /// `others`: hosts of further servers.
    Rig(const Server& server, const daemon::FillPolicy& policy, const std::vector<std::string>& others = {});
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;
    ~Rig();

    [[nodiscard]] Outcome run(const Plan& plan);

    /// Opens the blob of another server, which hangs then, and sends all reads of the plan; nobody waits for them.
    void read_from_one_that_hangs(const Server& server, const Plan& plan);

    /// Sends all reads of the plan at once and waits for their answers; yields the process's resident bytes while they
    /// wait.
    [[nodiscard]] std::uint64_t resident_with_all_in_flight(const Plan& plan);

    /// Processor time that the loop's thread took for the last run().
    [[nodiscard]] double loop_seconds() const noexcept { return loop_seconds_; }

    [[nodiscard]] const daemon::Counters& counters() const noexcept { return counters_; }

private:
    [[nodiscard]] test::FakeObjectPtr open(const daemon::BlobInfo& blob);
    void turn_until(const std::function<bool()>& done);

    test::TempDir dir_;
    EventLoop loop_;
    test::FakeKernel kernel_;
    daemon::FillPolicy policy_;
    daemon::Counters counters_;
    BufferPool buffers_{32U << 20, 256U << 10};
    WorkerPool workers_{daemon::default_workers()};
    fetcher::Sources sources_;
    daemon::TreeBudget tree_budget_{8U << 20};
    fetcher::MirrorSet mirrors_;
    daemon::FillServices services_;
    daemon::Blobs blobs_;
    daemon::Catalogue catalogue_;
    FdStore descriptors_;
    protocol::CachefilesFrontEnd device_;
    daemon::ObjectService objects_;
    test::FakeObjectPtr object_;
    double loop_seconds_ = 0;
};

} // namespace sluice::bench
