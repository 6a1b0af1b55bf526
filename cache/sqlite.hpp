// SPDX-License-Identifier: Apache-2.0
//
// sqlite3 in four small classes; the only header besides its .cpp that knows of it. Errors name the
// file, the statement and sqlite's own text. Nothing here is thread-safe: one database belongs to
// one thread at a time.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::cache::sqlite {

/// The current row of a statement, for as long as the callback runs. Columns count from 0.
class Row {
public:
    explicit Row(sqlite3_stmt* statement) noexcept : statement_{statement} {}

    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::vector<std::byte> blob(int column) const;
    [[nodiscard]] bool is_null(int column) const;

private:
    sqlite3_stmt* statement_;
};

/// A compiled statement: bind in order, then one of run(), first(), each(), after which it can be
/// bound and used again. Must not outlive its database.
class Statement {
public:
    Statement& bind(std::int64_t value);
    Statement& bind(std::string_view text);
    Statement& bind(std::span<const std::byte> blob);
    Statement& bind_null();

    /// Values are unsigned 63-bit sizes everywhere in our schema; larger ones are a bug.
    Statement& bind(std::uint64_t value);

    Statement& bind(bool value) { return bind(std::int64_t{value ? 1 : 0}); }

    Statement& bind(const char* text) { return bind(std::string_view{text}); }

    /// For statements without rows; how many rows they changed.
    Result<std::int64_t> run();

    /// The first row, if there is one: whether there was.
    Result<bool> first(const std::function<void(const Row&)>& take);

    Result<void> each(const std::function<void(const Row&)>& take);

private:
    friend class Database;
    Statement(sqlite3_stmt* statement, std::string file);

    void bound(int code);
    Result<bool> step();
    void rewind() noexcept;

    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };

    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    std::string file_;
    int places_ = 0; // bound so far
    int bind_error_ = 0;
};

/// An open database file. Move-only.
class Database {
public:
    /// Opens or makes `file` (mode 0600 by the umask of its directory) with a write-ahead log,
    /// foreign keys and a busy timeout. ErrorKind::kCorrupt when it is no database or a damaged one
    /// (quick_check is run).
    [[nodiscard]] static Result<Database> open(const std::filesystem::path& file);

    [[nodiscard]] Result<Statement> prepare(std::string_view sql) const;

    /// Runs statements that take no values and yield no rows.
    [[nodiscard]] Result<void> execute(const char* sql) const;

    [[nodiscard]] Result<std::int64_t> user_version() const;
    [[nodiscard]] Result<void> set_user_version(std::int64_t version) const;

private:
    struct Close {
        void operator()(sqlite3* database) const noexcept;
    };

    Database(std::unique_ptr<sqlite3, Close> handle, std::string file);
    [[nodiscard]] Result<void> configure() const;

    std::unique_ptr<sqlite3, Close> handle_;
    std::string file_;
};

/// All or nothing: rolled back by the destructor unless commit() succeeded. Must not outlive its
/// database.
class Transaction {
public:
    /// Takes the write lock at once, so that nothing fails half-way for want of it.
    [[nodiscard]] static Result<Transaction> begin(const Database& database);
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();

    [[nodiscard]] Result<void> commit();

private:
    explicit Transaction(const Database& database) noexcept : database_{&database} {}

    const Database* database_; // null when there is nothing to roll back
};

} // namespace sluice::cache::sqlite
