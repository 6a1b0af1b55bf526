// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_request.hpp"

#include <cerrno>

namespace sluice::protocol {

FuseRequest& FuseRequest::operator=(FuseRequest&& other) noexcept
{
    if (this != &other) {
        error(EIO);
        channel_ = std::move(other.channel_);
        slot_ = other.slot_;
        arrival_ = other.arrival_;
    }
    return *this;
}

FuseRequest::~FuseRequest()
{
    error(EIO);
}

bool FuseRequest::answer(int code, std::span<const std::byte> body)
{
    const auto channel = std::exchange(channel_, nullptr);
    return channel && channel->answer(slot_, code, body);
}

bool FuseRequest::error(int code)
{
    return answer(code, {});
}

bool FuseRequest::entry(const FuseFile& file)
{
    return body(make_entry(file));
}

bool FuseRequest::attributes(const FuseFile& file)
{
    return body(make_attributes(file));
}

bool FuseRequest::opened(std::uint64_t handle)
{
    return body(make_opened(handle));
}

bool FuseRequest::data(std::span<const std::byte> bytes)
{
    return answer(0, bytes);
}

} // namespace sluice::protocol
