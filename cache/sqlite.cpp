// SPDX-License-Identifier: Apache-2.0
#include "cache/sqlite.hpp"

#include "base/text.hpp"

#include <cassert>
#include <fmt/format.h>
#include <limits>
#include <sqlite3.h>
#include <utility>

namespace sluice::cache::sqlite {
namespace {

constexpr int kBusyMilliseconds = 5000; // somebody's sqlite3 shell; we ourselves have one connection

ErrorKind kind_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ErrorKind::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ErrorKind::kTransient;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return ErrorKind::kNoSpace;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return ErrorKind::kDenied;
    default:
        return ErrorKind::kInternal;
    }
}

/// `sql` is null where no statement was involved.
Failure failure(sqlite3* database, int code, const std::string& file, const char* sql)
{
    const char* text = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
    ErrorKind kind = kind_of(code);
    const int system_code = database != nullptr ? sqlite3_system_errno(database) : 0;
    const bool from_system = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
    if (from_system && system_code != 0) {
        const Error cause = Error::from_errno(system_code, text);
        return fail(cause, sql != nullptr ? fmt::format("{}: {}", file, printable(sql, 80)) : file);
    }
    if (sql == nullptr) {
        return fail(kind, fmt::format("{}: {}", file, printable(text)));
    }
    return fail(kind, fmt::format("{}: {}: {}", file, printable(trim(sql), 80), printable(text)));
}

} // namespace

std::int64_t Row::integer(int column) const
{
    return sqlite3_column_int64(statement_, column);
}

