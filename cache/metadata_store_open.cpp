// SPDX-License-Identifier: Apache-2.0
//
// How the database comes to be: made, brought up to date, or moved out of the way.
#include "base/clock.hpp"
#include "cache/metadata_store.hpp"
#include "cache/schema.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace sluice::cache {
namespace {

using sqlite::Database;
using sqlite::Transaction;

Result<void> migrate(const Database& database, const std::filesystem::path& file)
{
    const auto found = database.user_version();
    if (!found) {
        return fail(found.error());
    }
    constexpr auto kOurs = static_cast<std::int64_t>(kMigrations.size());
    if (*found > kOurs || *found < 0) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "{}: written by another version of sluiced (schema {}, this one knows up to {}); "
                "install that version, or move the file away to begin anew",
                file.string(),
                *found,
                kOurs
            )
        );
    }
    for (auto version = *found; version < kOurs; ++version) {
        auto transaction = Transaction::begin(database);
        if (!transaction) {
            return fail(transaction.error());
        }
        const auto where = fmt::format("schema {}", version + 1);
        if (auto done = database.execute(kMigrations.at(static_cast<std::size_t>(version))); !done) {
            return fail(done.error(), where);
        }
        if (auto done = database.set_user_version(version + 1); !done) {
            return fail(done.error(), where);
        }
        if (auto done = transaction->commit(); !done) {
            return fail(done.error(), where);
        }
    }
    return {};
}

Result<Database> open_current(const std::filesystem::path& file)
{
    auto database = Database::open(file);
    if (!database) {
        return database;
    }
    if (auto ready = migrate(*database, file); !ready) {
        return fail(ready.error());
    }
    return database;
}

bool exists(const std::filesystem::path& file)
{
    std::error_code ignored;
    return std::filesystem::exists(std::filesystem::symlink_status(file, ignored));
}

/// The database and its log, so that they can be looked at later.
Result<std::filesystem::path> move_aside(const std::filesystem::path& file)
{
    const auto stem = fmt::format("{}.corrupt-{:%Y%m%dT%H%M%SZ}", file.string(), fmt::gmtime(std::time(nullptr)));
    std::string target = stem;
    for (int n = 1; exists(target); ++n) {
        target = fmt::format("{}-{}", stem, n);
    }
    if (std::rename(file.c_str(), target.c_str()) != 0) {
        return fail_errno(errno, fmt::format("moving {} to {}", file.string(), target));
    }
    for (const char* const suffix : {"-wal", "-shm"}) {
        const auto part = file.string() + suffix;
        const auto part_target = target + suffix;
        if (std::rename(part.c_str(), part_target.c_str()) != 0 && errno != ENOENT) {
            return fail_errno(errno, fmt::format("moving {} to {}", part, part_target));
        }
    }
    return std::filesystem::path{target};
}

} // namespace

Result<MetadataStore::Opened> MetadataStore::open(const std::filesystem::path& file)
{
    auto database = open_current(file);
    if (database) {
        return Opened{MetadataStore{std::move(*database)}, std::nullopt, {}};
    }
    if (database.error().kind() != ErrorKind::kCorrupt) {
        return fail(database.error());
    }
    auto moved = move_aside(file);
    if (!moved) {
        return fail(moved.error(), database.error().text());
    }
    auto fresh = open_current(file);
    if (!fresh) {
        return fail(fresh.error());
    }
    return Opened{MetadataStore{std::move(*fresh)}, std::move(*moved), database.error().text()};
}

} // namespace sluice::cache
