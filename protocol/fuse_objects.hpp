// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/function.hpp"
#include "protocol/front_end.hpp"
#include "protocol/fuse_reader.hpp"
#include "protocol/fuse_request.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

namespace sluice::protocol {

/// The openings of blobs through the FUSE file system, one object for each open file, and the answers that go back to
/// them. An object's id is the open file's handle. Loop thread only.
class FuseObjects final : public Answerer {
public:
    /// What comes up while something is answered.
    struct Events {
        /// The core has accepted an opening whose opener was killed meanwhile. Called from within answers, so it must
        /// only take notes or defer.
        UniqueFunction<void(ObjectId)> dropped;
        /// The core took a range for present, and a worker has found a hole in it. Called on workers; copied to them.
        std::function<void(ObjectId, ByteRange, FuseRequest)> found_hole;
    };

    FuseObjects(FuseReader reader, FrontEndStats& stats, Events events);

    /// A new object, whose opener waits for answer_open().
    [[nodiscard]] ObjectId begin(FuseRequest opener);

    /// Takes note of somebody who sleeps until `range` is there. `has_looked`: a hole that is there when the READ is
    /// answered is an error. Nothing when the READ is answered already: by an error, or because it is beyond the end.
    [[nodiscard]] std::optional<MessageId>
    add_read(ObjectId object, ByteRange range, FuseRequest request, bool has_looked);

    /// False when it was not open.
    [[nodiscard]] bool release(ObjectId object) { return open_.erase(object) != 0; }

    [[nodiscard]] std::size_t size() const noexcept { return open_.size() + opening_.size(); }

    void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome) override;
    void answer_read(ObjectId object, MessageId message, Result<void> outcome) override;

private:
    struct Read {
        ByteRange range;
        FuseRequest request;
        bool has_looked = false;
    };

    FuseReader reader_;
    FrontEndStats& stats_;
    Events events_;
    std::unordered_map<ObjectId, FuseRequest> opening_;
    std::unordered_map<ObjectId, OpenedBlob> open_;
    std::unordered_map<MessageId, Read> reads_;
    std::uint32_t last_object_ = 0;
    std::uint32_t last_message_ = 0;
};

} // namespace sluice::protocol
