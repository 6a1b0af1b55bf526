// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.hpp"
#include "fetcher/source.hpp"
#include "fetcher/targets.hpp"
#include "tests/support/fake_registry.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::fetcher {

/// 32 bytes that depend on all of the input; no cryptography, since only we compute digests here.
[[nodiscard]] inline Digest fake_sha256(std::span<const std::byte> bytes)
{
    Digest::Bytes out{};
    std::uint64_t state = 0xcbf29ce484222325ULL ^ bytes.size();
    for (const auto b : bytes) {
        state = (state ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3ULL;
    }
    for (auto& b : out) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        b = static_cast<std::byte>(state >> 56);
    }
    return Digest{out};
}

/// Bytes whose every part says where it belongs.
[[nodiscard]] inline std::string pattern(std::size_t size)
{
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>((i * 7 + (i >> 12) * 13) & 0xff);
    }
    return bytes;
}

/// Collects what is delivered, and checks that it comes in order, each byte once.
class CollectingSink final : public ChunkSink {
public:
    explicit CollectingSink(std::uint64_t begin) : next_{begin} {}

    void on_chunk(std::uint64_t offset, AlignedBuffer chunk) override
    {
        EXPECT_EQ(offset, next_);
        next_ = offset + chunk.size();
        ends.push_back(next_);
        bytes.append(as_text(chunk.bytes()));
        if (keep) {
            kept.push_back(std::move(chunk));
        }
    }

    std::string bytes;
    std::vector<std::uint64_t> ends;
    bool keep = false; ///< hold on to the buffers, as a slow writer does
    std::vector<AlignedBuffer> kept;

private:
    std::uint64_t next_;
};

class FetchTest : public test::FdLeakTest {
protected:
    static constexpr std::size_t kBuffer = 65536;
    static constexpr std::uint64_t kPoolBudget = 16 * kBuffer;

    void SetUp() override
    {
        FdLeakTest::SetUp();
        loop.emplace();
        pool.emplace(pool_budget, kBuffer);
        registry.emplace(&fake_sha256);
        storage.emplace(&fake_sha256);
        options.insecure = {registry->host(), storage->host()};
        options.retry.first = milliseconds{1};
        options.retry.longest = milliseconds{2};
    }

    void TearDown() override
    {
        targets.reset();
        sources.reset();
        storage.reset();
        registry.reset();
        pool.reset();
        loop.reset();
        FdLeakTest::TearDown();
    }

    /// Made when it is first used, so that tests may change the options before.
    Sources& source()
    {
        if (!sources) {
            sources.emplace(*loop, options, *pool, &fake_sha256);
        }
        return *sources;
    }

    ImageSource& images() { return source().images(repository()); }

    ImageTarget& target(const std::string& where)
    {
        if (!targets) {
            targets.emplace(*loop, source(), &fake_sha256);
        }
        return targets->images(where);
    }

    ImageTarget& target() { return target(repository()); }

    [[nodiscard]] std::string repository() const { return registry->host() + "/team/app"; }

    BlobLocation add_blob(const std::string& bytes)
    {
        const auto digest = registry->add_blob(bytes);
        storage->add_blob(digest, bytes);
        return {repository(), digest, bytes.size()};
    }

    Result<void> fetch(const BlobLocation& blob, ByteRange range, ChunkSink& sink)
    {
        auto outcome = test::run_task(*loop, source().blobs(blob.repository).fetch(blob, range, sink, deadline()));
        return outcome ? std::move(*outcome) : fail(ErrorKind::kInternal, "the task did not end");
    }

    [[nodiscard]] Deadline deadline() const { return Deadline::after(patience); }

    std::uint64_t pool_budget = kPoolBudget;
    milliseconds patience{20'000};
    RegistryOptions options;
    std::optional<EventLoop> loop;
    std::optional<BufferPool> pool;
    std::optional<test::FakeRegistry> registry;
    std::optional<test::FakeRegistry> storage;
    std::optional<Sources> sources;
    std::optional<Targets> targets;
};

} // namespace sluice::fetcher
