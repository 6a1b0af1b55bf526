// SPDX-License-Identifier: Apache-2.0
//
// FUSE messages as the kernel sends them.
#pragma once

#include "protocol/fuse_message.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

inline std::string fuse_bytes(std::uint32_t operation, std::uint64_t unique, std::uint64_t node, std::string_view body)
{
    fuse_in_header head{};
    head.len = static_cast<std::uint32_t>(sizeof head + body.size());
    head.opcode = operation;
    head.unique = unique;
    head.nodeid = node;
    std::string bytes(sizeof head, '\0');
    std::memcpy(bytes.data(), &head, sizeof head);
    return bytes.append(body);
}

template <typename T>
std::string fuse_bytes_of(std::uint32_t operation, std::uint64_t unique, std::uint64_t node, const T& body)
{
    std::string bytes(sizeof body, '\0');
    std::memcpy(bytes.data(), &body, sizeof body);
    return fuse_bytes(operation, unique, node, bytes);
}

inline std::string fuse_read_bytes(std::uint64_t unique, std::uint64_t handle, std::uint64_t offset, std::uint32_t size)
{
    fuse_read_in body{};
    body.fh = handle;
    body.offset = offset;
    body.size = size;
    return fuse_bytes_of(FUSE_READ, unique, 2, body);
}

} // namespace sluice::protocol
