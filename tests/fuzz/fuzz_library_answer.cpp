// SPDX-License-Identifier: Apache-2.0
//
// Whatever a daemon answers to libsluice: a session that has one of each request under way takes it or refuses it, and
// ends each request once.
#include "lib/session.hpp"
#include "tests/fuzz/require.hpp"

#include <cstdint>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::lib;
    const TimePoint now{std::chrono::seconds{1}};
    Session session;
    unsigned ended = 0;
    const auto done = [&ended](int status) {
        require(status <= 0);
        ++ended;
    };
    const auto blob =
        session.add_blob({"sha256:x", false, 0, 0}, [](const OpenedObject&, sluice::UniqueFd) { return 0; });
    (void)session.greet(now, true, done);
    (void)session.read(blob, 0, 4096, now, done);
    (void)session.read(blob, 4096, 4096, now, done);
    session.connected();
    // The input is a row of answers: a byte for the length, then as many.
    std::span<const std::uint8_t> left{data, size};
    bool linked = true;
    while (linked && !left.empty()) {
        while (session.next() != nullptr) {
            session.sent();
        }
        const auto length = std::min<std::size_t>(left[0], left.size() - 1);
        linked = session.received(std::as_bytes(left.subspan(1, length)), {});
        left = left.subspan(1 + length);
    }
    require(ended <= 3);
    session.disconnected(now, -1);
    session.expire(now);
    require(ended == 3);
    return 0;
}
