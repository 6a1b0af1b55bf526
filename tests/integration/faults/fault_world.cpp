// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/faults/fault_world.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "trust/hasher.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace sluice::test {

namespace {

UniqueFd make_socket()
{
    UniqueFd fd{kAdoptFd, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) {
        throw std::system_error{errno, std::system_category(), "socket"};
    }
    return fd;
}

} // namespace

BlackHole::BlackHole(std::uint16_t port) : listener_{make_socket()}
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const auto* where = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    const int yes = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_.get(), where, sizeof address) != 0 || ::listen(listener_.get(), 0) != 0) {
        throw std::system_error{errno, std::system_category(), "black hole"};
    }
    for (int i = 0; i < 4; ++i) {
        fill_.push_back(make_socket());
        (void)::connect(fill_.back().get(), where, sizeof address);
    }
}

FaultWorld::FaultWorld() : registry{&trust::sha256}, storage{&trust::sha256}
{
    log::set_level(log::Level::kError);
    const auto address = registry->host();
    port = static_cast<std::uint16_t>(parse_u64(address.substr(address.find(':') + 1)).value_or(0));
    host = fmt::format("{}:{}", kRegistryName, port);
    registry->add_blob(blob.info.digest, std::string{as_text(blob.bytes)});
    storage->add_blob(blob.info.digest, std::string{as_text(blob.bytes)});
    blob.info.repositories = {host + "/team/app"};
    policy_.read_deadline = kLong;
    policy_.failure_memory = milliseconds{0};
    policy_.read.read_ahead = 0;
    policy_.read.random_window = kBlockSize;
    policy_.read.metadata_window = kBlockSize;
    sources_.emplace(loop, options(), buffers, &trust::sha256);
    mirrors_.emplace(loop, [this](const std::string& where) -> fetcher::BlobSource& { return sources_->blobs(where); });
    services_.emplace(daemon::FillServices{loop, workers_, *mirrors_, nullptr, counters, budget_});
    blobs_.emplace(*services_, policy_);
    protocol::DeviceConfig config;
    config.cache_dir = dir.path();
    device_.emplace(loop, kernel.io(), std::move(config), descriptors_);
    objects_.emplace(daemon::ObjectService::Parts{
        *services_,
        *blobs_,
        catalogue_,
        [this] { return device_->capabilities(); },
        [](const Error& why) { throw std::runtime_error{why.text()}; }});
    catalogue_.add(blob.info);
    const auto started = device_->start(*objects_);
    if (!started) {
        throw std::runtime_error{started.error().text()};
    }
}

FaultWorld::~FaultWorld()
{
    device_->stop();
    log::set_level(log::Level::kInfo);
}

fetcher::RegistryOptions FaultWorld::options()
{
    fetcher::RegistryOptions options;
    options.insecure = {host};
    options.max_skip = std::uint64_t{64} << 10;
    options.retry.first = milliseconds{5};
    options.retry.longest = milliseconds{20};
    options.http.connect_timeout = milliseconds{100};
    options.now = [this] { return SteadyClock::now() + std::chrono::hours{hours_ahead}; };
    return options;
}

bool FaultWorld::open()
{
    object_ = kernel.open_object("erofs,sluice", daemon::cookie_of(blob.info));
    return run_until(loop, [&] { return kernel.state(object_) != FakeObjectState::kOpening; }) &&
           kernel.state(object_) == FakeObjectState::kOpen;
}

bool FaultWorld::load_tree()
{
    return run_until(loop, [&] { return counters.tree_bytes_fetched >= blob.info.blob_size - blob.info.tree_offset; });
}

std::optional<Error> FaultWorld::read(ByteRange range)
{
    const auto request = kernel.read(object_, range);
    if (!run_until(loop, [&] { return kernel.done(request); })) {
        return Error{ErrorKind::kInternal, "the READ was never answered"};
    }
    if (kernel.result(request) == 0) {
        return holds(range) ? std::nullopt : std::optional{Error{ErrorKind::kInternal, "wrong bytes are in the file"}};
    }
    const auto found = blobs_->find(daemon::identity_of(blob.info));
    const auto& why = found->filler().last_error();
    return why ? *why : Error{ErrorKind::kInternal, "a READ failed for no reason"};
}

bool FaultWorld::holds(ByteRange range) const
{
    std::ifstream file{kernel.backing_file(object_), std::ios::binary};
    std::string bytes(range.size(), '\0');
    file.seekg(static_cast<std::streamoff>(range.begin()));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return file && bytes == as_text(blob.data(range));
}

void FaultWorld::take_registry_away()
{
    registry.reset();
}

void FaultWorld::bring_registry_back()
{
    hole.reset();
    registry.reset(); // all connections end
    registry.emplace(&trust::sha256, port);
    registry->add_blob(blob.info.digest, std::string{as_text(blob.bytes)});
}

void FaultWorld::fail_writes(int code)
{
    if (code == 0) {
        kernel.on_pwrite(nullptr);
        return;
    }
    kernel.on_pwrite([this, code](std::uint64_t, std::size_t) {
        ++failed_writes;
        return -std::int64_t{code};
    });
}

} // namespace sluice::test
