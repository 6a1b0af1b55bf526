// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/function.hpp"
#include "protocol/front_end.hpp"
#include "protocol/front_end_stats.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/object_fd.hpp"

#include <memory>
#include <string>
#include <unordered_map>

namespace sluice::protocol {

/// The objects that the kernel has open with us, by generation, and the answers that go back through them.
/// On the loop's thread.
class OpenObjects final : public Answerer {
public:
    /// Told of what an answer has brought to light; called from within answers, so it must only take notes or defer.
    struct Events {
        UniqueFunction<void(ObjectId)> dropped;           ///< accepted by the core, not by the kernel
        UniqueFunction<void(MessageId)> answered;         ///< a READ: it is over, whatever the kernel says to it
        UniqueFunction<void(int)> device_failed;          ///< errno; the cache is dead
        UniqueFunction<void(const std::string&)> trouble; ///< something worth a line
    };

    OpenObjects(KernelIo& io, int device, FrontEndStats& stats, Events events);

    /// False when an object of that id was there; it is closed and replaced.
    bool insert(ObjectId object, std::shared_ptr<ObjectFd> fd);

    [[nodiscard]] bool contains(ObjectId object) const { return objects_.contains(object); }

    /// Forgets the object, so that nothing is answered through it any more, and yields what is to be closed.
    [[nodiscard]] std::shared_ptr<ObjectFd> remove(ObjectId object);

    [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }

    /// The kernel would ask again at once, for ever, were the opening again of what is mounted refused. So that is
    /// accepted, without anybody who fills it: its object stays, and the core answers its READs unfilled.
    void answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome) override;
    /// The kernel looks for itself: where the READ has failed, it finds the hole, and its reader gets EIO.
    void answer_read(ObjectId object, MessageId message, Result<void> outcome) override;

    /// For an OPEN that never got as far as an object.
    void refuse_open(MessageId message, int code);

private:
    /// 0 or a positive errno.
    [[nodiscard]] int send(const std::string& command);
    void drop(ObjectId object);

    KernelIo& io_;
    int device_;
    FrontEndStats& stats_;
    Events events_;
    std::unordered_map<ObjectId, std::shared_ptr<ObjectFd>> objects_;
};

} // namespace sluice::protocol
