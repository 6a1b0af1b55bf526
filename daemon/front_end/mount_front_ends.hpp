// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "base/worker_pool.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/config/config.hpp"
#include "protocol/front_end.hpp"
#include "protocol/kernel_io.hpp"

#include <memory>
#include <span>
#include <string_view>

namespace sluice::daemon {

/// What front ends are made of. All outlives them.
struct FrontEndParts {
    EventLoop& loop;
    WorkerPool& workers;
    const Config& config;
    protocol::KernelIo& io; ///< stands between cachefiles and the kernel
    const Catalogue& catalogue;
    FdStore& descriptors; ///< what a predecessor left, and what outlives this process
};

/// One kind of front end that EROFS can be mounted over.
struct FrontEndKind {
    FrontEndMode mode;
    std::string_view name;
    std::string_view why;        ///< why it is used, once it has started
    std::string_view descriptor; ///< the name in the store of what a successor serves on with
    std::unique_ptr<protocol::FrontEnd> (*make)(const FrontEndParts& parts);
};

/// All kinds, the preferred first. A new front end is added here, and to the configuration's values.
[[nodiscard]] std::span<const FrontEndKind> mount_front_ends() noexcept;

} // namespace sluice::daemon
