// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <string>
#include <vector>

namespace sluice::fetcher {

/// A registry that has one blob, which is read in ranges.
class OneBlobTest : public FetchTest {
protected:
    explicit OneBlobTest(std::size_t size) : content{pattern(size)} {}

    void SetUp() override
    {
        FetchTest::SetUp();
        blob = add_blob(content);
    }

    /// Fetches `range` and expects exactly its bytes.
    void expect_delivered(ByteRange range)
    {
        CollectingSink sink{range.begin()};
        const auto outcome = fetch(blob, range, sink);
        ASSERT_TRUE(outcome) << outcome.error().text();
        EXPECT_TRUE(sink.bytes == content.substr(range.begin(), range.size())) << "other bytes than asked for";
    }

    [[nodiscard]] std::vector<std::string> asked_ranges() const
    {
        std::vector<std::string> ranges;
        for (const auto& request : registry->requests()) {
            ranges.push_back(request.header("range"));
        }
        return ranges;
    }

    /// Counts a fetch that succeeds.
    static Task<void> count_success(Task<Result<void>> fetch, int& count)
    {
        const auto outcome = co_await fetch;
        count += outcome ? 1 : 0;
    }

    std::string content;
    BlobLocation blob;
};

} // namespace sluice::fetcher
