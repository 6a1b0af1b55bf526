// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/proved_fetch.hpp"

#include "daemon/blob/chunk_writer.hpp"

#include <string>
#include <utility>

namespace sluice::daemon {

ProvedFetch::ProvedFetch(
    FillServices& services,
    const BlobInfo& blob,
    BlobTree& tree,
    std::shared_ptr<BackingFile> file,
    Landed landed,
    UrgencyOf urgency
)
    : services_{services}
    , blob_{blob}
    , tree_{tree}
    , file_{std::move(file)}
    , landed_{std::move(landed)}
    , urgency_{std::move(urgency)}
{}

Task<Result<void>> ProvedFetch::fetch(ByteRange range, fetcher::FetchTerms terms)
{
    auto prepared = co_await tree_.prepare(range, terms);
    if (!prepared) {
        co_return prepared;
    }
    auto expected = tree_.expected(range);
    if (!expected) {
        co_return fail(expected.error());
    }
    ++services_.counters.fetches;
    ChunkWriter::Owner owner{
        landed_,
        [this](const std::string& repository, ByteRange wrong) {
            services_.mirrors.blame(repository, blob_.digest, wrong);
        },
        [this, begun = terms.urgency](ByteRange chunk) { return urgency_(chunk, begun); }};
    const auto writer = std::make_shared<ChunkWriter>(services_, file_, range, std::move(*expected), std::move(owner));
    auto repositories = blob_.repositories;
    auto fetched =
        co_await services_.mirrors.fetch(std::move(repositories), blob_.digest, blob_.blob_size, range, *writer, terms);
    auto written = co_await writer->finish();
    if (!written) {
        co_return written;
    }
    if (fetched && !writer->complete()) {
        co_return fail(ErrorKind::kInternal, "the fetch ended early");
    }
    co_return fetched;
}

} // namespace sluice::daemon
