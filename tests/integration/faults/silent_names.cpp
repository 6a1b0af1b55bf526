// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/faults/silent_names.hpp"

#include "base/mutex.hpp"

#include <dlfcn.h>
#include <netdb.h>

namespace sluice::test {

namespace {

struct Names {
    Mutex mutex;
    Condition changed;
    bool silent SLUICE_GUARDED_BY(mutex) = false;
    unsigned waiting SLUICE_GUARDED_BY(mutex) = 0;
    unsigned asked SLUICE_GUARDED_BY(mutex) = 0;
};

Names& names()
{
    static Names the_names;
    return the_names;
}

/// Called on libcurl's threads.
void wait_for_an_answer()
{
    auto& all = names();
    const MutexLock lock{all.mutex};
    if (!all.silent) {
        return;
    }
    ++all.asked;
    ++all.waiting;
    while (all.silent) {
        all.changed.wait(all.mutex);
    }
    --all.waiting;
    all.changed.notify_all();
}

} // namespace

SilentNames::SilentNames()
{
    auto& all = names();
    const MutexLock lock{all.mutex};
    all.silent = true;
    all.asked = 0;
}

SilentNames::~SilentNames()
{
    auto& all = names();
    const MutexLock lock{all.mutex};
    all.silent = false;
    all.changed.notify_all();
    while (all.waiting > 0) {
        all.changed.wait(all.mutex);
    }
}

unsigned SilentNames::asked()
{
    auto& all = names();
    const MutexLock lock{all.mutex};
    return all.asked;
}

} // namespace sluice::test

// NOLINTNEXTLINE(readability-identifier-naming): the C library's
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result)
{
    using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (node != nullptr && node == sluice::test::kRegistryName) {
        sluice::test::wait_for_an_answer();
        return real("127.0.0.1", service, hints, result);
    }
    return real(node, service, hints, result);
}
