// SPDX-License-Identifier: Apache-2.0
#include "protocol/read_ledger.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::protocol {

/// A ledger of another layout is not taken up, so a change of these two needs another version here.
struct ReadLedger::Header {
    static constexpr std::uint64_t kLayout = 0x736c75'6c656402; ///< "slu", "led", version 2

    std::uint64_t layout;
    std::uint64_t slots;
    std::uint32_t binding;
};

struct ReadLedger::Slot {
    std::atomic<std::uint32_t> used; ///< written last: the process may die between any two instructions
    std::uint32_t message;
    std::uint64_t begin;
    std::uint64_t end;
    std::int64_t arrival; ///< CLOCK_MONOTONIC, in nanoseconds
};

namespace {

constexpr std::size_t kHeaderSize = 64;

} // namespace

Result<ReadLedger> ReadLedger::make(std::uint32_t binding)
{
    const auto size = static_cast<off_t>(kHeaderSize + kSlots * sizeof(Slot));
    UniqueFd memory{kAdoptFd, ::memfd_create("sluice-read-ledger", MFD_CLOEXEC)};
    if (!memory || ::ftruncate(memory.get(), size) != 0) {
        return fail_errno(errno, "read ledger");
    }
    const Header header{Header::kLayout, kSlots, binding};
    if (::pwrite(memory.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
        return fail_errno(errno, "read ledger");
    }
    return adopt(std::move(memory));
}

Result<ReadLedger> ReadLedger::adopt(UniqueFd memory)
{
    constexpr auto kSize = kHeaderSize + kSlots * sizeof(Slot);
    Header header{};

    struct stat info {};

    if (::fstat(memory.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(kSize) ||
        ::pread(memory.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
        header.layout != Header::kLayout || header.slots != kSlots) {
        return fail(ErrorKind::kUnsupported, "read ledger: not of this version's layout");
    }
    auto* mapped = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (mapped == MAP_FAILED) { // NOLINT: the system's macro casts
        return fail_errno(errno, "read ledger: mmap");
    }
    return ReadLedger{std::move(memory), mapped};
}

ReadLedger::ReadLedger(UniqueFd memory, void* mapped) : memory_{std::move(memory)}, mapped_{mapped}
{
    for (auto i = static_cast<std::uint32_t>(kSlots); i-- > 0;) {
        const auto& slot = slots()[i];
        if (slot.used.load(std::memory_order_acquire) == 0 || !left_.emplace(MessageId{slot.message}, i).second) {
            slots()[i].used.store(0, std::memory_order_release);
            free_.push_back(i);
        }
    }
}

ReadLedger::ReadLedger(ReadLedger&& other) noexcept
    : memory_{std::move(other.memory_)}
    , mapped_{std::exchange(other.mapped_, nullptr)}
    , free_{std::move(other.free_)}
    , here_{std::move(other.here_)}
    , left_{std::move(other.left_)}
{}

ReadLedger::~ReadLedger()
{
    if (mapped_ != nullptr) {
        ::munmap(mapped_, kHeaderSize + kSlots * sizeof(Slot));
    }
}

ReadLedger::Header& ReadLedger::header() const noexcept
{
    return *static_cast<Header*>(mapped_);
}

std::uint32_t ReadLedger::binding() const noexcept
{
    return header().binding;
}

void ReadLedger::set_binding(std::uint32_t binding) noexcept
{
    header().binding = binding;
}

ReadLedger::Slot* ReadLedger::slots() const noexcept
{
    return static_cast<Slot*>(static_cast<void*>(static_cast<std::byte*>(mapped_) + kHeaderSize));
}

void ReadLedger::put(std::uint32_t slot, MessageId message, ByteRange range, TimePoint arrival) noexcept
{
    auto& entry = slots()[slot];
    entry.message = message.value;
    entry.begin = range.begin();
    entry.end = range.end();
    entry.arrival = std::chrono::nanoseconds{arrival.time_since_epoch()}.count();
    entry.used.store(1, std::memory_order_release);
}

ReadLedger::Entry ReadLedger::note(MessageId message, ByteRange range)
{
    const auto now = SteadyClock::now();
    if (const auto left = left_.extract(message)) {
        const auto& entry = slots()[left.mapped()];
        const TimePoint arrival{std::chrono::nanoseconds{entry.arrival}};
        if (entry.begin == range.begin() && entry.end == range.end() && arrival <= now) {
            here_.emplace(message, left.mapped());
            return {arrival, true};
        }
        // Its reader was killed, and the kernel has given its number to another one.
        slots()[left.mapped()].used.store(0, std::memory_order_release);
        free_.push_back(left.mapped());
    }
    if (free_.empty() && !left_.empty()) {
        free_.push_back(left_.begin()->second);
        left_.erase(left_.begin());
    }
    if (free_.empty() || here_.contains(message)) {
        return {now, false};
    }
    const auto slot = free_.back();
    free_.pop_back();
    put(slot, message, range, now);
    here_.emplace(message, slot);
    return {now, false};
}

void ReadLedger::strike(MessageId message) noexcept
{
    const auto at = here_.find(message);
    if (at == here_.end()) {
        return;
    }
    slots()[at->second].used.store(0, std::memory_order_release);
    free_.push_back(at->second);
    here_.erase(at);
}

} // namespace sluice::protocol
