// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/front_end.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::protocol {

/// The core as far as the device sees it: keeps what it is told, and what it has to answer.
class RecordingHandler final : public RequestHandler {
public:
    void on_open(OpenRequest request) override
    {
        events.push_back("open " + request.cookie);
        auto file = open_file ? open_file(request.cookie) : nullptr;
        handles[request.object] = file ? std::shared_ptr<ObjectHandle>{file} : request.handle;
        if (accept_size) {
            request.pending.accept({*accept_size, digest, std::move(file)});
            return;
        }
        opens.push_back(std::move(request));
    }

    void on_read(ReadRequest request) override
    {
        events.push_back("read " + request.range.to_string());
        if (serve_read) {
            serve_read(std::move(request));
            return;
        }
        reads.push_back(std::move(request));
    }

    void on_close(ObjectId object) override
    {
        events.push_back("close");
        closed.push_back(object);
        if (drop_reads_on_close) {
            std::erase_if(reads, [object](const ReadRequest& read) { return read.object == object; });
        }
        handles.erase(object);
    }

    void on_front_end_lost(const Error& why) override { lost = why.text(); }

    [[nodiscard]] std::size_t count(const std::string& event) const
    {
        return static_cast<std::size_t>(std::ranges::count(events, event));
    }

    std::optional<std::uint64_t> accept_size;
    Digest digest; ///< of what is accepted
    /// For front ends that bring no handles: the backing file of a blob.
    std::function<std::shared_ptr<FileHandle>(const std::string& cookie)> open_file;
    std::function<void(ReadRequest)> serve_read;
    bool drop_reads_on_close = true;
    std::vector<OpenRequest> opens;
    std::vector<ReadRequest> reads;
    std::vector<ObjectId> closed;
    std::map<ObjectId, std::shared_ptr<ObjectHandle>> handles;
    std::vector<std::string> events;
    std::string lost;
};

inline AlignedBuffer filled(std::size_t size, int value)
{
    auto buffer = AlignedBuffer::allocate(size);
    buffer.set_size(size);
    std::memset(buffer.bytes().data(), value, size);
    return buffer;
}

} // namespace sluice::protocol
