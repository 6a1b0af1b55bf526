// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace sluice::protocol {

/// When each READ that is not yet answered was handed out, in memory that a successor of this process can take up: so
/// its deadline counts from there, and not from its delivery to the successor. It belongs to one binding of the device,
/// and has that binding's number. Loop thread only.
class ReadLedger {
public:
    static constexpr std::size_t kSlots = 4096;

    /// Empty, in memory of its own.
    [[nodiscard]] static Result<ReadLedger> make(std::uint32_t binding);

    /// What a predecessor has left. Fails for anything else than a ledger of this layout.
    [[nodiscard]] static Result<ReadLedger> adopt(UniqueFd memory);

    ReadLedger(ReadLedger&& other) noexcept;
    ReadLedger& operator=(ReadLedger&&) = delete;
    ReadLedger(const ReadLedger&) = delete;
    ReadLedger& operator=(const ReadLedger&) = delete;
    ~ReadLedger();

    /// For a descriptor store.
    [[nodiscard]] int fd() const noexcept { return memory_.get(); }

    [[nodiscard]] std::uint32_t binding() const noexcept;
    /// What is mounted already is not served any more: what is mounted from now on has to be told from it.
    void set_binding(std::uint32_t binding) noexcept;

    /// READs that the predecessor has left, and that have not come again yet.
    [[nodiscard]] std::size_t left() const noexcept { return left_.size(); }

    struct Entry {
        TimePoint arrival;
        bool replayed = false; ///< the predecessor had it, and did not answer
    };

    /// Notes that the READ is here. Where all slots are in use it is not noted: a successor would count anew.
    Entry note(MessageId message, ByteRange range);

    /// It was answered, or nobody asks any more.
    void strike(MessageId message) noexcept;

private:
    struct Header;
    struct Slot;

    ReadLedger(UniqueFd memory, void* mapped);

    [[nodiscard]] Header& header() const noexcept;
    [[nodiscard]] Slot* slots() const noexcept;
    void put(std::uint32_t slot, MessageId message, ByteRange range, TimePoint arrival) noexcept;

    UniqueFd memory_;
    void* mapped_;
    std::vector<std::uint32_t> free_;
    std::unordered_map<MessageId, std::uint32_t> here_; ///< slots of READs that are under way
    std::unordered_map<MessageId, std::uint32_t> left_; ///< slots of the predecessor's
};

} // namespace sluice::protocol
