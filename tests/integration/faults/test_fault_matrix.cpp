// SPDX-License-Identifier: Apache-2.0
//
// Each fault, at each moment: the reader gets what docs/fault-matrix.md promises, and reads work again afterwards.
#include "tests/integration/faults/fault_table.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>

namespace sluice::test {
namespace {

struct Cell {
    const FaultRow* row;
    Moment moment;
    bool lasts;
};

std::string name_of_cell(const ::testing::TestParamInfo<Cell>& info)
{
    auto name = std::string{info.param.row->name} + "_" + std::string{name_of(info.param.moment)} +
                (info.param.lasts ? "_lasting" : "_once");
    std::erase_if(name, [](char c) { return c == ','; });
    std::replace_if(
        name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_'
    );
    return name;
}

std::vector<Cell> all_cells()
{
    std::vector<Cell> cells;
    for (const auto& row : fault_table()) {
        for (const auto moment : row.moments) {
            cells.push_back({&row, moment, true});
            if (row.passing) {
                cells.push_back({&row, moment, false});
            }
        }
    }
    return cells;
}

class FaultMatrix : public ::testing::TestWithParam<Cell> {
protected:
    // All behind max_skip, so that a server which ignores Range is of no use; and none of them next to another.
    static constexpr ByteRange kBefore{512 << 10, 576 << 10};
    static constexpr ByteRange kStruck{1024 << 10, 1088 << 10};
    static constexpr ByteRange kAfter{1536 << 10, 1600 << 10};

    void bring_to(Moment moment)
    {
        const auto& row = *GetParam().row;
        if (row.prepare != nullptr) {
            row.prepare(world_);
        }
        if (moment == Moment::kOpen) {
            return;
        }
        ASSERT_TRUE(world_.open());
        ASSERT_TRUE(world_.load_tree());
        if (moment == Moment::kMiddle) {
            ASSERT_EQ(text_of(world_.read(kBefore)), "");
        }
    }

    static std::string text_of(const std::optional<Error>& error)
    {
        return error ? std::string{to_string(error->kind())} + ": " + error->text() : "";
    }

    void expect(
        const Promise& promise, const std::optional<Error>& outcome, std::size_t requests, SteadyClock::duration took
    )
    {
        if (!promise.error) {
            EXPECT_EQ(text_of(outcome), "");
            return;
        }
        ASSERT_TRUE(outcome) << "it was to fail";
        EXPECT_EQ(to_string(outcome->kind()), to_string(*promise.error)) << outcome->text();
        if (promise.until_deadline) {
            EXPECT_GE(requests, promise.least_requests) << "given up too early";
            EXPECT_GE(took, FaultWorld::kShort * 3 / 4) << "told before the deadline";
        } else {
            EXPECT_LE(requests, promise.most_requests) << "told at once, and yet asked again";
            EXPECT_EQ(world_.counters.deadline_misses, 0U);
        }
    }

    FaultWorld world_;
};

TEST_P(FaultMatrix, TheReaderGetsWhatThePagePromises)
{
    const auto& [row, moment, lasts] = GetParam();
    bring_to(moment);
    if (HasFatalFailure()) {
        return;
    }
    const auto asked = [this] { return world_.registry ? world_.registry->requests().size() : 0; };
    const auto before = asked();
    const auto& promise = lasts ? row->lasting : *row->passing;
    world_.set_deadline(promise.until_deadline ? FaultWorld::kShort : FaultWorld::kLong);
    row->strike(world_, lasts ? FakeRegistry::kForever : 1);
    if (moment == Moment::kOpen) {
        ASSERT_TRUE(world_.open()) << "an OPEN needs nothing that is broken";
    }
    const auto begun = SteadyClock::now();
    const auto outcome = world_.read(kStruck);
    const auto took = SteadyClock::now() - begun;
    EXPECT_TRUE(row->struck(world_)) << "the fault never showed";
    expect(promise, outcome, asked() - std::min(before, asked()), took);
    row->mend(world_);
    world_.set_deadline(FaultWorld::kLong);
    EXPECT_EQ(text_of(world_.read(kStruck)), "") << "mended, and still";
    EXPECT_EQ(text_of(world_.read(kAfter)), "");
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultMatrix, ::testing::ValuesIn(all_cells()), name_of_cell);

TEST(FaultPage, IsMadeFromTheTable)
{
    std::ifstream in{FAULT_PAGE};
    const std::string page{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_EQ(page, fault_page()) << "run: test-integration-faults --write-page " << FAULT_PAGE;
}

} // namespace
} // namespace sluice::test

int main(int argc, char** argv)
{
    ::testing::InitGoogleTest(&argc, argv);
    if (argc == 3 && std::string_view{argv[1]} == "--write-page") {
        std::ofstream out{argv[2]};
        out << sluice::test::fault_page();
        return out.flush() ? 0 : 1;
    }
    return RUN_ALL_TESTS();
}
