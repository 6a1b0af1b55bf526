// SPDX-License-Identifier: Apache-2.0
//
// The C face of the client: handles, checks of arguments, and the wall that no exception passes.
#include "lib/sluice_client.h"

#include "lib/client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

struct sluice_client {
    std::shared_ptr<sluice::lib::Client> client;
};

struct sluice_blob {
    std::shared_ptr<sluice::lib::Client> client;
    std::shared_ptr<sluice::lib::Blob> blob;
};

namespace {

using sluice::lib::BlobName;
using sluice::lib::Client;

constexpr std::size_t kMostBytes = std::numeric_limits<ssize_t>::max();

/// Everything may run out of memory; nothing else is thrown.
template <typename Function>
auto guarded(Function function) noexcept -> decltype(function())
{
    try {
        return function();
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    } catch (...) {
        return -EIO;
    }
}

bool is_digest(const char* text)
{
    constexpr std::string_view kAlgorithm = "sha256:";
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::string_view digest{text};
    return digest.size() == kAlgorithm.size() + 64 && digest.substr(0, kAlgorithm.size()) == kAlgorithm &&
           digest.find_first_not_of(kDigits, kAlgorithm.size()) == std::string_view::npos;
}

int open_blob(sluice_client* client, BlobName name, sluice_blob** out)
{
    auto opened = std::make_unique<sluice_blob>();
    opened->client = client->client;
    const int status = opened->client->open_blob(std::move(name), opened->blob);
    if (status == 0) {
        *out = opened.release();
    }
    return status;
}

struct Filling {
    sluice_blob* blob;
    sluice::lib::TimePoint deadline;
};

int fill_hole(void* context, std::uint64_t start, std::uint64_t len) noexcept
{
    return guarded([=] {
        const auto& filling = *static_cast<Filling*>(context);
        return filling.blob->client->fill(*filling.blob->blob, start, len, filling.deadline);
    });
}

bool reads_sense(const sluice_blob* blob, const void* buffer, std::int64_t offset)
{
    return blob != nullptr && (buffer != nullptr) && offset >= 0;
}

} // namespace

int sluice_connect(const struct sluice_options* options, struct sluice_client** client)
{
    const struct sluice_options defaults = SLUICE_OPTIONS_INIT;
    const auto& chosen = options != nullptr ? *options : defaults;
    if (client == nullptr || chosen.struct_size < sizeof defaults || chosen.timeout_ms < 0 ||
        (chosen.flags & ~SLUICE_CONNECT_WAIT) != 0) {
        return -EINVAL;
    }
    return guarded([&] {
        Client::Options wanted;
        wanted.socket_path = chosen.socket_path != nullptr ? chosen.socket_path : SLUICE_DEFAULT_SOCKET;
        // More than a year is for ever: later sums must not overflow.
        constexpr std::int64_t kForEver = std::int64_t{366} * 24 * 3600 * 1000;
        const auto timeout = chosen.timeout_ms < kForEver ? chosen.timeout_ms : 0;
        wanted.timeout = sluice::lib::milliseconds{timeout};
        wanted.wait = (chosen.flags & SLUICE_CONNECT_WAIT) != 0;
        auto made = std::make_unique<sluice_client>();
        made->client = std::make_shared<Client>(std::move(wanted));
        const int status = made->client->start();
        if (status == 0) {
            *client = made.release();
        }
        return status;
    });
}

void sluice_close(struct sluice_client* client)
{
    if (client != nullptr) {
        client->client->stop();
        delete client; // NOLINT(cppcoreguidelines-owning-memory): C owns it
    }
}

void sluice_cancel_all(struct sluice_client* client)
{
    if (client != nullptr) {
        (void)guarded([client] {
            client->client->cancel_all();
            return 0;
        });
    }
}

int sluice_blob_open(struct sluice_client* client, const char* digest, struct sluice_blob** blob)
{
    if (client == nullptr || digest == nullptr || blob == nullptr || !is_digest(digest)) {
        return -EINVAL;
    }
    return guarded([&] { return open_blob(client, BlobName{digest, false, 0, 0}, blob); });
}

