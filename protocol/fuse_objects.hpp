// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/function.hpp"
#include "protocol/device.hpp"
#include "protocol/file_handle.hpp"
#include "protocol/fuse_reader.hpp"
#include "protocol/fuse_request.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

/// The blobs that are open through the FUSE file system, each once however many have it open, and the answers that go
/// back to them. Loop thread only.
class FuseObjects final : public Answerer {
public:
    /// `dropped`: the core has accepted the object, and nobody wants it any more. Called from within answers, so it
    /// must only take notes or defer.
    /// `ask_again`: the core took a range for present that has a hole. Called on workers; copied to them.
    FuseObjects(
        FuseReader reader,
        DeviceStats& stats,
        UniqueFunction<void(ObjectId)> dropped,
        std::function<void(std::uint64_t inode, ByteRange range, FuseRequest request)> ask_again
    );

    /// Adds an opener to an object that is open, or about to be; gives `request` back when there is none.
    [[nodiscard]] bool join(std::uint64_t inode, FuseRequest& request);

    /// A new object of `size` bytes, with its first opener, who waits for answer_open().
    ObjectId begin(std::uint64_t inode, std::uint64_t size, FuseRequest request);

    /// The object will not be opened: all who wait for it get `code`.
    void refuse(ObjectId object, int code);

    void set_file(ObjectId object, std::shared_ptr<FileHandle> file);

    /// Takes note of somebody who sleeps until `range` is there. Nothing when that is answered already: by an error, or
    /// because it is beyond the end.
    [[nodiscard]] std::optional<std::pair<ObjectId, MessageId>>
    add_read(std::uint64_t inode, ByteRange range, FuseRequest request);

    /// The core is looking for the data of this READ: what is missing at its answer could not be had. For READs that
    /// are answered already, nothing happens.
    void taken_up(MessageId message);

    /// One opener less; yields the object if that was the last one, and forgets it.
    [[nodiscard]] std::optional<ObjectId> release(std::uint64_t inode);

    [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }

    void answer_open(ObjectId object, MessageId message, Result<std::uint64_t> size) override;
    void answer_read(ObjectId object, MessageId message) override;

private:
    struct Object {
        std::uint64_t inode = 0;
        std::uint64_t size = 0;
        std::shared_ptr<FileHandle> file;
        bool open = false;
        unsigned openers = 0;
        std::vector<FuseRequest> opening; ///< who waits until it is open
    };

    struct Read {
        ObjectId object;
        ByteRange range;
        FuseRequest request;
        bool taken_up = false;
    };

    [[nodiscard]] Object* find(std::uint64_t inode);

    FuseReader reader_;
    DeviceStats& stats_;
    UniqueFunction<void(ObjectId)> dropped_;
    std::function<void(std::uint64_t, ByteRange, FuseRequest)> ask_again_;
    std::uint32_t last_object_ = 0;
    std::uint32_t last_message_ = 0;
    std::unordered_map<ObjectId, Object> objects_;
    std::unordered_map<std::uint64_t, ObjectId> by_inode_;
    std::unordered_map<MessageId, Read> reads_;
};

} // namespace sluice::protocol
