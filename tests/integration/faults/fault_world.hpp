// SPDX-License-Identifier: Apache-2.0
//
// One blob in one repository, and all that lies between a reader and it: a fake kernel, the front end, the core, the
// fetcher, a fake registry. Nothing in between is left out or faked, so that what goes wrong at the ends shows what the
// daemon makes of it.
#pragma once

#include "base/worker_pool.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/blob/tree_budget.hpp"
#include "daemon/front_end/object_service.hpp"
#include "fetcher/source.hpp"
#include "protocol/cachefiles_front_end.hpp"
#include "tests/integration/faults/silent_names.hpp"
#include "tests/support/fake_blob.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/fake_registry.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/no_descriptors.hpp"
#include "tests/support/temp_dir.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::test {

/// Takes the port of a registry that is gone, and lets nobody connect: packets to it are lost.
class BlackHole {
public:
    explicit BlackHole(std::uint16_t port);

private:
    UniqueFd listener_;
    std::vector<UniqueFd> fill_; ///< connections that nobody accepts, as many as the kernel keeps
};

class FaultWorld {
public:
    FaultWorld();
    FaultWorld(const FaultWorld&) = delete;
    FaultWorld& operator=(const FaultWorld&) = delete;
    ~FaultWorld();

    /// OPEN: whether it has succeeded.
    [[nodiscard]] bool open();

    /// Brings in the hash tree, so that what is asked of the registry from now on is data.
    [[nodiscard]] bool load_tree();

    /// One READ, until it is answered: nothing when all of `range` is in the file, and right. An error is the core's,
    /// as all front ends get it.
    [[nodiscard]] std::optional<Error> read(ByteRange range);

    // What goes wrong.
    /// The registry, gone with all connections, and back on the same port.
    void take_registry_away();
    void bring_registry_back();
    void fail_writes(int code);

    /// Of READs from now on. At first kLong, so that a slow machine fails no test.
    void set_deadline(milliseconds deadline) { policy_.read_deadline = deadline; }

    static constexpr std::uint64_t kBlocks = 512; // 2 MiB
    static constexpr milliseconds kLong{30'000};
    static constexpr milliseconds kShort{400}; ///< for what is to end with the deadline

    TempDir dir;
    EventLoop loop;
    FakeBlob blob{kBlocks};
    std::optional<FakeRegistry> registry;
    std::optional<FakeRegistry> storage;
    std::uint16_t port = 0;
    std::string host; ///< the registry's, by its name
    std::optional<BlackHole> hole;
    std::optional<SilentNames> silent_names;
    std::optional<NoDescriptors> no_descriptors;
    std::atomic<std::int64_t> hours_ahead = 0; ///< of the clock that tokens grow old by
    std::atomic<unsigned> failed_writes = 0;
    FakeKernel kernel{dir.path()};
    BufferPool buffers{std::size_t{2} << 20, std::size_t{128} << 10};
    std::vector<AlignedBuffer> hoard; ///< buffers that somebody keeps
    daemon::Counters counters;

private:
    [[nodiscard]] bool holds(ByteRange range) const;
    [[nodiscard]] fetcher::RegistryOptions options();

    WorkerPool workers_{2};
    daemon::FillPolicy policy_;
    std::optional<fetcher::Sources> sources_;
    daemon::TreeBudget budget_{std::size_t{8} << 20};
    std::optional<fetcher::MirrorSet> mirrors_;
    std::optional<daemon::FillServices> services_;
    std::optional<daemon::Blobs> blobs_;
    daemon::Catalogue catalogue_;
    FdStore descriptors_;
    std::optional<protocol::CachefilesFrontEnd> device_;
    std::optional<daemon::ObjectService> objects_;
    FakeObjectPtr object_;
};

} // namespace sluice::test