int sluice_image_open(
    struct sluice_client* client, const char* reference, uint32_t layer, uint32_t device, struct sluice_blob** blob
)
{
    if (client == nullptr || reference == nullptr || blob == nullptr || *reference == '\0' ||
        std::strlen(reference) > SLUICE_WIRE_NAME_MAX) {
        return -EINVAL;
    }
    return guarded([&] { return open_blob(client, BlobName{reference, true, layer, device}, blob); });
}

void sluice_blob_close(struct sluice_blob* blob)
{
    if (blob != nullptr) {
        (void)guarded([blob] {
            blob->client->close_blob(*blob->blob);
            return 0;
        });
        delete blob; // NOLINT(cppcoreguidelines-owning-memory): C owns it
    }
}

uint64_t sluice_blob_size(const struct sluice_blob* blob)
{
    return blob != nullptr ? blob->blob->size() : 0;
}

const char* sluice_blob_digest(const struct sluice_blob* blob)
{
    return blob != nullptr ? blob->blob->digest().c_str() : nullptr;
}

int sluice_blob_fd(struct sluice_blob* blob)
{
    return blob == nullptr ? -EINVAL : guarded([blob] { return blob->blob->lend_fd(); });
}

enum sluice_source
sluice_blob_prepare(struct sluice_blob* blob, int64_t start, uint64_t* len, unsigned long* flags, enum sluice_why* why)
{
    struct sluice_ondemand surroundings = SLUICE_ONDEMAND_INIT;
    surroundings.why = SLUICE_WHY_BAD_ARGUMENT;
    auto source = SLUICE_INVALID_READ;
    if (blob != nullptr) {
        const auto file = blob->blob->file();
        Filling filling{blob, blob->client->deadline()};
        surroundings.block_size = file->block_size();
        surroundings.cookie_flags = SLUICE_COOKIE_WRITTEN_ONLY;
        surroundings.request = &fill_hole;
        surroundings.ctx = &filling;
        const auto size = static_cast<std::int64_t>(blob->blob->size());
        if (len != nullptr && start >= 0 && start < size) {
            *len = std::min(*len, static_cast<std::uint64_t>(size - start));
        }
        source = sluice_prepare_ondemand_read(file->fd(), start, len, size, flags, &surroundings);
    }
    if (why != nullptr) {
        *why = surroundings.why;
    }
    return source;
}

ssize_t sluice_pread(struct sluice_blob* blob, void* buffer, size_t count, int64_t offset)
{
    if (!reads_sense(blob, buffer, offset)) {
        return -EINVAL;
    }
    return guarded([&]() -> ssize_t {
        const std::span out{static_cast<std::byte*>(buffer), std::min(count, kMostBytes)};
        return blob->client->pread(blob->blob, out, static_cast<std::uint64_t>(offset));
    });
}

int sluice_submit_pread(struct sluice_blob* blob, void* buffer, size_t count, int64_t offset, void* user, uint64_t* id)
{
    if (!reads_sense(blob, buffer, offset)) {
        return -EINVAL;
    }
    return guarded([&] {
        const std::span out{static_cast<std::byte*>(buffer), std::min(count, kMostBytes)};
        auto read = std::make_unique<sluice::lib::AsyncRead>(
            blob->blob, out, static_cast<std::uint64_t>(offset), blob->client->deadline()
        );
        read->user = user;
        std::uint64_t number = 0;
        const int status = blob->client->submit(std::move(read), id != nullptr ? *id : number);
        return status;
    });
}

int sluice_event_fd(const struct sluice_client* client)
{
    return client != nullptr ? client->client->event_fd() : -EINVAL;
}

int sluice_reap(struct sluice_client* client, struct sluice_completion* completions, unsigned max)
{
    if (client == nullptr || (completions == nullptr && max != 0)) {
        return -EINVAL;
    }
    return guarded([&] { return static_cast<int>(client->client->reap({completions, std::min(max, 1U << 30U)})); });
}

int sluice_cancel(struct sluice_client* client, uint64_t id)
{
    return client == nullptr ? -EINVAL : guarded([&] { return client->client->cancel(id); });
}
