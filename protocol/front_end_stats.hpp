// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace sluice::protocol {

/// Counted since the device was started; a plain copy.
struct FrontEndStats {
    std::uint64_t opens = 0;
    std::uint64_t reads = 0;
    std::uint64_t closes = 0;
    std::uint64_t opens_accepted = 0;
    std::uint64_t opens_rejected = 0;
    std::uint64_t open_answers_failed = 0; ///< copen that the kernel did not take
    std::uint64_t reads_answered = 0;
    std::uint64_t reads_forgotten = 0; ///< answered when the kernel no longer asked: killed reader, umount
    std::uint64_t malformed = 0;
    std::uint64_t unknown_objects = 0;  ///< READ of an object that is not open here
    std::uint64_t replaced_objects = 0; ///< OPEN with the id of one that is still open
    std::uint64_t replayed = 0;         ///< requests that a predecessor left unanswered
    std::uint64_t empty_wakeups = 0;
    std::map<int, std::uint64_t> read_errors; ///< by errno: messages that the kernel could not hand over
    std::size_t open_objects = 0;             ///< at this moment
};

} // namespace sluice::protocol
