// SPDX-License-Identifier: Apache-2.0
#include "base/fd_store.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <utility>

namespace sluice {

namespace {

Result<void> tell_manager(const std::string& message, int descriptor)
{
    const int told = descriptor < 0 ? ::sd_notify(0, message.c_str())
                                    : ::sd_pid_notify_with_fds(0, 0, message.c_str(), &descriptor, 1);
    if (told < 0) {
        return fail_errno(-told, "the service manager cannot be told what to keep");
    }
    return {};
}

struct Freed {
    void operator()(char** names) const noexcept
    {
        for (char** name = names; name != nullptr && *name != nullptr; ++name) {
            std::free(*name); // NOLINT: libsystemd allocates with malloc
        }
        std::free(static_cast<void*>(names)); // NOLINT
    }
};

std::vector<FdStore::Named> inherited_descriptors()
{
    char** raw = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &raw);
    const std::unique_ptr<char*, Freed> names{raw};
    if (count < 0) {
        log::warning(
            "LISTEN_FDS and its kin make no sense, so nothing is taken over: {}", std::system_category().message(-count)
        );
        return {};
    }
    std::vector<FdStore::Named> inherited;
    inherited.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        inherited.push_back({raw[i], UniqueFd{kAdoptFd, SD_LISTEN_FDS_START + i}});
    }
    return inherited;
}

bool is_set(const char* variable)
{
    const char* value = std::getenv(variable); // NOLINT(concurrency-mt-unsafe): before any thread
    return value != nullptr && *value != '\0' && std::string_view{value} != "0";
}

} // namespace

FdStore::FdStore(std::vector<Named> inherited, Tell tell) : inherited_{std::move(inherited)}, tell_{std::move(tell)}
{
    for (const auto& one : inherited_) {
        kept_.insert(one.name);
    }
}

FdStore FdStore::from_environment()
{
    const bool keeps = is_set("NOTIFY_SOCKET") && is_set("FDSTORE");
    return {inherited_descriptors(), keeps ? Tell{&tell_manager} : Tell{}};
}

bool FdStore::has(std::string_view name) const
{
    return std::ranges::find(inherited_, name, &Named::name) != inherited_.end();
}

UniqueFd FdStore::take(std::string_view name)
{
    UniqueFd taken;
    std::vector<Named> rest;
    for (auto& one : inherited_) {
        if (one.name != name) {
            rest.push_back(std::move(one));
        } else if (!taken) {
            taken = std::move(one.descriptor);
        } else {
            log::warning("more than one inherited descriptor is called \"{}\": the first counts", printable(name));
        }
    }
    inherited_ = std::move(rest);
    return taken;
}

Result<void> FdStore::keep(std::string_view name, int descriptor)
{
    if (!keeps()) {
        return {};
    }
    std::erase_if(inherited_, [name](const Named& one) { return one.name == name; });
    forget(name);
    if (auto told = tell_(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), descriptor); !told) {
        return fail(told.error(), fmt::format("descriptor \"{}\"", name));
    }
    kept_.emplace(name);
    return {};
}

void FdStore::forget(std::string_view name)
{
    const auto kept = kept_.find(name);
    if (kept == kept_.end()) {
        return;
    }
    kept_.erase(kept);
    if (!keeps()) {
        return;
    }
    if (const auto told = tell_(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), -1); !told) {
        log::warning("descriptor \"{}\" stays kept: {}", name, told.error().text());
    }
}

void FdStore::settle()
{
    const auto rest = std::exchange(inherited_, {});
    for (const auto& one : rest) {
        log::warning("nobody here wants the inherited descriptor \"{}\": closed", printable(one.name));
        forget(one.name);
    }
}

} // namespace sluice
