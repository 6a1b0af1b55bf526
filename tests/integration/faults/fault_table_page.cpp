// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/faults/fault_table.hpp"

#include <fmt/format.h>

namespace sluice::test {

namespace {

std::string describe(const Promise& promise)
{
    if (!promise.error) {
        return "the right bytes";
    }
    const auto when = promise.until_deadline ? "at the deadline" : "at once";
    return fmt::format("`{}`, {}", to_string(*promise.error), when);
}

} // namespace

std::string_view name_of(Moment moment) noexcept
{
    switch (moment) {
    case Moment::kOpen:
        return "at OPEN";
    case Moment::kFirstRead:
        return "first read";
    case Moment::kMiddle:
        return "in the middle";
    }
    return "?";
}

std::string fault_page()
{
    std::string page = R"(# What readers see when something breaks

Made by `test-integration-faults --write-page FILE` from the table that the test holds the daemon to
(`tests/integration/faults/fault_table.cpp`); do not edit. One blob, one repository, a reader over cachefiles; "at OPEN" means
that the fault is there before the blob is opened (which needs no network, and succeeds), "first read" before the first byte
of data is fetched, "in the middle" when part of the blob is there. In each cell, reads of the same range work again when the
fault is gone.

What a reader gets is the kind of error as the log and `sluicectl blobs` have it; [architecture.md](architecture.md#what-the-asker-is-told)
says which errno it becomes. "At the deadline": it is tried again until `read-deadline`, so a fault that passes in time is not
seen at all. "At once": asking again would not help.

| fault | in the test | when | as long as it lasts | if it strikes once |
| --- | --- | --- | --- | --- |
)";
    for (const auto& row : fault_table()) {
        std::string when;
        for (const auto moment : row.moments) {
            when += (when.empty() ? "" : ", ") + std::string{name_of(moment)};
        }
        page += fmt::format(
            "| {} | {} | {} | {} | {} |\n",
            row.name,
            row.meaning,
            when,
            describe(row.lasting),
            row.passing ? describe(*row.passing) : "the same"
        );
    }
    return page;
}

} // namespace sluice::test
