// SPDX-License-Identifier: Apache-2.0
#include "cache/sqlite.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace sluice::cache::sqlite {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Sqlite : public test::FdLeakTest {
protected:
    [[nodiscard]] Database open() const
    {
        auto database = Database::open(file());
        EXPECT_TRUE(database) << database.error().text();
        return std::move(*database);
    }

    [[nodiscard]] std::filesystem::path file() const { return dir_.path() / "test.db"; }

    static Statement prepare(const Database& database, std::string_view sql)
    {
        auto statement = database.prepare(sql);
        EXPECT_TRUE(statement) << statement.error().text();
        return std::move(*statement);
    }

    static std::int64_t count(const Database& database)
    {
        std::int64_t rows = -1;
        auto found = prepare(database, "SELECT count(*) FROM t").first([&](const Row& row) { rows = row.integer(0); });
        EXPECT_TRUE(found && *found);
        return rows;
    }

    test::TempDir dir_;
};

TEST_F(Sqlite, KeepsEveryTypeOfValue)
{
    const auto database = open();
    ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER, b TEXT, c BLOB, d TEXT, e BLOB, f TEXT) STRICT"));
    const std::vector<std::byte> bytes{std::byte{0}, std::byte{1}, std::byte{0xff}};
    const std::string text{"nul\0inside", 10};
    auto insert = prepare(database, "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)");
    insert.bind(std::int64_t{-5}).bind(text).bind(std::span<const std::byte>{bytes}).bind_null();
    insert.bind(std::span<const std::byte>{}).bind(std::string_view{});
    EXPECT_EQ(insert.run().value(), 1);

    auto select = prepare(database, "SELECT a, b, c, d, e, f FROM t");
    EXPECT_TRUE(select
                    .first([&](const Row& row) {
                        EXPECT_EQ(row.integer(0), -5);
                        EXPECT_EQ(row.text(1), text);
                        EXPECT_EQ(row.blob(2), bytes);
                        EXPECT_TRUE(row.is_null(3));
                        EXPECT_FALSE(row.is_null(4)) << "an empty blob is not NULL";
                        EXPECT_FALSE(row.is_null(5)) << "an empty text is not NULL";
                    })
                    .value());
}

TEST_F(Sqlite, AStatementCanBeUsedAgain)
{
    const auto database = open();
    ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER) STRICT"));
    auto insert = prepare(database, "INSERT INTO t VALUES (?)");
    for (std::int64_t value = 0; value < 3; ++value) {
        ASSERT_TRUE(insert.bind(value).run());
    }
    auto select = prepare(database, "SELECT a FROM t WHERE a >= ? ORDER BY a");
    for (int round = 0; round < 2; ++round) {
        std::vector<std::int64_t> found;
        ASSERT_TRUE(select.bind(std::int64_t{1}).each([&](const Row& row) { found.push_back(row.integer(0)); }));
        EXPECT_THAT(found, ElementsAre(1, 2));
    }
    EXPECT_FALSE(select.bind(std::int64_t{9}).first([](const Row&) { FAIL() << "no such row"; }).value());
}

TEST_F(Sqlite, ATransactionIsRolledBackUnlessCommitted)
{
    const auto database = open();
    ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER) STRICT"));
    {
        auto transaction = Transaction::begin(database);
        ASSERT_TRUE(transaction);
        ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
    }
    EXPECT_EQ(count(database), 0);
    {
        auto transaction = Transaction::begin(database);
        ASSERT_TRUE(transaction);
        ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
        ASSERT_TRUE(transaction->commit());
    }
    EXPECT_EQ(count(database), 1);
}

TEST_F(Sqlite, ForeignKeysAreEnforced)
{
    const auto database = open();
    ASSERT_TRUE(database.execute("CREATE TABLE p (a INTEGER PRIMARY KEY) STRICT;"
                                 "CREATE TABLE t (a INTEGER NOT NULL REFERENCES p) STRICT"));
    const auto orphan = database.execute("INSERT INTO t VALUES (1)");
    ASSERT_FALSE(orphan);
    EXPECT_THAT(orphan.error().text(), HasSubstr("FOREIGN KEY"));
}

TEST_F(Sqlite, ErrorsNameTheFileTheStatementAndTheReason)
{
    const auto database = open();
    const auto bad = database.prepare("SELECT nonsense FROM nowhere");
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().text(), HasSubstr(file().string()));
    EXPECT_THAT(bad.error().text(), HasSubstr("SELECT nonsense FROM nowhere"));
    EXPECT_THAT(bad.error().text(), HasSubstr("no such table: nowhere"));

    ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER UNIQUE) STRICT; INSERT INTO t VALUES (1)"));
    auto insert = prepare(database, "INSERT INTO t VALUES (?)");
    const auto twice = insert.bind(std::int64_t{1}).run();
    ASSERT_FALSE(twice);
    EXPECT_THAT(twice.error().text(), HasSubstr("INSERT INTO t VALUES (?)"));
    EXPECT_THAT(twice.error().text(), HasSubstr("UNIQUE"));
    EXPECT_TRUE(insert.bind(std::int64_t{2}).run()) << "and the statement is still good";
}

TEST_F(Sqlite, AMissingDirectoryIsNotFound)
{
    const auto database = Database::open(dir_.path() / "no" / "test.db");
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().kind(), ErrorKind::kNotFound) << database.error().text();
    EXPECT_THAT(database.error().text(), HasSubstr("no/test.db"));
}

TEST_F(Sqlite, WhatIsNoDatabaseIsCorrupt)
{
    (void)dir_.write("test.db", std::string(8192, 'x'));
    const auto database = Database::open(file());
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().kind(), ErrorKind::kCorrupt) << database.error().text();
}

TEST_F(Sqlite, ASecondWriterIsBusyAndNotBroken)
{
    const auto database = open();
    ASSERT_TRUE(database.execute("CREATE TABLE t (a INTEGER) STRICT"));
    const auto other = open();
    ASSERT_TRUE(other.execute("PRAGMA busy_timeout = 0"));
    const auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    const auto second = Transaction::begin(other);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kTransient) << second.error().text();
}

TEST_F(Sqlite, TheUserVersionStays)
{
    {
        const auto database = open();
        EXPECT_EQ(database.user_version().value(), 0);
        ASSERT_TRUE(database.set_user_version(7));
    }
    EXPECT_EQ(open().user_version().value(), 7);
}

} // namespace
} // namespace sluice::cache::sqlite
