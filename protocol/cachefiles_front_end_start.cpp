// SPDX-License-Identifier: Apache-2.0
//
// How the device is opened and bound, or taken from a predecessor, and what a successor finds of it.
#include "base/log.hpp"
#include "protocol/cachefiles_front_end.hpp"

#include <cerrno>
#include <sys/random.h>
#include <thread>
#include <utility>

namespace sluice::protocol {

namespace {

// In the descriptor store.
constexpr std::string_view kDeviceName = "cachefiles";
constexpr std::string_view kLedgerName = "read-ledger";

constexpr milliseconds kBetweenBindings{20};

} // namespace

Result<BoundDevice> CachefilesFrontEnd::set_up()
{
    auto left = descriptors_.take(kDeviceName);
    const bool inherited = static_cast<bool>(left);
    if (inherited) {
        config_.adopted = std::move(left);
        config_.restore = true;
    }
    auto bound = set_up_device(io_, config_);
    if (!bound && inherited && !is_passing(bound.error().code())) {
        log::warning("{}; what is mounted over it has to be mounted again", bound.error().text());
        descriptors_.forget(kDeviceName);
        bound = bind_anew();
        if (!bound && bound.error().code() == EBUSY) {
            // Not EBUSY to the caller, either: there is nothing left that a later start could take over.
            return fail(
                ErrorKind::kTransient,
                "/dev/cachefiles: the dead one is still being let go by whoever has kept it; the next start binds anew",
                EAGAIN
            );
        }
    }
    if (bound) {
        if (::getrandom(&binding_, sizeof binding_, GRND_NONBLOCK) != sizeof binding_) {
            return fail_errno(errno, "getrandom");
        }
        open_ledger(*bound);
    }
    if (bound && bound->inherited && !bound->can_restore) {
        log::warning(
            "/dev/cachefiles: this kernel does not open again what a daemon before this one had open: of what is "
            "mounted already, only what is in the cache can be read, all else fails with EIO until it is mounted again"
        );
    }
    if (bound && !bound->inherited) {
        if (const auto kept = descriptors_.keep(kDeviceName, bound->fd.get()); !kept) {
            log::warning("{}: what is mounted ends with this process", kept.error().text());
        }
    }
    return bound;
}

Result<BoundDevice> CachefilesFrontEnd::bind_anew()
{
    // Whoever has kept the dead device hears on its own time that it is to let go, and until then it is busy. This
    // thread may sleep here: nothing is served before the start has succeeded.
    const auto until = SteadyClock::now() + config_.patience;
    auto bound = set_up_device(io_, config_);
    while (!bound && bound.error().code() == EBUSY && SteadyClock::now() < until) {
        std::this_thread::sleep_for(kBetweenBindings);
        bound = set_up_device(io_, config_);
    }
    return bound;
}

void CachefilesFrontEnd::open_ledger(const BoundDevice& bound)
{
    if (auto left = descriptors_.take(kLedgerName); bound.inherited && left) {
        auto adopted = ReadLedger::adopt(std::move(left));
        if (adopted) {
            ledger_.emplace(std::move(*adopted));
            if (bound.can_restore) {
                binding_ = ledger_->binding();
            } else {
                ledger_->set_binding(binding_);
            }
            return;
        }
        log::warning(
            "/dev/cachefiles: {}: deadlines of READs are counted anew; what is mounted is still served, but cannot be "
            "told from what is dead, so \"mount -a -t sluice\" replaces it",
            adopted.error().text()
        );
    }
    if (!descriptors_.keeps()) {
        return;
    }
    auto made = ReadLedger::make(binding_);
    const auto kept = made ? descriptors_.keep(kLedgerName, made->fd()) : fail(made.error());
    if (!kept) {
        log::warning(
            "{}: after a death of the daemon, deadlines of READs are counted anew, and mounts are taken for dead",
            kept.error().text()
        );
        return;
    }
    ledger_.emplace(std::move(*made));
}

void CachefilesFrontEnd::forget()
{
    descriptors_.forget(kDeviceName);
    descriptors_.forget(kLedgerName);
}

} // namespace sluice::protocol