std::string Row::text(int column) const
{
    const void* const text = sqlite3_column_text(statement_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return text == nullptr ? std::string{} : std::string{static_cast<const char*>(text), size};
}

std::vector<std::byte> Row::blob(int column) const
{
    const auto* const bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::vector<std::byte>{} : std::vector<std::byte>{bytes, bytes + size};
}

bool Row::is_null(int column) const
{
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept
{
    sqlite3_finalize(statement);
}

Statement::Statement(sqlite3_stmt* statement, std::string file) : statement_{statement}, file_{std::move(file)} {}

void Statement::bound(int code)
{
    assert(code != SQLITE_RANGE && "more values than the statement has places");
    if (code != SQLITE_OK && bind_error_ == SQLITE_OK) {
        bind_error_ = code; // out of memory, or a value too large: told by the next step
    }
}

Statement& Statement::bind(std::int64_t value)
{
    bound(sqlite3_bind_int64(statement_.get(), ++places_, value));
    return *this;
}

Statement& Statement::bind(std::uint64_t value)
{
    assert(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    return bind(static_cast<std::int64_t>(value));
}

Statement& Statement::bind(std::string_view text)
{
    const char* const data = text.data() != nullptr ? text.data() : ""; // a null pointer would bind NULL
    bound(sqlite3_bind_text64(statement_.get(), ++places_, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
    return *this;
}

Statement& Statement::bind(std::span<const std::byte> blob)
{
    const void* const data = blob.empty() ? "" : static_cast<const void*>(blob.data());
    bound(sqlite3_bind_blob64(statement_.get(), ++places_, data, blob.size(), SQLITE_TRANSIENT));
    return *this;
}

Statement& Statement::bind_null()
{
    bound(sqlite3_bind_null(statement_.get(), ++places_));
    return *this;
}

Result<bool> Statement::step()
{
    assert(places_ == sqlite3_bind_parameter_count(statement_.get()) && "fewer values than the statement has places");
    sqlite3* const database = sqlite3_db_handle(statement_.get());
    if (bind_error_ != SQLITE_OK) {
        return failure(nullptr, bind_error_, file_, sqlite3_sql(statement_.get()));
    }
    switch (const int code = sqlite3_step(statement_.get()); code) {
    case SQLITE_ROW:
        return true;
    case SQLITE_DONE:
        return false;
    default:
        return failure(database, code, file_, sqlite3_sql(statement_.get()));
    }
}

void Statement::rewind() noexcept
{
    sqlite3_reset(statement_.get()); // repeats the error of the step, which was told
    sqlite3_clear_bindings(statement_.get());
    places_ = 0;
    bind_error_ = SQLITE_OK;
}

Result<std::int64_t> Statement::run()
{
    const auto rows = step();
    assert((!rows || !*rows) && "run() is for statements without rows");
    const std::int64_t changed = sqlite3_changes64(sqlite3_db_handle(statement_.get()));
    rewind();
    if (!rows) {
        return fail(rows.error());
    }
    return changed;
}

Result<bool> Statement::first(const std::function<void(const Row&)>& take)
{
    auto found = step();
    if (found && *found) {
        take(Row{statement_.get()});
    }
    rewind();
    return found;
}

Result<void> Statement::each(const std::function<void(const Row&)>& take)
{
    for (;;) {
        const auto found = step();
        if (found && *found) {
            take(Row{statement_.get()});
            continue;
        }
        rewind();
        if (!found) {
            return fail(found.error());
        }
        return {};
    }
}

void Database::Close::operator()(sqlite3* database) const noexcept
{
    sqlite3_close_v2(database);
}

Database::Database(std::unique_ptr<sqlite3, Close> handle, std::string file)
    : handle_{std::move(handle)}, file_{std::move(file)}
{}

Result<Database> Database::open(const std::filesystem::path& file)
{
    sqlite3* opened = nullptr;
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(file.c_str(), &opened, kFlags, nullptr);
    Database database{std::unique_ptr<sqlite3, Close>{opened}, file.string()}; // owns it after a failure too
    if (code != SQLITE_OK) {
        return failure(opened, code, database.file_, nullptr);
    }
    if (auto ready = database.configure(); !ready) {
        return fail(ready.error());
    }
    return database;
}

Result<void> Database::configure() const
{
    sqlite3_busy_timeout(handle_.get(), kBusyMilliseconds);
    auto journal = prepare("PRAGMA journal_mode = WAL");
    if (!journal) {
        return fail(journal.error());
    }
    if (auto set = journal->first([](const Row&) {}); !set) {
        return fail(set.error());
    }
    // With a log, NORMAL loses at most the last transactions in a power cut, and never the database.
    if (auto set = execute("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON"); !set) {
        return set;
    }
    auto check = prepare("PRAGMA quick_check(1)");
    if (!check) {
        return fail(check.error());
    }
    std::string verdict;
    if (auto done = check->first([&](const Row& row) { verdict = row.text(0); }); !done) {
        return fail(done.error());
    }
    if (verdict != "ok") {
        return fail(ErrorKind::kCorrupt, fmt::format("{}: quick_check: {}", file_, printable(verdict)));
    }
    return {};
}

Result<Statement> Database::prepare(std::string_view sql) const
{
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    if (code != SQLITE_OK) {
        return failure(handle_.get(), code, file_, std::string{sql}.c_str());
    }
    return Statement{statement, file_};
}

Result<void> Database::execute(const char* sql) const
{
    const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
        return failure(handle_.get(), code, file_, sql);
    }
    return {};
}

Result<std::int64_t> Database::user_version() const
{
    auto statement = prepare("PRAGMA user_version");
    if (!statement) {
        return fail(statement.error());
    }
    std::int64_t version = 0;
    if (auto done = statement->first([&](const Row& row) { version = row.integer(0); }); !done) {
        return fail(done.error());
    }
    return version;
}

Result<void> Database::set_user_version(std::int64_t version) const
{
    return execute(fmt::format("PRAGMA user_version = {}", version).c_str()); // pragmas take no bound values
}

Result<Transaction> Transaction::begin(const Database& database)
{
    if (auto begun = database.execute("BEGIN IMMEDIATE"); !begun) {
        return fail(begun.error());
    }
    return Transaction{database};
}

Transaction::Transaction(Transaction&& other) noexcept : database_{std::exchange(other.database_, nullptr)} {}

Transaction::~Transaction()
{
    if (database_ != nullptr) {
        (void)database_->execute("ROLLBACK"); // sqlite has rolled back by itself after some errors
    }
}

Result<void> Transaction::commit()
{
    auto committed = database_->execute("COMMIT");
    if (committed) {
        database_ = nullptr;
    }
    return committed;
}

} // namespace sluice::cache::sqlite
